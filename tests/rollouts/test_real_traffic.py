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
    await world.until_reached()


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
            await until_step(world, engine, 0)
            await world.behave("v2", "errors=1")
            await world.soon(lambda: world.state(engine).failure is not None)
            await users.answered(200)
        assert users.record.counts(cohort="everybody").failed_by_version == {}
        assert await world.shares() == {"v1": 100}


async def test_a_version_that_fails_at_its_weight_costs_few_answers(world: RealTraffic) -> None:
    async with world.running() as engine:
        await first_version(world, engine)
        async with world.users() as users:
            world.declare("v2")
            await until_step(world, engine, 2)
            await world.behave("v2", "errors=0.5")
            await world.soon(lambda: world.state(engine).failure is not None)
            seconds = await world.until_shares({"v1": 100})
            await users.answered(100)
        assert users.record.counts().failed_by_version["v2"] <= 30
        assert seconds < 1.0


async def test_going_back_to_the_warm_version_takes_a_moment_and_no_step(
    world: RealTraffic,
) -> None:
    async with world.running() as engine:
        await first_version(world, engine)
        async with world.users() as users:
            world.declare("v2")
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
            await world.until_shares({"v2": 100})
            world.declare("v1")
            assert await world.until_shares({"v1": 100}) < 3.0
            await users.answered(100)
        assert users.record.counts().dropped == 0


async def test_blue_and_green_change_places_without_a_dropped_request(world: RealTraffic) -> None:
    strategy = "    blueGreen: {preview: {header: x-cohort, value: internal}, requests: 20}\n"
    async with world.running() as engine:
        await first_version(world, engine)
        async with world.users() as users:
            world.declare("v2", strategy=strategy)
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
            await world.until_shares({"v2": 100})
            await users.answered(100)
        assert users.record.counts().dropped == 0
        assert set(users.record.counts().by_status) == {200}


async def test_a_daemon_that_dies_on_the_way_is_followed_by_one_that_goes_on(
    world: RealTraffic,
) -> None:
    async with world.users_from_the_first_version() as users:
        world.declare("v2")
        for step in range(4):
            async with world.running() as engine:
                await until_step(world, engine, step)
        async with world.running() as engine:
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
        assert users.record.counts().dropped == 0


async def until_step(world: RealTraffic, engine: Engine, step: int) -> None:
    def reached() -> bool:
        state = world.state(engine)
        stepping = state.phase is Phase.STEPPING and state.step >= step
        return stepping or state.phase is Phase.WATCHED

    await world.soon(reached)
