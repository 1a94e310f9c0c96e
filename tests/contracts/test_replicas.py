"""What every way to ask model servers does: in memory, through an API server, directly."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from contracts.cluster_worlds import unique
from contracts.replica_worlds import (
    MemoryReplicaWorld,
    RealReplicaWorld,
    ReplicaWorld,
    own_address,
)
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.errors import Transient, Unavailable
from reconciler.core.identifiers import ClusterName
from reconciler.ports import Answer, Replica

REAL = [pytest.param(way, marks=pytest.mark.cluster) for way in ("api-server", "direct")]


@pytest.fixture(params=["memory", *REAL])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[ReplicaWorld]:
    if request.param == "memory":
        yield MemoryReplicaWorld()
        return
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback, where no pod may be")
    plane = request.getfixturevalue("api_server")
    cluster = KubernetesCluster(
        ClusterName("real"), Kubeconfig(plane.kubeconfig), clock=SystemClock()
    )
    namespace = unique("replicas")
    await cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, dry_run=False
    )
    account = {"name": "default", "namespace": namespace}
    await cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, dry_run=False
    )
    real = RealReplicaWorld(cluster, namespace, address)
    async with real.serving(request.param):
        yield real
    await cluster.close()


async def the_one(world: ReplicaWorld) -> Replica:
    await world.create("one", {"app": "fraud"})
    (replica,) = await world.replicas.find(world.namespace, {"app": "fraud"})
    return replica


async def test_ready_pods_with_all_the_labels_are_found_by_name(world: ReplicaWorld) -> None:
    for name in ("b", "a", "c"):
        await world.create(name, {"app": "fraud", "version": "v1"})
    await world.create("other", {"app": "fraud", "version": "v2"})
    await world.create("unready", {"app": "fraud", "version": "v1"}, ready=False)
    await world.delete("c")
    found = await world.replicas.find(world.namespace, {"app": "fraud", "version": "v1"})
    assert [replica.name for replica in found] == ["a", "b"]
    assert {replica.namespace for replica in found} == {world.namespace}
    assert all(replica.uid and replica.address for replica in found)


async def test_pods_that_are_not_ready_yet_are_found_when_asked_for(world: ReplicaWorld) -> None:
    await world.create("up", {"app": "fraud"})
    await world.create("coming", {"app": "fraud"}, ready=False)
    found = await world.replicas.find(world.namespace, {"app": "fraud"}, starting=True)
    assert [(replica.name, replica.ready) for replica in found] == [("coming", False), ("up", True)]


async def test_a_pod_made_anew_has_another_uid(world: ReplicaWorld) -> None:
    before = await the_one(world)
    await world.delete("one")
    assert await world.replicas.find(world.namespace, {"app": "fraud"}) == []
    assert (await the_one(world)).uid != before.uid


async def test_no_pods_are_no_trouble(world: ReplicaWorld) -> None:
    assert list(await world.replicas.find(world.namespace, {"app": "nobody"})) == []


async def test_an_answer_is_status_and_bytes(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    world.respond = lambda method, path, _: Answer(200, f"{method} {path}".encode() + b"\xff\x00")
    answer = await world.replicas.get(replica, world.port, "/metrics")
    assert answer == Answer(200, b"GET /metrics\xff\x00")


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
async def test_a_status_of_the_application_is_an_answer(world: ReplicaWorld, status: int) -> None:
    replica = await the_one(world)
    world.respond = lambda *_: Answer(status, b'{"detail":"so it is"}')
    answer = await world.replicas.get(replica, world.port, "/v1/models/fraud:predict")
    assert answer == Answer(status, b'{"detail":"so it is"}')


async def test_a_post_carries_json(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    world.respond = lambda method, _, body: Answer(200, method.encode() + b" " + body)
    answer = await world.replicas.post(replica, world.port, "/infer", {"inputs": [1.5, None, "ü"]})
    method, _, body = answer.body.partition(b" ")
    assert (method, orjson.loads(body)) == (b"POST", {"inputs": [1.5, None, "ü"]})


async def test_a_replica_that_says_nothing_is_unavailable(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    with pytest.raises(Unavailable, match="no answer in time"):
        await world.replicas.get(replica, world.port, "/metrics")


async def test_a_replica_that_never_ends_its_work_is_unavailable(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    with pytest.raises(Unavailable, match="no answer in time"):
        await world.replicas.post(replica, world.port, "/infer", {})


async def test_an_answer_that_is_too_long_is_unavailable(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    world.respond = lambda *_: Answer(200, b"x" * (2**22 + 1))
    with pytest.raises(Unavailable, match="more than 4,194,304 bytes"):
        await world.replicas.get(replica, world.port, "/metrics")
    world.respond = lambda *_: Answer(200, b"x" * 2**22)
    assert len((await world.replicas.get(replica, world.port, "/metrics")).body) == 2**22


async def test_a_replica_where_nobody_listens_is_unavailable(world: ReplicaWorld) -> None:
    replica = await the_one(world)
    with pytest.raises(Unavailable):
        await world.replicas.get(replica, 1, "/metrics")


async def test_a_replica_that_went_is_transient(world: ReplicaWorld) -> None:
    if getattr(world.replicas, "_session", "") is None:
        pytest.skip("the address of a pod that went is anybody's")
    replica = await the_one(world)
    await world.delete("one")
    with pytest.raises(Transient):
        await world.replicas.get(replica, world.port, "/metrics")
