"""Adapters and prompts under real requests, through a real gateway, on servers that stay up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reconciler.core.rollouts.states import Phase
from tests.rollouts.adapter_world import RealAdapters
from tests.rollouts.prompt_world import RealPrompts


@pytest.fixture(params=[RealAdapters, RealPrompts], ids=["adapter", "prompt"])
async def world(request: pytest.FixtureRequest, gateway_plane) -> AsyncIterator[RealAdapters]:
    made = request.param(gateway_plane)
    try:
        yield made
    finally:
        await made.close()


async def test_a_version_is_swapped_without_a_dropped_or_wrong_answer(
    world: RealAdapters,
) -> None:
    async with world.running() as engine:
        first = world.declare("v1")
        await world.soon(lambda: engine.books.position.applied.get("one") == first)
        servers = await world.servers()
        await world.until_asked_for()
        async with world.asking():
            await world.answered(50)
            world.declare("v2")
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
            await world.until_shares({"v2": 100})
            await world.answered(200)
        assert world.answers.keys() == {"v1", "v2"}
        assert world.wrong == []
        assert await world.servers() == servers
