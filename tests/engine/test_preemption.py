"""A newer commit does not wait for an older one, and a storm of commits costs a few applies."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from reconciler.core.ledger import Standing
from reconciler.engine.performing import CHUNK
from tests.engine.faults import SlowCluster
from tests.engine.world import STUCK, World, config_map, deployment, deployment_key

pytestmark = pytest.mark.looptime


def many(count: int, value: str = "1") -> dict[str, bytes | None]:
    return {f"apps/web/{n}.yaml": config_map(f"c{n}", value) for n in range(count)}


def slow(world: World, seconds: float = 0.05) -> dict[str, object]:
    return {"clusters": {n: SlowCluster(c, seconds=seconds) for n, c in world.clusters.items()}}


async def test_a_commit_that_mends_takes_over_at_once_from_one_that_hangs() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/d.yaml": deployment("d")})
        )
        world.push({"apps/web/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: STUCK * 64 in str(world.cluster.peek(deployment_key("d"))))
        began = world.clock.monotonic()
        mended = world.push({"apps/web/d.yaml": deployment("d", "b")})
        engine.branch.hint()
        await world.until_applied(engine, mended)
        assert world.clock.monotonic() - began < 2
        assert world.standing(engine, "web") is Standing.SETTLED


async def test_a_commit_takes_over_within_a_chunk_of_a_large_one() -> None:
    world = World()
    async with world.running(**slow(world)) as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/d.yaml": deployment("d")})
        )
        world.push(many(1000))
        await world.until(lambda: world.cluster.count("apply") > 10)
        last = world.push({f"apps/web/{n}.yaml": None for n in range(1000)})
        engine.branch.hint()
        await world.until_applied(engine, last)
        # The chunk under way, and one whose turn had come.
        assert world.cluster.count("apply") <= 1 + 2 * CHUNK
        assert len(world.writes()) <= 1 + 4 * CHUNK


async def test_a_thousand_commits_pushed_fast_converge_to_the_last() -> None:
    world = World()
    async with world.running(**slow(world, 0.02)) as engine:
        await world.until_applied(engine, world.start_repository(many(20, "start")))
        world.cluster.requests.clear()
        for number in range(1000):
            last = world.push(
                {f"apps/web/{number % 20}.yaml": config_map(f"c{number % 20}", str(number))}
            )
            engine.branch.hint()
            await asyncio.sleep(0.002)
        await world.until_applied(engine, last)
        assert [world.value(f"c{n}") for n in range(20)] == [str(980 + n) for n in range(20)]
        applies = Counter(r.key for r in world.cluster.requests if r.verb == "apply")
        assert max(applies.values()) <= 3


async def test_a_storm_that_does_not_end_is_answered_all_the_same() -> None:
    world = World()
    async with world.running(**slow(world, 0.02)) as engine:
        await world.until_applied(engine, world.start_repository(many(20, "start")))
        for number in range(300):
            world.push({"apps/web/0.yaml": config_map("c0", f"v{number}")})
            engine.branch.hint()
            await asyncio.sleep(0.1)
        assert world.value("c0") != "start"


async def test_a_lone_commit_does_not_wait_for_quiet() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(many(3)))
        await asyncio.sleep(10)
        began = world.clock.monotonic()
        commit = world.push({"apps/web/0.yaml": config_map("c0", "2")})
        engine.branch.hint()
        await world.until_applied(engine, commit)
        assert world.clock.monotonic() - began < 0.1


async def test_a_unit_that_hangs_does_not_delay_commits_to_others() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(many(1)))
        world.push({"apps/slow/d.yaml": deployment("d", STUCK)})
        await world.until(lambda: world.cluster.peek(deployment_key("d")) is not None)
        for number in range(5):
            began = world.clock.monotonic()
            world.push({"apps/web/0.yaml": config_map("c0", f"v{number}")})
            engine.branch.hint()
            await world.until(lambda: world.value("c0") == f"v{number}")  # noqa: B023
            await world.until_standing(engine, "web", Standing.SETTLED)
            assert world.clock.monotonic() - began < 2
        assert world.standing(engine, "slow") is Standing.PROGRESSING


async def test_nothing_is_asked_of_the_server_while_nothing_changes() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(many(50)))
        await asyncio.sleep(1)
        before = len(world.cluster.requests)
        await asyncio.sleep(3600)
        assert len(world.cluster.requests) == before


async def test_a_commit_that_changes_no_object_writes_to_no_cluster() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(many(50)))
        before = len(world.cluster.requests)
        await world.until_applied(engine, world.push({"README.md": b"words"}))
        assert len(world.cluster.requests) == before
