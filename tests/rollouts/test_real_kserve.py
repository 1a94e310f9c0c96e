"""KServe's definition on a real API server: what it takes, who owns what, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.desired import Unit
from reconciler.core.errors import Conflict, Missing, Refused
from reconciler.core.identifiers import ObjectKey
from reconciler.core.rollouts.states import Phase
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split
from reconciler.core.samples import Traffic
from reconciler.sandbox import ControlPlane
from tests.contracts.cluster_worlds import RealWorld, owned_by
from tests.rollouts.kserve_server import (
    VERSION,
    RealKServeWorld,
    connected,
    definition,
    make_namespace,
    plane_in,
    serve,
    without_canaries,
)
from tests.rollouts.test_kserve import PLACE, V3, V4, desired, placed

pytestmark = pytest.mark.cluster

POSITIONS = {
    "alone": lambda: desired("v3").units[PLACE],
    "starting": lambda: placed("v4", NO_TRAFFIC, V3, V4),
    "weight": lambda: placed("v4", Split(Traffic.WEIGHT, 0.05), V3, V4),
    "full": lambda: placed("v4", ALL_TRAFFIC, V3, V4),
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    definition()
    with plane_in(tmp_path_factory.mktemp("sandboxes")) as own:
        yield own


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    own = connected(plane)
    await serve(own, definition())
    yield own
    await own.close()


def service_in(namespace: str, unit: Unit) -> Any:
    (body,) = (m.body for m in unit.manifests.values() if m.key.kind == "InferenceService")
    metadata: Any = body["metadata"]
    metadata["namespace"] = namespace
    return body


async def live(cluster: KubernetesCluster, namespace: str) -> Any:
    key = ObjectKey("serving.kserve.io", "InferenceService", namespace, "fraud-detector")
    return await cluster.get(key, VERSION)


@pytest.mark.parametrize("position", POSITIONS)
async def test_every_position_is_taken(
    position: str, cluster: KubernetesCluster, namespace: str
) -> None:
    await make_namespace(cluster, namespace)
    body = service_in(namespace, POSITIONS[position]())
    stored: Any = await cluster.apply(body, dry_run=True)
    assert stored["spec"] == body["spec"]


async def test_canaries_are_ours_from_the_first_version_on(
    cluster: KubernetesCluster, plane: ControlPlane, namespace: str
) -> None:
    await make_namespace(cluster, namespace)
    for position in POSITIONS.values():
        body = service_in(namespace, position())
        await cluster.apply(body, dry_run=False)
        stored = await live(cluster, namespace)
        assert stored["spec"] == body["spec"]
        assert "f:spec/f:canary" in owned_by(stored, "fairlead")
    others = RealWorld(plane)
    try:
        weights = {"spec": {"canary": [{**body["spec"]["canary"][0], "trafficPercent": 50}]}}
        head = {key: body[key] for key in ("apiVersion", "kind")}
        metadata = {"name": "fraud-detector", "namespace": namespace}
        await others.apply_as("somebody", {**head, "metadata": metadata, **weights})
        with pytest.raises(Conflict) as conflict:
            await cluster.apply(body, dry_run=True)
        assert [(c.field, c.manager) for c in conflict.value.causes] == [
            (".spec.canary", "somebody")
        ]
    finally:
        await others.cluster.close()


async def test_a_kserve_without_canaries_refuses_the_first_version_and_names_the_field(
    tmp_path_factory: pytest.TempPathFactory, namespace: str
) -> None:
    older = without_canaries(definition())
    with plane_in(tmp_path_factory.mktemp("sandboxes")) as plane:
        cluster = connected(plane)
        try:
            await serve(cluster, older)
            await make_namespace(cluster, namespace)
            with pytest.raises(Refused, match=r"\.spec\.canary"):
                await cluster.apply(service_in(namespace, POSITIONS["alone"]()), dry_run=True)
        finally:
            await cluster.close()


async def test_a_cluster_without_kserve_says_that_it_does_not_serve_the_kind(
    api_server: ControlPlane, namespace: str
) -> None:
    cluster = connected(api_server)
    try:
        await make_namespace(cluster, namespace)
        with pytest.raises(Missing, match="does not serve InferenceService"):
            await cluster.apply(service_in(namespace, POSITIONS["alone"]()), dry_run=True)
    finally:
        await cluster.close()


@pytest.mark.slow
async def test_a_rollout_goes_all_the_way_on_a_real_api_server(cluster: KubernetesCluster) -> None:
    await make_namespace(cluster, "team-a")
    world = RealKServeWorld(cluster)
    steps = "    canary: {steps: [{weight: 50%, requests: 20}, {weight: 100%}]}\n    keepWarm: 1s\n"
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1", strategy=steps))
        world.declare("v2", strategy=steps)
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.SETTLED)
        await world.until(lambda: world.spec()["canary"] == [])
        assert world.spec()["predictor"]["name"] == "v2"
        assert world.ways["one"] == ["v1", "v2 50", "v2 100"]
        assert world.starts == {("one", "v1"): 1, ("one", "v2"): 1}
