"""A commit about access in a real API server, and what that server says of it.

Separate from the tests, so that each of them only asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.access.subjects import AGENT_PREFIX, agent_username
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import Manifest
from reconciler.core.ordering import wave_of
from reconciler.sandbox import ControlPlane
from tests.desired.builders import CLUSTERS, DIGEST, Tree, compiled

ACCESS = ("role/", "agent/", "access")
AT_A_TIME = 24
PATIENCE = 200
"""Looks, of 50 ms each: the API server learns of its own objects by watching them."""


@dataclass(frozen=True)
class Case:
    """One question. `subject` is a group, or an agent."""

    subject: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    @property
    def body(self) -> Any:
        plural, _, subresource = self.resource.partition("/")
        spec: dict[str, Any] = {
            "resourceAttributes": {
                "namespace": self.namespace,
                "verb": self.verb,
                "group": self.group,
                "resource": plural,
                "subresource": subresource,
                "name": self.name,
            }
        }
        if self.subject.startswith(AGENT_PREFIX):
            spec["user"] = agent_username(self.subject.removeprefix(AGENT_PREFIX))
        else:
            spec |= {"user": "somebody", "groups": [f"oidc:{self.subject}"]}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        }


async def applied(cluster: KubernetesCluster, manifests: Iterable[Manifest]) -> None:
    for manifest in sorted(manifests, key=lambda m: wave_of(before=None, after=m)):
        await cluster.apply(manifest.body, dry_run=False)


def access_manifests(state: DesiredState, cluster: ClusterName) -> Sequence[Manifest]:
    return [
        manifest
        for (where, name), unit in sorted(state.units.items())
        if where == cluster and name.startswith(ACCESS)
        for manifest in unit.manifests.values()
    ]


async def answers(connection: ApiConnection, cases: Sequence[Case]) -> Mapping[Case, bool]:
    """What the API server says now."""
    limit = asyncio.Semaphore(AT_A_TIME)

    async def ask(case: Case) -> bool:
        async with limit:
            answer: Any = await connection.request(
                "POST",
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                doing="ask",
                body=case.body,
            )
            return bool(answer["status"].get("allowed", False))

    return dict(zip(cases, await asyncio.gather(*map(ask, cases)), strict=True))


async def disagreements(connection: ApiConnection, expected: Mapping[Case, bool]) -> Sequence[Case]:
    """Where the server and the expectation stay apart."""
    apart = list(expected)
    for _ in range(PATIENCE):
        said = await answers(connection, apart)
        apart = [case for case in apart if said[case] != expected[case]]
        if not apart:
            break
        await asyncio.sleep(0.05)
    return apart


STAGING = ClusterName("staging-1")


@dataclass(frozen=True)
class Names:
    """Of one test, so that tests share a server."""

    mark: str

    @property
    def team(self) -> str:
        return f"team-{self.mark}"

    @property
    def parameters(self) -> str:
        return f"parameters-{self.mark}"

    def agent(self, name: str) -> str:
        return f"{name}-{self.mark}"


@asynccontextmanager
async def connected(
    plane: ControlPlane, user: str = "", *groups: str
) -> AsyncIterator[KubernetesCluster]:
    file = plane.kubeconfig_for(user, groups) if user else plane.kubeconfig
    cluster = KubernetesCluster(STAGING, Kubeconfig(file), clock=SystemClock())
    try:
        yield cluster
    finally:
        await cluster.close()


def tree_of(names: Names, *documents: str) -> Tree:
    policy = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {{name: {names.mark}}}
spec:
  clusters: {{labels: {{fleet: acme}}}}
  allow: {{namespaces: ["*"]}}
  authorizer: {{namespace: {names.parameters}}}
  manifests: [{{path: platform}}]
"""
    namespaces = [
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
        for name in (names.team, names.parameters, f"other-{names.mark}")
    ]
    return {
        "fairlead.yaml": policy,
        "clusters.yaml": CLUSTERS,
        "platform/namespaces.yaml": "---\n".join(namespaces),
        "access.yaml": "---\n".join(documents),
    }


def model(name: str, labels: Mapping[str, str], access: Mapping[str, str], home: str) -> str:
    """A model with its rollout. `access` is by version."""
    versions = "\n".join(
        f"  - name: {version}\n    artifact: oci://r.example.com/m/{name}@{DIGEST}\n"
        f"    access: {given}"
        for version, given in access.items()
    )
    shown = ", ".join(f"{key}: {value}" for key, value in labels.items())
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: {name}, labels: {{{shown}}}}}
spec:
  owner: team-risk
  versions:
{versions}
  serving:
    runtime: deployment
    container: {{image: r.example.com/serve@{DIGEST}, port: 8000}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: {name}}}
spec:
  model: {name}
  version: {next(iter(access))}
  namespace: {home}
  waves: [{{clusters: {{env: staging}}}}]
"""


def role(name: str, groups: str, allow: str, unless: str = "[]") -> str:
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {{name: {name}}}
spec: {{groups: [{groups}], allow: {allow}, unless: {unless}}}
"""


def scope(name: str, models: str, **limits: int) -> str:
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {{name: {name}}}
spec:
  purpose: evaluation
  models: {models}
  token: {{ttl: 12m, audience: models}}
  limits: {{{", ".join(f"{key}: {value}" for key, value in limits.items())}}}
  egress: [gateway]
  expires: 2099-12-31
"""


async def put(cluster: KubernetesCluster, tree: Tree) -> DesiredState:
    """All that the tree says about access, and the namespaces that it is in."""
    state = compiled(tree).state
    plain = [
        manifest
        for (where, name), unit in state.units.items()
        if where == STAGING and name.startswith("manifests/")
        for manifest in unit.manifests.values()
    ]
    await applied(cluster, [*plain, *access_manifests(state, STAGING)])
    return state
