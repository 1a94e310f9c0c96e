"""A state database that is lost during a rollout: it begins anew from the version that serves."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import COMMIT_ANNOTATION
from tests.engine.rollout_world import RolloutWorld

pytestmark = pytest.mark.looptime


async def until_on_its_way(world: RolloutWorld) -> None:
    """v2 has a quarter of the requests when the daemon stops and its database is lost."""
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.declare("v2")
        await world.until(lambda: world.shares() == {"v1": 75, "v2": 25})
    world.store = MemoryStateStore()


async def test_a_version_on_its_way_takes_its_steps_again() -> None:
    world = RolloutWorld()
    await until_on_its_way(world)
    world.ways["one"].clear()
    async with world.running() as engine:
        await world.until(lambda: "fraud" in engine.books.position.journal)
        await world.until_serving(engine, "v2")
        weights = [way for way in world.ways["one"] if way.startswith("v2")]
        assert weights[-3:] == ["v2 5", "v2 25", "v2 100"]
    assert world.bad_answers("v1") == 0


async def test_it_is_taken_back_to_the_version_before_when_it_fails() -> None:
    world = RolloutWorld()
    await until_on_its_way(world)
    world.errors["v2"] = 0.5
    async with world.running() as engine:
        await world.until(lambda: "fraud" in engine.books.position.journal)
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")


async def test_one_that_was_taken_back_does_not_get_everything() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 1.0
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.declare("v2", extra="  onFailure: hold\n")
        await world.until(lambda: world.state(engine).failure is not None)
        await world.until_serving(engine, "v1")
    world.store = MemoryStateStore()
    async with world.running() as engine:
        await world.until(lambda: "fraud" in engine.books.position.journal)
        await world.until(lambda: world.state(engine).failure is not None)
        assert not any(way.startswith("v2 100") for way in world.ways["one"])


async def test_waves_begin_again_from_the_first() -> None:
    world = RolloutWorld("one", "two")
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.declare("v2")
        await world.until(lambda: world.shares("two") == {"v1": 95, "v2": 5})
        assert world.shares("one") == {"v2": 100}
    world.store = MemoryStateStore()
    async with world.running() as engine:
        await world.until(lambda: "fraud" in engine.books.position.journal)
        await world.until(lambda: world.shares("two") == {"v1": 100})
        await world.until_serving(engine, "v2")
    assert world.bad_answers("v1") == 0


async def test_a_version_that_had_everything_keeps_it() -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.declare("v2")
        await world.until_serving(engine, "v2")
        await world.until_applied(engine, second)
    world.store = MemoryStateStore()
    world.ways["one"].clear()
    async with world.running() as engine:
        await world.until_applied(engine, second)
        await world.until(lambda: bool(world.ways["one"]))
        assert world.ways["one"] == ["v2 100"]
        assert world.state(engine).serving is not None


async def test_a_commit_that_an_object_names_counts_only_in_the_past_of_the_branch() -> None:
    """Whoever may write a Deployment may write the name of any commit into it."""
    world = RolloutWorld()
    await until_on_its_way(world)
    good = world.repository.head
    assert good is not None
    never = world.declare("v1", digit="e")
    await world.repository.fetch()
    world.repository.rewrite(good)
    await world.repository.fetch()
    deployment = ObjectKey("apps", "Deployment", "team-a", "fraud-v1")

    def change(body: Any) -> None:
        body["metadata"]["annotations"][COMMIT_ANNOTATION] = never

    world.cluster.edit_as("kubectl-edit", deployment, change)
    async with world.running() as engine:
        await world.until(lambda: "fraud" in engine.books.position.journal)
        ledger = engine.books.ledger(world.cluster.name)
        commits = {one.applied.commit for one in ledger.entries.values() if one.applied}
        assert never not in commits
