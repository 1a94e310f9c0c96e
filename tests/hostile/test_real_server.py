"""Hostile commits against a real API server: what it is asked, and what is shown of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.sandbox import ControlPlane
from tests.engine.world import cluster_document, config_map, deployment

from .estate import ONE, POLICY, Siege, besieged

FILE = "apps/web/x.yaml"


@pytest.fixture
async def cluster(api_server: ControlPlane, namespace: str) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(ONE, Kubeconfig(api_server.kubeconfig), clock=SystemClock())
    await made.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, dry_run=False
    )
    yield made
    await made.close()


@pytest.fixture
async def siege(cluster: KubernetesCluster, namespace: str, tmp_path: Path) -> AsyncIterator[Siege]:
    """An estate of its own name, so that it sees no object of another test as its own."""
    rules = POLICY.replace(b"acme", namespace.encode()).replace(b"team-*", namespace.encode())
    first = {
        "fairlead.yaml": rules,
        "clusters/one.yaml": cluster_document("one"),
        "apps/web/a.yaml": config_map("a", namespace=namespace),
    }
    async with besieged(tmp_path, first=first, cluster=cluster, repository=namespace) as made:
        yield made


async def live(cluster: KubernetesCluster, namespace: str, name: str) -> JsonObject | None:
    return await cluster.get(ObjectKey("", "ConfigMap", namespace, name), "v1")


async def assert_goes_on(siege: Siege, cluster: KubernetesCluster, namespace: str) -> None:
    siege.origin.rewrite(siege.good)
    good = siege.origin.push({"apps/web/a.yaml": config_map("a", "next", namespace)})
    await siege.applies(good)
    found = await live(cluster, namespace, "a")
    assert found is not None
    assert found["data"] == {"value": "next"}
    await siege.shows_nothing_unprintable()


async def test_what_the_server_refuses_is_refused_whole_and_shown_harmless(
    siege: Siege, cluster: KubernetesCluster, namespace: str
) -> None:
    wrong = deployment("d", namespace=namespace).replace(
        b"replicas: 2", b'replicas: 2\n  strategy: {type: "evil\\e[31m\\r\\n"}'
    )
    commit = siege.origin.push(
        {"apps/web/b.yaml": config_map("b", namespace=namespace), "apps/web/d.yaml": wrong}
    )
    refusal = await siege.refuses(commit, code="refused")
    assert "strategy" in refusal.explanation
    assert await live(cluster, namespace, "b") is None
    await assert_goes_on(siege, cluster, namespace)


async def test_a_value_of_a_megabyte_is_not_repeated_in_the_explanation(
    siege: Siege, cluster: KubernetesCluster, namespace: str
) -> None:
    key = "k" * 500_000
    wrong = config_map("x", namespace=namespace) + f"  ? {key}\n  : v\n".encode()
    wrong = wrong.replace(b'data: {value: "1"}\n', b"data:\n")
    refusal = await siege.refuses(siege.origin.push({FILE: wrong}), code="refused")
    assert len(refusal.explanation) < 2000
    assert len(str(refusal.detail)) < 20_000
    await assert_goes_on(siege, cluster, namespace)


async def test_a_path_in_a_name_reaches_no_other_object(
    siege: Siege, cluster: KubernetesCluster, namespace: str
) -> None:
    commit = siege.origin.push({FILE: config_map("../../default/configmaps/x", "1", namespace)})
    await siege.refuses(commit, ("field-value", FILE, 3))
    await assert_goes_on(siege, cluster, namespace)
