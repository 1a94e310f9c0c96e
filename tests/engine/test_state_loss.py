"""When the state database or a whole cluster is lost, the other one is enough."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.identifiers import ClusterName
from tests.engine.world import World, config_map, config_map_key, deployment, fares_by_image, policy

pytestmark = pytest.mark.looptime


def files(count: int = 10) -> dict[str, bytes | None]:
    return {f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(count)} | {
        "apps/web/d.yaml": deployment("d")
    }


async def test_a_full_cluster_is_adopted_by_an_empty_store_without_a_write() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
    world.store = MemoryStateStore()
    writes = len(world.writes())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        entries = engine.books.ledger(world.cluster.name).entries.values()
        assert len(entries) == 11
        assert all(entry.applied for entry in entries)
    assert len(world.writes()) == writes


async def test_what_an_empty_store_adopted_is_kept_in_place() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
    world.store = MemoryStateStore()
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.cluster.delete_as_other(config_map_key("c3"))
        await world.until(lambda: world.value("c3") == "1")


async def test_an_orphan_goes_when_the_budget_allows_it() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
    world.store = MemoryStateStore()
    second = world.push({"apps/web/3.yaml": None})
    async with world.running() as engine:
        await world.until_applied(engine, second)
        await world.until(lambda: world.value("c3") is None)
        await world.until(lambda: world.value("c4") == "1")


async def test_orphans_beyond_the_budget_stay_until_a_commit_releases_them() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files(), objects=3))
    world.store = MemoryStateStore()
    second = world.push({f"apps/web/{n}.yaml": None for n in range(6)})
    async with world.running() as engine:
        await world.until_refused(engine, second)
        await asyncio.sleep(60)
        assert world.value("c3") == "1"
        identity = engine.reconciler.plan.clusters[0].deletions.identity
        third = world.push(
            {"fairlead.yaml": policy("one", objects=3, extra=f"  release: {identity}\n")}
        )
        await world.until_applied(engine, third)
        assert world.value("c3") is None


async def test_the_share_of_orphans_is_of_what_we_own_and_not_of_an_empty_ledger() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files(20), percent=10))
    world.store = MemoryStateStore()
    second = world.push({"apps/web/3.yaml": None})
    async with world.running() as engine:
        await world.until_applied(engine, second)
        assert world.value("c3") is None


async def test_objects_of_others_are_no_orphans() -> None:
    world = World()
    world.cluster.apply_as(
        "helm",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "theirs",
                "namespace": "team-a",
                "labels": {"fairlead.dev/repository": "acme"},
            },
            "data": {"value": "theirs"},
        },
    )
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
        await asyncio.sleep(60)
        assert world.value("theirs") == "theirs"


async def test_a_cluster_that_was_lost_is_built_up_from_the_ledger() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
    name = ClusterName("one")
    world.clusters[name] = MemoryCluster(name, clock=world.clock, status=fares_by_image)
    for team in ("team-a", "team-b"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}}
        world.cluster.apply_as("kubectl", body)
    async with world.running():
        await world.until(lambda: all(world.value(f"c{n}") == "1" for n in range(10)))


async def test_a_cluster_that_was_lost_gets_the_newest_commit_when_one_comes_meanwhile() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository(files()))
    name = ClusterName("one")
    world.clusters[name] = MemoryCluster(name, clock=world.clock, status=fares_by_image)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    world.cluster.apply_as("kubectl", body)
    second = world.push({"apps/web/3.yaml": None, "apps/web/4.yaml": config_map("c4", "2")})
    async with world.running() as engine:
        await world.until_applied(engine, second)
        await world.until(lambda: (world.value("c4"), world.value("c5")) == ("2", "1"))
        assert world.value("c3") is None


async def test_both_lost_is_a_first_sync() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
    fresh = World()
    fresh.repository = world.repository
    async with fresh.running() as engine:
        await fresh.until_applied(engine, first)
        assert fresh.value("c3") == "1"
