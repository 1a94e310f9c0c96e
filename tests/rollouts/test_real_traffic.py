"""Rollouts under real requests, through a real gateway: what users get is counted by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reconciler.core.rollouts.states import Phase
from reconciler.engine.driving import Engine
from tests.rollouts.real_world import RealTraffic


@pytest.fixture
async def world(gateway_plane) -> AsyncIterator[RealTraffic]:
    made = RealTraffic(gateway_plane)
    try:
        yield made
    finally:
        await made.close()


async def first_version(world: RealTraffic, engine: Engine) -> None:
    first = world.declare("v1")
    await world.soon(lambda: engine.books.position.applied.get("one") == first)


async def test_a_good_version_gets_there_and_no_request_is_dropped(world: RealTraffic) -> None:
    async with world.running() as engine:
        await first_version(world, engine)
        async with world.users() as users:
            await users.answered(50)
            world.declare("v2")
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
            await users.answered(200)
        counts = users.record.counts()
        assert counts.dropped == 0
        assert set(counts.by_status) == {200}
        assert await world.shares() == {"v2": 100}


async def test_a_version_that_fails_is_stopped_on_the_cohort(world: RealTraffic) -> None:
    async with world.running() as engine:
        await first_version(world, engine)
        async with world.users() as users:
            await users.answered(50)
            world.declare("v2")
            await world.soon(lambda: world.state(engine).candidate is not None)
            await world.behave("v2", "errors=1")
            await world.soon(lambda: world.state(engine).failure is not None)
            await users.answered(200)
        assert users.record.counts(cohort="everybody").failed_by_version == {}
        assert await world.shares() == {"v1": 100}
