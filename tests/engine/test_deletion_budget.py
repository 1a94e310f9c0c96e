"""Deletions beyond the budget are refused until a commit names exactly them."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.world import World, config_map, config_map_key, namespace, policy

pytestmark = pytest.mark.looptime

FILES = {f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(20)}
BUDGET = {"percent": 10, "objects": 20}


async def started(world: World, engine) -> None:
    await world.until_applied(engine, world.start_repository(FILES, **BUDGET))


def gone(*numbers: int) -> dict[str, bytes | None]:
    return {f"apps/web/{n}.yaml": None for n in numbers}


def identity(engine) -> str:
    return engine.reconciler.plan.clusters[0].deletions.identity


def released(identity: str) -> dict[str, bytes | None]:
    return {"fairlead.yaml": policy("one", **BUDGET, extra=f"  release: {identity}\n")}


async def test_deletions_within_the_budget_go_through() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_applied(engine, world.push(gone(1, 2)))
        assert world.value("c1") is None


async def test_deletions_beyond_the_budget_are_refused_with_what_would_release_them() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_refused(engine, world.push(gone(1, 2, 3)))
        explanation = engine.books.position.explanation
        assert "3 of 20 objects would be lost, the budget is 2" in explanation
        assert identity(engine) in explanation
        assert world.cluster.count("delete") == 0


async def test_a_commit_that_names_the_deletions_releases_them() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_refused(engine, world.push(gone(1, 2, 3)))
        await world.until_applied(engine, world.push(released(identity(engine))))
        assert world.value("c3") is None


async def test_a_release_opens_no_other_door() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_refused(engine, world.push(gone(1, 2, 3)))
        more = world.push({**released(identity(engine)), **gone(4)})
        await world.until_refused(engine, more)
        assert world.cluster.count("delete") == 0


async def test_a_candidate_cannot_raise_the_budget_that_judges_it() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        bad = world.push({**gone(1, 2, 3), "fairlead.yaml": policy("one", percent=100)})
        await world.until_refused(engine, bad)
        assert world.cluster.count("delete") == 0


async def test_what_holds_data_is_not_deleted_even_within_the_budget() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_applied(engine, world.push({"apps/ns/n.yaml": namespace("team-c")}))
        await world.until_refused(engine, world.push({"apps/ns/n.yaml": None}))
        assert "would take data or other objects along" in engine.books.position.explanation
        assert world.cluster.count("delete") == 0


async def test_a_tree_without_a_policy_deletes_nothing() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        empty = world.push(
            {"fairlead.yaml": None, "clusters/one.yaml": None, **dict.fromkeys(FILES, None)}
        )
        await world.until_refused(engine, empty)
        await asyncio.sleep(600)
        assert world.cluster.count("delete") == 0
        world.cluster.delete_as_other(config_map_key("c1"))
        await world.until(lambda: world.value("c1") == "1")


async def test_a_refused_deletion_does_not_keep_later_commits_waiting() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        await world.until_refused(engine, world.push(gone(1, 2, 3)))
        world.push({"apps/new/a.yaml": config_map("a")})
        await world.until(lambda: world.value("a") == "1")
        assert world.cluster.count("delete") == 0


async def test_taking_the_deletions_back_settles_everything() -> None:
    world = World()
    async with world.running() as engine:
        await started(world, engine)
        bad = world.push(gone(1, 2, 3))
        await world.until_refused(engine, bad)
        await world.until_applied(engine, world.repository.revert(bad))
        assert world.cluster.count("delete") == 0
