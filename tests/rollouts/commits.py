"""Commits of a repository with one rollout in two clusters, and ledgers in which they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, Digest, ObjectKey, UnitName
from reconciler.core.ledger import Applied, Entry, Ledger
from reconciler.core.manifests import JsonObject, Manifest
from reconciler.core.rollouts.staging import stage, target_of
from reconciler.core.rollouts.states import RolloutState, Target
from tests.desired.builders import compiled, repository

STAGING, PRODUCTION = ClusterName("staging-1"), ClusterName("production-1")
UNIT = UnitName("rollout/fraud")

CLUSTERS = """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: staging-1, labels: {fleet: acme, env: staging}}
spec: {gateway: {name: public, namespace: gateways}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: production-1, labels: {fleet: acme, env: production}}
spec: {gateway: {name: public, namespace: gateways}}
"""

STEPS = """\
    canary:
      steps:
      - {weight: 5%}
      - {weight: 25%}
      - {weight: 100%}
"""

Ledgers = Mapping[ClusterName, Ledger]


def declared(
    version: str,
    *,
    replicas: int = 2,
    image: str = "ab",
    strategy: str = STEPS,
    namespace: str = "team-risk",
) -> DesiredState:
    """A commit that asks for a version."""
    versions = "".join(
        f"  - name: v{number}\n"
        f"    artifact: oci://registry.example.com/models/fraud@sha256:{str(number) * 64}\n"
        for number in range(1, 6)
    )
    model = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-risk
  versions:
{versions}\
  serving:
    runtime: deployment
    replicas: {replicas}
    container: {{image: "registry.example.com/serve@sha256:{image * 32}", port: 8000}}
    route: {{hostnames: [fraud.example.com]}}
"""
    rollout = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: fraud}}
spec:
  model: fraud
  version: {version}
  namespace: {namespace}
  waves:
  - clusters: {{env: staging}}
  - clusters: {{env: production}}
  strategy:
{strategy}"""
    return compiled(repository(models=model, rollouts=rollout, clusters=CLUSTERS)).state


def target(desired: DesiredState) -> Target:
    found = target_of(desired, desired.rollouts["fraud"])
    assert found is not None
    return found


def unit_of(desired: DesiredState, cluster: ClusterName = STAGING) -> Unit:
    return desired.units[(cluster, UNIT)]


def entry(manifest: Manifest, desired: DesiredState) -> Entry:
    applied = Applied(manifest, desired.commit, Digest("sha256:" + "0" * 64), "uid")
    return Entry(manifest.key, UNIT, manifest.type.api_version, applied)


def ledger(*desired: DesiredState, cluster: ClusterName = STAGING) -> Ledger:
    """A cluster to which these commits were applied, one after the other, nothing removed."""
    entries: dict[ObjectKey, Entry] = {}
    for commit in desired:
        manifests = unit_of(commit, cluster).manifests.values()
        entries |= {manifest.key: entry(manifest, commit) for manifest in manifests}
    return Ledger(cluster, entries)


def ledgers(*desired: DesiredState) -> Ledgers:
    return {name: ledger(*desired, cluster=name) for name in (STAGING, PRODUCTION)}


def staged(
    desired: DesiredState,
    state: RolloutState,
    known: Ledgers,
    *,
    cluster: ClusterName = STAGING,
) -> Unit:
    """The unit of one cluster at a position."""
    return stage(desired, {"fraud": state}, known).state.units[(cluster, UNIT)]


def versions(unit: Unit) -> set[str]:
    """Versions that have a Deployment."""
    return {
        str(labels(manifest)["fairlead.dev/model-version"])
        for key, manifest in unit.manifests.items()
        if key.kind == "Deployment"
    }


def labels(manifest: Manifest) -> JsonObject:
    return cast(Any, manifest.body["metadata"])["labels"]


def weights(unit: Unit) -> dict[str, int]:
    """Weights in the last rule of the route, by version."""
    for key, manifest in unit.manifests.items():
        if key.kind == "HTTPRoute":
            backends = cast(Any, manifest.body["spec"])["rules"][-1]["backendRefs"]
            return {b["name"].removeprefix("fraud-"): b["weight"] for b in backends}
    return {}


def selected(unit: Unit) -> str:
    """The version that the Service for callers inside the cluster selects."""
    for key, manifest in unit.manifests.items():
        if (key.kind, key.name) == ("Service", "fraud"):
            return str(cast(Any, manifest.body["spec"])["selector"]["fairlead.dev/model-version"])
    return ""
