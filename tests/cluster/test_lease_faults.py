"""A holder that cannot renew stops before anybody may follow; one that died does not renew."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.cluster_lease import TENURE_SHARE, ClusterLease, LeaseRecord
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    LeadershipLost,
    Missing,
    Unavailable,
)
from reconciler.ports import Clock

pytestmark = pytest.mark.looptime

DURATION = 15.0


def lease(store: MemoryLeaseStore, clock: Clock, identity: str = "one") -> ClusterLease:
    return ClusterLease(store, identity=identity, clock=clock, duration=timedelta(seconds=DURATION))


async def record_in(store: MemoryLeaseStore) -> LeaseRecord:
    return cast(LeaseRecord, await store.read())


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("no")])
async def test_a_holder_that_cannot_renew_stops_before_the_lease_runs_out(
    error: FairleadError,
) -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    async with lease(store, clock).hold() as tenure:
        store.error = error
        began = clock.monotonic()
        await tenure.lost()
        stopped_after = clock.monotonic() - began
        with pytest.raises(LeadershipLost):
            tenure.require()
    assert stopped_after == pytest.approx(DURATION * TENURE_SHARE, abs=0.1)


async def test_two_tenures_never_overlap_when_the_server_comes_and_goes() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    spans: list[tuple[float, float]] = []

    async def lead(identity: str) -> None:
        for _ in range(3):
            async with lease(store, clock, identity).hold() as tenure:
                began = clock.monotonic()
                await tenure.lost()
                spans.append((began, clock.monotonic()))

    async def break_now_and_then() -> None:
        while True:
            await clock.sleep(40)
            store.error = Unavailable("away")
            await clock.sleep(12)
            store.error = None

    breaking = asyncio.create_task(break_now_and_then())
    await asyncio.gather(lead("one"), lead("two"))
    breaking.cancel()
    ordered = sorted(spans)
    assert all(ordered[i][1] <= ordered[i + 1][0] for i in range(len(ordered) - 1))


async def test_a_short_outage_is_survived() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    async with lease(store, clock).hold() as tenure:
        await clock.sleep(4)
        store.error = Unavailable("away")
        await clock.sleep(3)
        store.error = None
        await clock.sleep(60)
        tenure.require()


async def test_an_edit_that_leaves_the_holder_is_no_loss() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    async with lease(store, clock).hold() as tenure:
        current = await record_in(store)
        await store.write(replace(current, duration_seconds=15), replacing=current)
        await clock.sleep(60)
        tenure.require()


async def test_a_lease_that_was_deleted_is_lost() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    async with lease(store, clock).hold() as tenure:
        store.forget()
        await tenure.lost()


async def test_nothing_is_renewed_once_the_work_has_ended() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    with pytest.raises(ZeroDivisionError):
        async with lease(store, clock).hold():
            raise ZeroDivisionError
    before = await record_in(store)
    await clock.sleep(100)
    assert await record_in(store) == before


async def test_cancelling_the_work_releases_the_lease() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()

    async def work() -> None:
        async with lease(store, clock).hold():
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await clock.sleep(20)
    working.cancel()
    await asyncio.wait({working})
    assert working.cancelled()
    assert (await record_in(store)).holder == ""


async def test_a_release_that_fails_hurts_nobody() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    async with lease(store, clock).hold():
        store.error = Unavailable("away")
    store.error = None
    async with lease(store, clock, "two").hold() as tenure:
        tenure.require()


async def test_a_candidate_that_may_not_take_the_lease_is_told() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    store.error = Missing("namespace fairlead does not exist")
    with pytest.raises(Missing, match="namespace fairlead"):
        async with lease(store, clock).hold():
            pass


async def test_a_candidate_waits_while_the_server_is_away() -> None:
    clock, store = VirtualClock(), MemoryLeaseStore()
    store.error = Unavailable("away")

    async def recover() -> None:
        await clock.sleep(30)
        store.error = None

    recovering = asyncio.create_task(recover())
    async with lease(store, clock).hold() as tenure:
        assert recovering.done()
        tenure.require()
