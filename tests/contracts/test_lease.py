"""One holder at a time, in memory and by a Lease object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from reconciler.adapters.clocks import SystemClock, VirtualClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_lease import (
    ClusterLease,
    KubernetesLeaseStore,
    LeaseRecord,
    LeaseStore,
)
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.core.errors import LeadershipLost
from reconciler.core.identifiers import ClusterName
from reconciler.ports import Clock

from .cluster_worlds import unique


@dataclass(frozen=True)
class Contest:
    """A lease that several may want. On a real cluster time is real, so it is short there."""

    clock: Clock
    connect: Callable[[], LeaseStore]
    duration: timedelta

    def candidate(self, identity: str) -> ClusterLease:
        return ClusterLease(
            self.connect(), identity=identity, clock=self.clock, duration=self.duration
        )

    async def take_as_one_that_dies(self, *, transitions: int = 1) -> LeaseRecord:
        """Somebody takes the lease, whoever has it, and never renews it."""
        dead = LeaseRecord("dead", round(self.duration.total_seconds()), transitions)
        store = self.connect()
        return await store.write(dead, replacing=await store.read())


@pytest.fixture(
    params=[
        pytest.param("memory", marks=pytest.mark.looptime),
        pytest.param("real", marks=pytest.mark.cluster),
    ]
)
async def contest(request: pytest.FixtureRequest) -> AsyncIterator[Contest]:
    if request.param == "memory":
        store = MemoryLeaseStore()
        yield Contest(VirtualClock(), lambda: store, timedelta(seconds=15))
        return
    clock = SystemClock()
    plane: Any = request.getfixturevalue("api_server")
    cluster = KubernetesCluster(ClusterName("real"), Kubeconfig(plane.kubeconfig), clock=clock)
    name = unique("lease")

    def connect() -> LeaseStore:
        return KubernetesLeaseStore(cluster.connection, namespace="default", name=name, clock=clock)

    yield Contest(clock, connect, timedelta(seconds=1))
    await cluster.close()


async def test_a_free_lease_is_held_at_once(contest: Contest) -> None:
    async with contest.candidate("one").hold() as tenure:
        tenure.require()
        record = await contest.connect().read()
    assert record is not None
    assert record.holder == "one"


async def test_a_second_candidate_waits_for_the_first(contest: Contest) -> None:
    order: list[str] = []

    async def second() -> None:
        async with contest.candidate("two").hold():
            order.append("two holds")

    async with asyncio.TaskGroup() as group, contest.candidate("one").hold() as tenure:
        group.create_task(second())
        await contest.clock.sleep(2 * contest.duration.total_seconds())
        tenure.require()
        order.append("one releases")
    assert order == ["one releases", "two holds"]


async def test_each_change_of_holder_is_a_new_epoch(contest: Contest) -> None:
    epochs = []
    for identity in ("one", "two", "one"):
        async with contest.candidate(identity).hold() as tenure:
            epochs.append(tenure.epoch)
    assert epochs == [1, 2, 3]


async def test_a_released_lease_names_nobody(contest: Contest) -> None:
    async with contest.candidate("one").hold():
        pass
    record = await contest.connect().read()
    assert record is not None
    assert record.holder == ""


async def test_a_lease_is_released_when_the_work_fails(contest: Contest) -> None:
    with pytest.raises(ZeroDivisionError):
        async with contest.candidate("one").hold():
            raise ZeroDivisionError
    record = await contest.connect().read()
    assert record is not None
    assert record.holder == ""


async def test_a_dead_holder_is_followed_after_a_whole_duration(contest: Contest) -> None:
    await contest.take_as_one_that_dies()
    began = contest.clock.monotonic()
    async with contest.candidate("one").hold() as tenure:
        waited = contest.clock.monotonic() - began
        assert tenure.epoch == 2
    assert waited >= contest.duration.total_seconds()


async def test_a_holder_that_renews_is_never_followed(contest: Contest) -> None:
    renewed = await contest.take_as_one_that_dies()
    seconds = contest.duration.total_seconds()
    store = contest.connect()
    waiting = asyncio.create_task(_held(contest.candidate("one")))
    for _ in range(4):
        await contest.clock.sleep(seconds / 2)
        current = await store.read()
        assert current == renewed
        renewed = await store.write(current, replacing=current)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})


async def _held(lease: ClusterLease) -> None:
    async with lease.hold():
        pass


async def test_a_holder_that_was_replaced_learns_it(contest: Contest) -> None:
    async with contest.candidate("one").hold() as tenure:
        await contest.take_as_one_that_dies(transitions=2)
        async with asyncio.timeout(contest.duration.total_seconds()):
            await tenure.lost()
        with pytest.raises(LeadershipLost):
            tenure.require()


async def test_a_holder_that_was_replaced_leaves_the_lease_alone(contest: Contest) -> None:
    async with contest.candidate("one").hold() as tenure:
        await contest.take_as_one_that_dies(transitions=2)
        await tenure.lost()
    record = await contest.connect().read()
    assert record is not None
    assert record.holder == "dead"


async def test_of_many_candidates_one_holds_at_a_time(contest: Contest) -> None:
    holding: set[str] = set()
    most = 0

    async def compete(identity: str) -> None:
        nonlocal most
        async with contest.candidate(identity).hold():
            holding.add(identity)
            most = max(most, len(holding))
            await asyncio.sleep(0)
            holding.remove(identity)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(compete(f"candidate-{number}"))
    assert most == 1
