"""Rollouts outlive the process: killed at random writes and moments, no weight is ever wrong."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from reconciler.core.audit.records import Verb
from reconciler.engine.looking import Instruments
from tests.engine.lora_world import WAYS as ADAPTER_WAYS
from tests.engine.lora_world import LoraWorld
from tests.engine.mortality import Killed, Life, MortalCluster, MortalReplicas, MortalStore
from tests.engine.prompt_world import PromptWorld
from tests.engine.rollout_world import RolloutWorld

pytestmark = pytest.mark.looptime

WAYS = ["v1", "v1 cohort", "v1 mirror", "v2 5", "v2 25", "v2 100"]


async def live_and_die(world: RolloutWorld, chance: random.Random) -> bool:
    """One life of a daemon. False when the rollout came to its end in it."""
    life = Life(dies_at=chance.randrange(60) if chance.random() < 0.7 else None)
    ports = {
        "store": MortalStore(world.store, life),
        "clusters": {n: MortalCluster(c, life, world.store) for n, c in world.clusters.items()},
        "instruments": Instruments(
            {n: MortalReplicas(r, life) for n, r in world.replicas.items()}, world
        ),
    }
    until = world.clock.monotonic() + chance.uniform(0.5, 12.0)
    with suppress(Killed):
        async with world.running(**ports) as engine:
            while not life.dead and world.clock.monotonic() < until:
                await asyncio.sleep(0.1)
                state = engine.books.position.journal.get("fraud")
                if state and world.state(engine).serving and not life.dead:
                    final = world.state(engine)
                    if (final.failure or final.serving.version == "v2") and all(
                        world.shares(name) == {final.serving.version: 100} for name in world.names
                    ):
                        return False
    return True


async def walk(world: RolloutWorld, seed: int) -> int:
    """Kill daemons until the rollout has ended; returns how many died."""
    chance, kills = random.Random(seed), 0
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
    world.declare("v2")
    while await live_and_die(world, chance):
        kills += 1
        assert kills < 500
        await asyncio.sleep(chance.uniform(0.0, 20.0))
    return kills


@pytest.mark.parametrize("seed", range(12))
async def test_a_good_version_gets_there_through_every_step_in_order(seed: int) -> None:
    world = RolloutWorld(seed=seed)
    kills = await walk(world, seed)
    assert world.ways["one"] == WAYS, f"after {kills} kills"


@pytest.mark.parametrize("seed", range(12))
async def test_a_bad_version_is_taken_back_once_and_never_tried_again(seed: int) -> None:
    world = RolloutWorld(seed=seed)
    world.errors["v2"] = 0.3
    await walk(world, seed)
    async with world.running() as engine:
        await world.until_serving(engine, "v1")
        await asyncio.sleep(60.0)
    assert world.ways["one"] in ([*WAYS[:n], "v1"] for n in range(2, 6))
    aborts = [r for r in await world.records() if r.verb is Verb.ROLLOUT and r.result == "abort"]
    assert len(aborts) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_a_good_adapter_gets_there_and_no_request_meets_one_that_is_not_loaded(
    seed: int,
) -> None:
    world = LoraWorld(seed=seed)
    kills = await walk(world, seed)
    assert world.ways["one"] == ADAPTER_WAYS, f"after {kills} kills"
    assert (world.missed, world.strays) == ([], [])
    assert all(len(paths) == 1 for paths in world.ever.values())


@pytest.mark.parametrize("seed", range(12))
async def test_a_bad_adapter_is_taken_back_once_and_unloaded(seed: int) -> None:
    world = LoraWorld(seed=seed)
    world.errors["v2"] = 0.3
    await walk(world, seed)
    async with world.running() as engine:
        await world.until_serving(engine, "v1")
        await world.until(lambda: world.has("v2") == [False, False])
    assert world.ways["one"] in ([*ADAPTER_WAYS[:n], "v1"] for n in range(2, 5))
    assert (world.missed, world.strays) == ([], [])
    aborts = [r for r in await world.records() if r.verb is Verb.ROLLOUT and r.result == "abort"]
    assert len(aborts) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_a_good_prompt_gets_there_and_no_request_meets_one_that_is_not_given(
    seed: int,
) -> None:
    world = PromptWorld(seed=seed)
    kills = await walk(world, seed)
    assert world.ways["one"] == ADAPTER_WAYS, f"after {kills} kills"
    assert (world.missed, world.strays) == ([], [])
    assert all(len(texts) == 1 for texts in world.ever.values())


@pytest.mark.parametrize("seed", range(8))
async def test_a_bad_prompt_is_taken_back_once_and_taken_away(seed: int) -> None:
    world = PromptWorld(seed=seed)
    world.errors["v2"] = 0.3
    await walk(world, seed)
    async with world.running() as engine:
        await world.until_serving(engine, "v1")
        await world.until(lambda: world.has("v2") == [False, False])
    assert (world.missed, world.strays) == ([], [])
    aborts = [r for r in await world.records() if r.verb is Verb.ROLLOUT and r.result == "abort"]
    assert len(aborts) == 1
