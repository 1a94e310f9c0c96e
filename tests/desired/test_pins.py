"""Versions of secrets that were decided, as they go into what a commit compiles to."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.pinning import undecided, with_undecided_told
from reconciler.core.secret_versions import NO_BOOK, Pin, PinBook

from .builders import Tree, compiled

ONE, OTHER = ClusterName("one"), ClusterName("other")
OWNER = "Model/fraud@v1"
REFERENCE = "vault:kv/risk/fraud#token"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret"

POLICY = """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: acme}
spec:
  clusters: {names: [one, other, vault-one, vault-other]}
  allow: {namespaces: [team-*]}
"""
CLUSTERS = """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: NAME, labels: {runs: models}}
spec:
  secretDelivery:
    vault: {method: agent, store: vault-NAME}
    aws: {method: csi, region: eu-west-1, account: "123456789012"}
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: vault-NAME}
spec: {vault: {}}
"""
ROLLOUT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: fraud}
spec: {model: fraud, version: v1, namespace: team-a, waves: [{clusters: {runs: models}}]}
"""


def tree(*references: str) -> Tree:
    secrets = "".join(f"    - {{name: s{n}, from: '{at}'}}\n" for n, at in enumerate(references))
    model = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-a
  versions: [{{name: v1, artifact: oci://r.example.com/fraud@sha256:{"1" * 64}}}]
  serving:
    runtime: deployment
    container: {{image: r.example.com/serve@sha256:{"a" * 64}, port: 8000}}
    secrets:
{secrets}"""
    return {
        "fairlead.yaml": POLICY,
        "one.yaml": CLUSTERS.replace("NAME", "one"),
        "other.yaml": CLUSTERS.replace("NAME", "other"),
        "model.yaml": model,
        "rollout.yaml": ROLLOUT,
    }


def brought(state: DesiredState, cluster: ClusterName) -> str:
    unit = state.units[(cluster, UnitName("rollout/fraud"))]
    manifest = unit.manifests[ObjectKey("apps", "Deployment", "team-a", "fraud-v1")]
    body: Any = manifest.body
    return str(body["spec"]["template"]["metadata"]["annotations"]["fairlead.dev/secrets"])


def test_stores_with_the_same_path_have_versions_of_their_own() -> None:
    one = Pin(OWNER, "vault/vault-one", REFERENCE, "3")
    other = Pin(OWNER, "vault/vault-other", REFERENCE, "12")
    book = PinBook().with_([one, other])
    state = compiled(tree(REFERENCE), pins=book).state
    assert (brought(state, ONE), brought(state, OTHER)) == ("s0@3", "s0@12")
    assert undecided(state, book) == ()


def test_each_store_is_asked_for_what_names_no_version() -> None:
    state = compiled(tree(REFERENCE, "vault:kv/risk/fraud#user@4", "aws:prod/risk#key")).state
    found = undecided(state, NO_BOOK)
    assert [(one.store, one.asked) for one in found] == [
        (
            "aws/123456789012/eu-west-1",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/risk",
        ),
        ("vault/vault-one", "kv/risk/fraud"),
        ("vault/vault-other", "kv/risk/fraud"),
    ]
    assert [one.vault for one in found] == [None, "vault-one", "vault-other"]


def test_a_version_in_the_document_goes_before_what_was_decided() -> None:
    book = PinBook().with_([Pin(OWNER, "vault/vault-one", REFERENCE, "3")])
    state = compiled(tree(f"{REFERENCE}@8"), pins=book).state
    assert brought(state, ONE) == "s0@8"


def test_what_was_decided_stays() -> None:
    first = Pin(OWNER, "vault/vault-one", REFERENCE, "3")
    later = Pin(OWNER, "vault/vault-one", REFERENCE, "9")
    book = PinBook().with_([first])
    assert book.with_([later]) == book


@pytest.mark.parametrize("pinned", [False, True])
def test_a_decision_between_two_commits_gives_what_compiling_from_nothing_gives(
    pinned: bool,
) -> None:
    book = PinBook().with_([Pin(OWNER, "vault/vault-one", REFERENCE, "3")]) if pinned else NO_BOOK
    before = compiled(tree(REFERENCE))
    again = compiled(tree(REFERENCE), before=tree(REFERENCE), previous=before, pins=book)
    assert again.state.units == compiled(tree(REFERENCE), pins=book).state.units
    unchanged = again.declared.rendered["fraud"] is before.declared.rendered["fraud"]
    assert unchanged is not pinned


def test_only_what_is_undecided_is_told() -> None:
    state = compiled(tree(REFERENCE)).state
    told = with_undecided_told(state, NO_BOOK).notices
    assert [notice for notice in told if "names no version" in notice] == [
        f"{REFERENCE} of {OWNER} names no version: the one that is current when this is merged is "
        "taken"
    ]
    book = PinBook().with_(one.pinned("1") for one in undecided(state, NO_BOOK))
    assert with_undecided_told(state, book) is state
