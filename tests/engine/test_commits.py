"""A commit goes to the cluster, or nothing of it does."""

from __future__ import annotations

import pytest

from tests.engine.world import World, config_map, config_map_key, deployment

pytestmark = pytest.mark.looptime


async def test_the_first_commit_is_applied() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a", "1")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
    assert world.value("a") == "1"


async def test_a_commit_that_changes_one_object_costs_two_requests() -> None:
    world = World()
    files = {f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(50)}
    first = world.start_repository(files)
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.cluster.requests)
        second = world.push({"apps/web/7.yaml": config_map("c7", "2")})
        await world.until_applied(engine, second)
        assert [r.verb for r in world.cluster.requests[before:]] == ["dry-run", "apply"]


async def test_a_file_that_goes_takes_its_object_along() -> None:
    world = World()
    world.start_repository({"apps/web/a.yaml": config_map("a"), "apps/web/b.yaml": config_map("b")})
    second = world.push({"apps/web/b.yaml": None})
    async with world.running() as engine:
        await world.until_applied(engine, second)
    assert world.cluster.peek(config_map_key("b")) is None


async def test_an_invalid_commit_leaves_the_last_good_one_in_force() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        bad = world.push({"apps/web/a.yaml": b"kind: ConfigMap\nkind: Secret\n"})
        await world.until_refused(engine, bad)
        assert engine.books.position.accepted == first
        assert "apps/web/a.yaml:1" in engine.books.position.explanation
    assert world.value("a") == "1"


async def test_a_commit_that_the_server_refuses_is_not_applied_in_part() -> None:
    world = World()
    first = world.start_repository({"apps/web/a.yaml": config_map("a")})
    async with world.running() as engine:
        await world.until_applied(engine, first)
        bad = world.push(
            {
                "apps/web/a.yaml": config_map("a", "2"),
                "apps/web/b.yaml": config_map("b", namespace="team-unknown"),
            }
        )
        await world.until_refused(engine, bad)
        assert world.cluster.count("apply") == 1
    assert world.value("a") == "1"


async def test_a_revert_restores_the_digests_of_before() -> None:
    world = World()
    first = world.start_repository(
        {"apps/web/a.yaml": config_map("a"), "apps/web/d.yaml": deployment("d")}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = _digests(engine)
        second = world.push({"apps/web/a.yaml": config_map("a", "2"), "apps/web/d.yaml": None})
        await world.until_applied(engine, second)
        assert _digests(engine) != before
        third = world.repository.revert(second)
        await world.until_applied(engine, third)
        assert _digests(engine) == before


def _digests(engine) -> dict[str, str]:
    (cluster,) = engine.books.clusters
    entries = engine.books.ledger(cluster).entries.values()
    return {str(e.key): e.applied.manifest.digest for e in entries if e.applied}


async def test_a_deletion_settles_without_waiting_for_the_health_of_anything() -> None:
    world = World()
    world.start_repository({"apps/web/a.yaml": config_map("a"), "apps/web/b.yaml": config_map("b")})
    async with world.running() as engine:
        await world.until_applied(engine, world.push({}))
        before = world.clock.monotonic()
        await world.until_applied(engine, world.push({"apps/web/b.yaml": None}))
        assert world.clock.monotonic() - before < 10
