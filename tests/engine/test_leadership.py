"""One writer per cluster: a daemon that lost its lease writes nothing, and another carries on."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack

import pytest

from reconciler.core.audit.records import Phase, Verb
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import ClusterName
from reconciler.engine.performing import CHUNK
from tests.engine.faults import LeaseLine, SlowCluster
from tests.engine.world import World, config_map, config_map_key

pytestmark = pytest.mark.looptime

ONE = ClusterName("one")

MANY = {f"apps/web/{n}.yaml": config_map(f"c{n}", "2") for n in range(4 * CHUNK)}


class Daemon:
    """What one daemon has of its own: its line to the lease, its connection to the cluster."""

    def __init__(self, world: World, identity: str, *, seconds: float = 0.0) -> None:
        self.identity = identity
        self.lines = {name: LeaseLine(store) for name, store in world.leases.items()}
        self.clusters = {
            name: WritesCounted(cluster, seconds) for name, cluster in world.clusters.items()
        }

    @property
    def ports(self) -> dict[str, object]:
        return {"identity": self.identity, "leases": self.lines, "clusters": self.clusters}

    @property
    def writes(self) -> list[float]:
        return [at for cluster in self.clusters.values() for at in cluster.writes]


class WritesCounted(SlowCluster):
    def __init__(self, cluster, seconds: float) -> None:
        super().__init__(cluster, seconds=seconds)
        self.writes: list[float] = []
        self.effects: list[float] = []

    async def apply(self, body, *, dry_run, force=False):
        if not dry_run:
            self.writes.append(asyncio.get_running_loop().time())
        stored = await super().apply(body, dry_run=dry_run, force=force)
        self.effects.append(asyncio.get_running_loop().time())
        return stored

    async def delete(self, key, api_version, *, uid):
        self.writes.append(asyncio.get_running_loop().time())
        return await super().delete(key, api_version, uid=uid)


async def test_of_two_daemons_one_writes() -> None:
    world = World()
    a, b = Daemon(world, "a"), Daemon(world, "b")
    async with world.running(**a.ports) as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        async with world.running(**b.ports):
            for value in "23456":
                await world.until_applied(
                    engine, world.push({"apps/web/a.yaml": config_map("a", value)})
                )
            world.cluster.delete_as_other(config_map_key("a"))
            await world.until(lambda: world.value("a") == "6")
            await asyncio.sleep(60)
    assert len(a.writes) == 7
    assert not b.writes


async def test_the_other_daemon_takes_over_at_once_from_one_that_stops() -> None:
    world = World()
    a, b = Daemon(world, "a"), Daemon(world, "b")
    async with world.running(**b.ports) as second:
        async with world.running(**a.ports) as first:
            commit = world.start_repository({"apps/web/a.yaml": config_map("a")})
            await world.until(lambda: world.value("a") == "1")
            await world.until(
                lambda: (
                    commit
                    in (
                        *first.books.position.applied.values(),
                        *second.books.position.applied.values(),
                    )
                )
            )
        await asyncio.sleep(30)
        last = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await world.until_applied(second, last)
        assert world.value("a") == "2"


async def test_a_daemon_that_stops_lets_go_of_its_lease_after_its_last_write() -> None:
    world = World()
    a, b = Daemon(world, "a", seconds=3.0), Daemon(world, "b")
    async with AsyncExitStack() as stack:
        leaving = world.running(**a.ports)
        first = await leaving.__aenter__()
        await world.until(lambda: bool(first.leader.sessions))
        second = await stack.enter_async_context(world.running(**b.ports))
        last = world.start_repository(MANY)
        await world.until(lambda: len(a.writes) > 50)
        await leaving.__aexit__(None, None, None)
        await world.until_applied(second, last)
    assert max(a.clusters[ONE].effects) < min(b.writes)
    assert not await world.store.pending()


async def test_an_answer_that_comes_after_the_lease_was_lost_ends_no_daemon() -> None:
    world = World()
    a, b = Daemon(world, "a"), Daemon(world, "b")
    async with world.running(**a.ports) as first:
        await world.until_applied(
            first, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        async with world.running(**b.ports) as second:
            a.clusters[ONE]._seconds = 120.0
            last = world.push({f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(9)})
            await world.until(lambda: bool(a.writes[1:]))
            a.lines[ONE].error = Unavailable("partitioned")
            await world.until_applied(second, last)
            await asyncio.sleep(600)
            assert not await world.store.pending()
            assert all(world.value(f"c{n}") == "1" for n in range(9))


async def test_a_daemon_that_loses_its_lease_in_the_middle_of_a_wave_writes_no_more() -> None:
    world = World()
    a, b = Daemon(world, "a", seconds=2.0), Daemon(world, "b")
    async with world.running(**a.ports) as first:
        await world.until_applied(
            first, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        async with world.running(**b.ports) as second:
            last = world.push(MANY)
            await world.until(lambda: len(a.writes) > 50)
            a.lines[ONE].error = Unavailable("partitioned")
            cut = asyncio.get_running_loop().time()
            await world.until_applied(second, last)
            assert all(at - cut <= 10 for at in a.writes)
            assert max(a.writes) < min(b.writes)
        assert all(world.value(f"c{n}") == "2" for n in range(4 * CHUNK))


async def test_both_daemons_live_on_after_a_partition_and_the_log_is_whole() -> None:
    world = World()
    a, b = Daemon(world, "a", seconds=1.0), Daemon(world, "b", seconds=1.0)
    async with world.running(**a.ports) as first, world.running(**b.ports) as second:
        engines = {"a": first, "b": second}
        await world.until(lambda: any(e.leader.sessions for e in engines.values()))
        world.start_repository({"apps/web/a.yaml": config_map("a")})
        for round_ in range(6):
            last = world.push(
                {f"apps/web/{n}.yaml": config_map(f"c{n}", f"v{round_}") for n in range(100)}
            )
            writes = len(world.writes())
            await world.until(lambda: len(world.writes()) > writes + 20)  # noqa: B023
            leading = a if first.leader.sessions else b
            leading.lines[ONE].error = Unavailable("partitioned")
            await asyncio.sleep(40)
            leading.lines[ONE].error = None
        await world.until_async(lambda: applied_in_store(world, last))
        assert all(world.value(f"c{n}") == "v5" for n in range(100))
        assert not await world.store.pending()
    assert_alternating(sorted((at, "a") for at in a.writes), sorted((at, "b") for at in b.writes))


async def applied_in_store(world: World, commit: str) -> bool:
    return (await world.store.position()).applied.get(ONE) == commit


def assert_alternating(ours: list[tuple[float, str]], theirs: list[tuple[float, str]]) -> None:
    """Writes of one daemon and the other come in blocks, six partitions apart at most."""
    order = [who for _, who in sorted([*ours, *theirs])]
    changes = sum(1 for one, two in itertools.pairwise(order) if one != two)
    assert changes <= 6


async def test_records_carry_an_epoch_that_grows_with_every_holder() -> None:
    world = World()
    world.start_repository({"apps/web/a.yaml": config_map("a")})
    for round_ in range(3):
        async with world.running(identity=f"daemon-{round_}") as engine:
            last = world.push({"apps/web/a.yaml": config_map("a", f"v{round_}")})
            await world.until_applied(engine, last)
    epochs = [r.detail["epoch"] for r in await world.records(Phase.INTENT)]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 3
    leads = [r.detail["epoch"] for r in await world.records() if r.verb is Verb.LEAD]
    assert leads == sorted(set(leads))


async def test_an_outage_of_the_lease_shorter_than_the_tenure_goes_unnoticed() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        session = engine.leader.sessions[ONE]
        world.leases[ONE].error = Unavailable("away")
        await asyncio.sleep(4)
        world.leases[ONE].error = None
        await asyncio.sleep(30)
        assert engine.leader.sessions[ONE] is session


async def test_a_daemon_that_got_its_lease_back_goes_on() -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(
            engine, world.start_repository({"apps/web/a.yaml": config_map("a")})
        )
        world.leases[ONE].error = Unavailable("away")
        await asyncio.sleep(60)
        assert not engine.leader.sessions
        second = world.push({"apps/web/a.yaml": config_map("a", "2")})
        await asyncio.sleep(60)
        assert world.value("a") == "1"
        world.leases[ONE].error = None
        await world.until_applied(engine, second)


async def test_a_lease_lost_while_a_commit_is_put_back_is_carried_on_by_the_next_holder() -> None:
    from tests.engine.world import BROKEN, deployment

    world = World()
    a, b = Daemon(world, "a", seconds=3.0), Daemon(world, "b")
    async with world.running(**a.ports) as first:
        await world.until_applied(
            first,
            world.start_repository(
                {f"apps/web/{n}.yaml": config_map(f"c{n}") for n in range(100)}
                | {"apps/db/d.yaml": deployment("d")}
            ),
        )
        async with world.running(**b.ports):
            world.push(
                {f"apps/web/{n}.yaml": config_map(f"c{n}", "2") for n in range(100)}
                | {"apps/db/d.yaml": deployment("d", BROKEN)}
            )
            await world.until(
                lambda: first.books.ledger(ONE).units["manifests/apps/db"].standing == "held"
            )
            a.lines[ONE].error = Unavailable("partitioned")
            await world.until(lambda: bool(b.writes))
            await world.until(lambda: all(world.value(f"c{n}") == "1" for n in range(100)))
