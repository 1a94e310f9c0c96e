"""What KServe divides outlives the daemon, too: no request is led to what is not up."""

from __future__ import annotations

import asyncio
import random

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.rollouts.states import Phase
from tests.engine.kserve_world import WAYS, KServeWorld
from tests.engine.test_rollout_kills import live_and_die, walk

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("seed", range(5))
async def test_a_good_version_gets_there_and_nothing_is_started_twice(seed: int) -> None:
    world = KServeWorld(seed=seed)
    kills = await walk(world, seed)
    assert world.ways["one"] == WAYS, f"after {kills} kills"
    assert world.starts == {("one", "v1"): 1, ("one", "v2"): 1}
    assert min(world.fewest.values()) == 2


@pytest.mark.parametrize("seed", range(5))
async def test_a_bad_version_is_taken_back_once(seed: int) -> None:
    world = KServeWorld(seed=seed)
    world.errors["v2"] = 0.3
    await walk(world, seed)
    async with world.running() as engine:
        await world.until_serving(engine, "v1")
        await asyncio.sleep(60.0)
    assert world.ways["one"] in ([*WAYS[:n], "v1"] for n in range(2, 4))
    aborts = [r for r in await world.records() if r.verb is Verb.ROLLOUT and r.result == "abort"]
    assert len(aborts) == 1
    assert world.starts["one", "v1"] == 1


@pytest.mark.parametrize("seed", range(5))
async def test_what_comes_up_slowly_gets_no_request_before(seed: int) -> None:
    world = KServeWorld(seed=seed)
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.declare("v2")
        await world.until_serving(engine, "v2")
        await world.until(lambda: world.state(engine).phase is Phase.SETTLED)
        await world.until(lambda: world.spec()["canary"] == [])
    world.broken.add("v1")
    world.declare("v1")
    chance = random.Random(seed)
    for _ in range(10):
        await live_and_die(world, chance)
        await asyncio.sleep(chance.uniform(0.0, 20.0))
    assert world.shares() == {"v2": 100}
    world.come_up("v1")
    async with world.running() as engine:
        await world.until_serving(engine, "v1")
        await world.until(lambda: world.spec()["canary"] == [])
    assert world.bad_answers("v1") == world.bad_answers("v2") == 0
