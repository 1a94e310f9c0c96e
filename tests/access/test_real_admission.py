"""A real API server refuses what restrictions and agent scopes deny."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.access.subjects import agent_namespace
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.sandbox import ControlPlane
from tests.access.real import (
    PATIENCE,
    STAGING,
    Names,
    access_manifests,
    connected,
    put,
    role,
    scope,
    tree_of,
)
from tests.desired.builders import CLUSTERS, DIGEST

WRITER = "[{resources: [deployments], verbs: [get, create, patch, delete], namespaces: [team-*]}]"
RESTRICTED = "[{labels: {tier: restricted}, actions: [promote]}]"
DENIED = "denies promote on models with tier=restricted"


def deployment(name: str, namespace: str, **labels: str) -> JsonObject:
    container: JsonObject = {"name": "one", "image": f"r.example.com/serve@{DIGEST}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }


async def answer(cluster: KubernetesCluster, body: JsonObject) -> str:
    """Why the server refuses to apply it; empty when it would."""
    try:
        await cluster.apply(body, dry_run=True, force=True)
    except FairleadError as error:
        return error.message
    return ""


async def settled(cluster: KubernetesCluster, body: JsonObject, words: str) -> None:
    """Grants and policies act as soon as the server has seen them, which is a moment later."""
    said = ""
    for _ in range(PATIENCE):
        said = await answer(cluster, body)
        if words in said and bool(said) is bool(words):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"expected {words or 'no refusal'}, got: {said}")


@pytest.fixture
async def team(cluster: KubernetesCluster, names: Names) -> str:
    """A namespace in which writers may write deployments, but for restricted ones."""
    await put(cluster, tree_of(names, role("writer", "writers", WRITER, RESTRICTED)))
    return names.team


async def test_a_restricted_object_is_refused_and_another_is_not(
    api_server: ControlPlane, team: str
) -> None:
    async with connected(api_server, "alice", "oidc:writers") as alice:
        await settled(alice, deployment("open", team, tier="internal"), "")
        await settled(alice, deployment("closed", team, tier="restricted"), DENIED)


async def test_taking_the_label_off_or_deleting_is_no_way_around(
    api_server: ControlPlane, cluster: KubernetesCluster, team: str
) -> None:
    body = deployment("closed", team, tier="restricted")
    stored: Any = await cluster.apply(body, dry_run=False)
    key = ObjectKey("apps", "Deployment", team, "closed")
    async with connected(api_server, "alice", "oidc:writers") as alice:
        await settled(alice, body, DENIED)
        await settled(alice, deployment("closed", team, tier="internal"), DENIED)
        await settled(alice, deployment("closed", team), DENIED)
        with pytest.raises(FairleadError, match=DENIED):
            await alice.delete(key, "apps/v1", uid=stored["metadata"]["uid"])
    assert await cluster.get(key, "apps/v1") is not None


async def test_a_restriction_without_its_parameters_refuses_everybody(
    api_server: ControlPlane, cluster: KubernetesCluster, names: Names
) -> None:
    state = await put(cluster, tree_of(names, role("writer", "writers", WRITER, RESTRICTED)))
    (parameters,) = (
        m.key
        for m in access_manifests(state, STAGING)
        if m.key.kind == "ConfigMap" and "unless-writer" in m.key.name
    )
    stored: Any = await cluster.get(parameters, "v1")
    async with connected(api_server, "alice", "oidc:writers") as alice:
        await settled(alice, deployment("closed", names.team, tier="restricted"), DENIED)
        await cluster.delete(parameters, "v1", uid=stored["metadata"]["uid"])
        await settled(alice, deployment("open", names.team), "no params found")


async def test_whoever_has_not_the_role_is_not_restricted(
    cluster: KubernetesCluster, team: str
) -> None:
    await settled(cluster, deployment("closed", team, tier="restricted"), "")


async def token(
    cluster: KubernetesCluster, agent: str, seconds: int | None, *audiences: str
) -> str:
    """Why the server gives the agent no such token; empty when it does."""
    path = f"/api/v1/namespaces/{agent_namespace(agent)}/serviceaccounts/{agent}/token"
    spec: Any = {"audiences": list(audiences)}
    if seconds is not None:
        spec["expirationSeconds"] = seconds
    body: JsonObject = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": spec,
    }
    try:
        await cluster.connection.request("POST", path, doing="ask for a token", body=body)
    except FairleadError as error:
        return error.message
    return ""


async def test_an_agents_tokens_are_short_and_for_one_audience(
    cluster: KubernetesCluster, names: Names
) -> None:
    agent = names.agent("bot")
    await put(cluster, tree_of(names, scope(agent, "[]")))
    for _ in range(PATIENCE):
        if await token(cluster, agent, 900, "models"):
            break
        await asyncio.sleep(0.05)
    assert not await token(cluster, agent, 720, "models")
    for seconds, audiences, words in (
        (3600, ["models"], "no longer than its scope says"),
        (721, ["models"], "no longer than its scope says"),
        (599, ["models"], "10 minutes"),
        (None, ["models"], "no longer than its scope says"),
        (720, [], "one audience"),
        (720, ["models", "other"], "one audience"),
        (720, ["other"], "one audience"),
        (720, ["https://kubernetes.default.svc"], "one audience"),
    ):
        assert words in await token(cluster, agent, seconds, *audiences)


READING = """\
spec: {secretDelivery: {vault: {method: agent, store: vault-main}}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: vault-main, labels: {fleet: acme}}
spec: {vault: {}}
---
"""


async def test_an_agent_that_reads_a_store_has_tokens_for_it_as_well(
    cluster: KubernetesCluster, names: Names
) -> None:
    agent = names.agent("bot")
    reading = scope(agent, "[]").replace("  token:", '  secrets: ["vault:kv/eval/*"]\n  token:')
    tree = tree_of(names, reading)
    clusters = CLUSTERS.replace("---\n", READING, 1)
    await put(cluster, {**tree, "clusters.yaml": clusters})
    for _ in range(PATIENCE):
        if await token(cluster, agent, 900, "models"):
            break
        await asyncio.sleep(0.05)
    for seconds in (600, 900):
        assert not await token(cluster, agent, seconds, "vault")
    assert not await token(cluster, agent, 720, "models")
    for asked, audiences, words in (
        (901, ["vault"], "no longer than its scope says"),
        (900, ["models"], "no longer than its scope says"),
        (600, ["vault", "models"], "one audience"),
        (600, ["other"], "one audience"),
    ):
        assert words in await token(cluster, agent, asked, *audiences)


async def test_an_agents_home_is_accepted_with_its_limits(
    cluster: KubernetesCluster, names: Names
) -> None:
    agent = names.agent("bot")
    await put(cluster, tree_of(names, scope(agent, "[]", pods=4, gpus=0)))
    home = agent_namespace(agent)
    quota: Any = await cluster.get(ObjectKey("", "ResourceQuota", home, agent), "v1")
    assert quota["spec"]["hard"] == {"pods": "4", "requests.nvidia.com/gpu": "0"}
    for kind, version in (
        ("LimitRange", "v1"),
        ("ServiceAccount", "v1"),
        ("NetworkPolicy", "networking.k8s.io/v1"),
    ):
        group = version.rpartition("/")[0]
        assert await cluster.get(ObjectKey(group, kind, home, agent), version), kind
    pod: JsonObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": home},
        "spec": {
            "serviceAccountName": agent,
            "containers": [{"name": "one", "image": f"r.example.com/agent@{DIGEST}"}],
        },
    }
    assert "restricted" in await answer(cluster, pod)
