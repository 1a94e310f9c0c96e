"""Rights of the daemon in single namespaces: looked at before it writes there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from reconciler.core.errors import Misconfigured
from reconciler.core.manifests import JsonObject
from reconciler.engine.guarding import AGAIN_SECONDS, GuardedLease, RightsReview
from reconciler.ports import Lease
from tests.engine.world import World, config_map

ENOUGH: JsonObject = {"verbs": ["patch"], "apiGroups": [""], "resources": ["configmaps"]}
SECRETS: JsonObject = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


pytestmark = pytest.mark.looptime


@pytest.fixture
async def world() -> World:
    made = World()
    made.cluster.granted = lambda _: (ENOUGH,)
    return made


def reading_secrets_in(*namespaces: str) -> Callable[[str], tuple[JsonObject, ...]]:
    return lambda asked: (ENOUGH, SECRETS) if asked in namespaces else (ENOUGH,)


def review(world: World, *, tolerant: bool = False) -> RightsReview:
    return RightsReview(world.clusters, world.clock, tolerant=tolerant)


async def test_secrets_in_a_namespace_of_the_commit_refuse_it(world: World) -> None:
    world.cluster.granted = reading_secrets_in("team-a")
    head = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running(review=review(world)) as engine:
        await world.until_refused(engine, head)
        told = engine.books.position.explanation
    assert "may do too much in one: get on secrets in team-a" in told
    assert world.writes() == []


async def test_a_namespace_that_a_commit_adds_is_asked_about_before_it_is_written_to(
    world: World,
) -> None:
    world.cluster.granted = reading_secrets_in("team-b")
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running(review=review(world)) as engine:
        await world.until_applied(engine, first)
        added = world.push({"apps/web/b.yaml": config_map("b", namespace="team-b")})
        await world.until_refused(engine, added)
        assert "get on secrets in team-b" in engine.books.position.explanation
        assert ("apply", "ConfigMap/b") not in world.writes()
        # Whoever gave the right takes it back, and no commit is needed.
        world.cluster.granted = lambda _: (ENOUGH,)
        await world.until_applied(engine, added)


async def test_rights_that_came_later_end_the_daemon_within_an_hour(world: World) -> None:
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    engine = await world.engine(review=review(world))
    running = asyncio.create_task(engine.run())
    await world.until_applied(engine, first)
    world.cluster.granted = reading_secrets_in("team-a")
    with pytest.raises(Misconfigured, match="get on secrets in team-a"):
        async with asyncio.timeout(2 * AGAIN_SECONDS):
            await running


async def test_a_known_namespace_is_not_asked_about_at_each_commit(world: World) -> None:
    head = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running(review=review(world)) as engine:
        await world.until_applied(engine, head)
        asked = world.cluster.count("rights")
        await world.until_applied(engine, world.push({"apps/web/a.yaml": config_map("a", "2")}))
    assert (asked, world.cluster.count("rights")) == (2, 2)


async def test_the_lease_is_not_asked_for_with_secrets_where_there_are_objects(
    world: World,
) -> None:
    world.cluster.granted = reading_secrets_in("team-b")
    guarded = GuardedLease(
        _Never(), world.cluster.name, review(world), written=_written, answered=lambda _: None
    )
    with pytest.raises(Misconfigured, match="get on secrets in team-b"):
        async with guarded.hold():
            raise AssertionError("nobody has it")


async def test_for_development_too_much_is_only_told(world: World) -> None:
    world.cluster.granted = reading_secrets_in("team-a")
    head = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running(review=review(world, tolerant=True)) as engine:
        await world.until_applied(engine, head)


class _Never(Lease):
    def hold(self):
        raise AssertionError("the lease was asked for")


def _written() -> Iterator[str]:
    yield from ("team-a", "team-b")
