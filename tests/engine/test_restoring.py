"""Putting back what failed takes as long as it takes, and holds up nothing else."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.git_memory import MemoryRepository
from reconciler.core.commits import TreeDifference
from reconciler.core.errors import Missing, Unavailable
from reconciler.core.identifiers import CommitSha
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from tests.engine.world import BROKEN, STUCK, World, config_map, config_map_key, deployment

pytestmark = pytest.mark.looptime

FRESH = config_map_key("fresh")


def failing(digit: str = BROKEN) -> dict[str, bytes | None]:
    """A commit that creates a ConfigMap, and a Deployment that fails."""
    return {"apps/web/d.yaml": deployment("d", digit), "apps/web/f.yaml": config_map("fresh")}


async def two_units(world: World, engine) -> CommitSha:
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/db/b.yaml": config_map("b")}
    )
    await world.until_applied(engine, first)
    return first


def finalized(*names: str):
    def change(body: JsonObject) -> None:
        body["metadata"]["finalizers"] = list(names)

    return change


async def test_a_deletion_that_does_not_get_through_holds_up_no_other_unit() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.cluster.fail(Unavailable("away"), verb="delete", key=FRESH, times=1000)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        world.push({"apps/db/b.yaml": config_map("b", "2")})
        await world.until(lambda: world.value("b") == "2", seconds=60)
        assert world.standing(engine, "web") is Standing.HELD


async def test_an_object_that_finalizers_keep_holds_up_passes_for_seconds_only() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing(STUCK))
        await world.until(lambda: world.cluster.peek(FRESH) is not None)
        world.cluster.edit_as("someone", FRESH, finalized("example.com/keeps-it"))
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(120)
        world.push({"apps/db/b.yaml": config_map("b", "2")})
        await world.until(lambda: world.value("b") == "2", seconds=20)
        assert world.cluster.peek(FRESH) is not None


async def test_what_finalizers_kept_is_forgotten_when_it_is_gone() -> None:
    world = World()
    async with world.running() as engine:
        await two_units(world, engine)
        world.push(failing(STUCK))
        await world.until(lambda: world.cluster.peek(FRESH) is not None)
        world.cluster.edit_as("someone", FRESH, finalized("example.com/keeps-it"))
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(120)
        world.cluster.edit_as("someone", FRESH, finalized())
        await world.until(lambda: FRESH not in engine.books.ledger(world.cluster.name).entries)


class Forgetful:
    """A repository that lacks one commit."""

    def __init__(self, repository: MemoryRepository, lost: CommitSha) -> None:
        self._repository = repository
        self._lost = lost

    def __getattr__(self, name: str) -> object:
        return getattr(self._repository, name)

    async def difference(self, base: CommitSha | None, head: CommitSha) -> TreeDifference:
        if head == self._lost:
            raise Missing(f"no commit {head}")
        return await self._repository.difference(base, head)


async def test_a_unit_whose_settled_commit_is_lost_does_not_stop_the_daemon() -> None:
    world = World()
    async with world.running() as engine:
        first = await two_units(world, engine)
        world.cluster.fail(Unavailable("away"), verb="delete", key=FRESH, times=1000)
        world.push(failing())
        await world.until_standing(engine, "web", Standing.HELD)
        await asyncio.sleep(1)
    async with world.running(repository=Forgetful(world.repository, first)) as engine:
        world.push({"apps/db/b.yaml": config_map("b", "2")})
        await world.until(lambda: world.value("b") == "2", seconds=60)
        assert world.cluster.peek(FRESH) is not None
