"""A real API server accepts what we render, where pods must be `restricted`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.identifiers import ClusterName
from reconciler.sandbox import ControlPlane
from tests.rendering.cases import CASES, bodies_of, unit_of


@pytest.fixture
async def cluster(api_server: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    connected = KubernetesCluster(
        ClusterName("real"), Kubeconfig(api_server.kubeconfig), clock=SystemClock()
    )
    yield connected
    await connected.close()


async def restricted(cluster: KubernetesCluster, namespace: str) -> None:
    labels: Any = {"pod-security.kubernetes.io/enforce": "restricted"}
    body: Any = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": labels},
    }
    await cluster.apply(body, dry_run=False)


def bodies(case: str, namespace: str) -> list[Any]:
    found: list[Any] = bodies_of(unit_of(CASES[case]))
    for body in found:
        body["metadata"]["namespace"] = namespace
    return found


# What KServe's definition takes is in tests/rollouts/test_real_kserve.py.
SERVED = [case for case in CASES if case != "kserve"]


@pytest.mark.parametrize("case", SERVED)
async def test_every_rendered_object_is_accepted(
    case: str, cluster: KubernetesCluster, namespace: str
) -> None:
    await restricted(cluster, namespace)
    for body in bodies(case, namespace):
        stored = await cluster.apply(body, dry_run=True)
        assert stored["kind"] == body["kind"]


@pytest.mark.parametrize("case", [case for case in SERVED if case != "adapter"])
async def test_a_rendered_pod_passes_the_restricted_level(
    case: str, cluster: KubernetesCluster, namespace: str
) -> None:
    await restricted(cluster, namespace)
    (deployment,) = (b for b in bodies(case, namespace) if b["kind"] == "Deployment")
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    for body in bodies(case, namespace):
        if body["kind"] == "ServiceAccount":
            await cluster.apply(body, dry_run=False)
            assert body["metadata"]["name"] == account
    template = deployment["spec"]["template"]
    pod: Any = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "one", "namespace": namespace},
        "spec": template["spec"],
    }
    stored: Any = await cluster.apply(pod, dry_run=True)
    assert stored["spec"]["containers"][0]["resources"] == pod["spec"]["containers"][0]["resources"]
