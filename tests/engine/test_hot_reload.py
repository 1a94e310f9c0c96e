"""LoRA adapters are rolled out onto servers that run: loaded first, routed after, never renamed."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.engine.driving import Engine
from tests.engine.lora_world import WAYS, LoraWorld

pytestmark = pytest.mark.looptime


async def started(world: LoraWorld, engine: Engine, **said: Any) -> None:
    """v1 has all the traffic, and a commit asks for v2."""
    await world.until_applied(engine, world.declare("v1", **said))
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).candidate is not None)


async def test_the_first_adapter_is_loaded_everywhere_before_its_alias_leads_to_it() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        commit = world.declare("v1")
        await world.until_applied(engine, commit)
        assert world.has("v1") == [True, True]
        await world.until(lambda: world.to("v1") > 100)
        assert world.missed == []


async def test_a_good_adapter_takes_every_step_and_the_old_one_goes_after_it_was_kept_warm() -> (
    None
):
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_serving(engine, "v2")
        assert world.ways["one"] == WAYS
        assert world.has("v1") == [True, True]
        began = world.clock.monotonic()
        await world.until(lambda: world.has("v1") == [False, False])
        assert world.clock.monotonic() - began > 110
        assert world.has("v2") == [True, True]
        assert (world.missed, world.strays) == ([], [])
        assert world.bad_answers("v2") == 0
