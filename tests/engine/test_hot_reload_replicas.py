"""Replicas that refuse, hang, load slowly or begin anew under adapters that are rolled out."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.surfaces.engine_status import EngineStatus
from tests.engine.lora_world import SERVER, LoraWorld, named
from tests.engine.rollout_world import model
from tests.engine.test_hot_reload import loads_told, started

pytestmark = pytest.mark.looptime


async def test_a_server_that_refuses_an_adapter_ends_its_rollout_before_any_traffic() -> None:
    world = LoraWorld()
    world.refusals["v2"] = "rank 64 is greater than max_lora_rank 16"
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.state(engine).failure is not None)
        assert "rank 64 is greater" in world.state(engine).failure.reason
        assert world.state(engine).serving.version == "v1"
        assert world.ways["one"] == ["v1"]
        assert world.to("v2") == 0


async def test_a_first_adapter_that_is_refused_gets_no_alias_and_the_next_one_does() -> None:
    world = LoraWorld()
    world.refusals["v1"] = "no such file"
    async with world.running() as engine:
        world.declare("v1")
        await world.until(lambda: len(world.servers()) == 2)
        for _ in range(60):
            await asyncio.sleep(1.0)
            assert world.rules() == []
        (status,) = EngineStatus(engine, repository="acme", clock=world.clock).status().rollouts
        assert "no such file" in status.why
        assert [told[:2] for told in await loads_told(world)] == [("load", named("v1"))]
        await world.until_applied(engine, world.declare("v2"))
        await world.until(lambda: world.to("v2") > 100)
        assert (world.missed, world.strays, world.to("v1")) == ([], [], 0)


async def test_a_replica_that_does_not_answer_keeps_a_new_adapter_waiting() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.silent.add("base-v1-1")
        world.declare("v2")
        await world.until(lambda: world.has("v2") == [True, False])
        for _ in range(60):
            await asyncio.sleep(1.0)
            assert world.ways["one"] == ["v1"]
        world.silent.clear()
        await world.until_serving(engine, "v2")
        assert (world.missed, world.strays) == ([], [])


async def test_a_replica_that_begins_anew_is_loaded_before_a_new_adapter_gets_traffic() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.silent.add("base-v1-1")
        world.declare("v2")
        await world.until(lambda: world.has("v2") == [True, False])
        world.restart(0)
        world.silent.clear()
        await world.until(lambda: world.ways["one"] == ["v1", "v1 cohort"])
        assert world.has("v2") == world.has("v1") == [True, True]
        assert all(version == "v1" for _, version in world.missed)


async def test_a_replica_that_begins_anew_has_its_adapters_again_within_a_second() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.restart(0)
        at = world.clock.monotonic()
        await world.until_serving(engine, "v2")
        assert all(when - at <= 1.25 for when, _ in world.missed)


async def test_a_replica_that_is_probed_before_it_is_ready_has_its_adapters_by_then() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await started(world, engine)
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.restart(0, unready=2.5)
        await world.until_serving(engine, "v2")
        assert (world.missed, world.strays) == ([], [])


async def test_a_replica_that_takes_long_keeps_no_other_without_its_adapters() -> None:
    world = LoraWorld()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        world.replicas["one"].slow.add("base-v1-1")
        world.declare("v2")
        await world.until(lambda: world.has("v2") == [True, False])
        world.restart(0)
        at = world.clock.monotonic()
        await world.until(lambda: world.has("v1") == [True, True])
        assert world.clock.monotonic() - at < 4.0
        await world.until_serving(engine, "v2")
        assert all(when - at < 4.0 for when, _ in world.missed)


async def test_a_server_of_another_version_has_the_adapters_when_it_is_ready() -> None:
    world = LoraWorld()
    world.probe_seconds = 2.5
    newer = {
        "models/base.yaml": model("v1", "v2").replace("fraud", "base"),
        "rollouts/base.yaml": SERVER.replace("version: v1", "version: v2").replace(
            "WAVES", "{clusters: {env: one}}"
        ),
    }
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        await world.until(lambda: world.to("v1") > 100)
        before = {server.uid for server in world.servers()}
        await world.until_applied(engine, world.declare("v1", files=newer))
        await world.until(lambda: before.isdisjoint(server.uid for server in world.servers()))
        answered = world.to("v1")
        await world.until(lambda: world.to("v1") > answered + 500)
        assert (world.missed, world.strays) == ([], [])
