"""The process may die between any two writes; the next one carries on.

Random histories are played once to count the writes, then once for each point before and after
each write, with the engine killed there and a new one started on what was durable.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from tests.engine.mortality import Killed, Life, MortalCluster, MortalStore
from tests.engine.test_stages import files as stage_files
from tests.engine.world import (
    BROKEN,
    World,
    cluster_document,
    config_map,
    deployment,
    namespace,
    policy,
    role,
)

pytestmark = pytest.mark.looptime

Files = dict[str, bytes | None]

FIRST: Files = {
    "fairlead.yaml": policy("one"),
    "clusters/one.yaml": cluster_document("one", env="one"),
    "apps/x/keep.yaml": config_map("keep"),
}


def random_history(seed: int, *, commits: int = 4) -> list[Files]:
    """Commits that create, change, move and delete objects in three units."""
    chance = random.Random(seed)
    present: dict[str, str] = {}
    history: list[Files] = []
    for _ in range(commits):
        files: Files = {}
        for _ in range(chance.randint(1, 4)):
            unit, name = chance.choice("xyz"), chance.choice("abcd")
            path = f"apps/{unit}/{name}.yaml"
            if path in present and chance.random() < 0.4:
                files[path] = None
                del present[path]
            elif name in present.values() and path not in present:
                continue  # one object must not be declared twice
            else:
                present[path] = name
                make = deployment if name == "d" else config_map
                files[path] = make(name, chance.choice("abcd0123"))
        if files:
            history.append(files)
    return history


async def play(world: World, history: list[Files], *, dies_at: int | None) -> int:
    """Push the history commit by commit to one engine; returns the points it passed."""
    life = Life(dies_at)
    ports = {
        "store": MortalStore(world.store, life),
        "clusters": {n: MortalCluster(c, life, world.store) for n, c in world.clusters.items()},
    }
    with suppress(Killed):
        async with world.running(**ports) as engine:
            for files in [FIRST, *history]:
                commit = world.push(files)
                await world.until(lambda: life.dead or applied(engine, commit))  # noqa: B023
                if life.dead:
                    break
    return life.points


def applied(engine, commit: CommitSha) -> bool:
    return engine.books.position.applied.get(ClusterName("one")) == commit


def declared(world: World) -> dict[str, bytes]:
    files = world.repository._trees[world.repository._pushed]
    return {
        path.rpartition("/")[2].removesuffix(".yaml"): file.content
        for path, file in files.items()
        if path.startswith("apps/")
    }


def present(world: World) -> set[str]:
    return {key.name for key in world.objects() if key.kind in ("ConfigMap", "Deployment")}


async def points_of(seed: int) -> int:
    return await play(World(), random_history(seed), dies_at=None)


@pytest.mark.parametrize("seed", range(4))
async def test_a_kill_at_any_point_leaves_nothing_undone_and_nothing_behind(seed: int) -> None:
    history = random_history(seed)
    points = await points_of(seed)
    assert points > 4
    for point in range(points):
        world = World()
        await play(world, history, dies_at=point)
        last = world.push(FIRST | {"README.md": b"after the crash"})
        async with world.running() as engine:
            await world.until_applied(engine, last)
        assert present(world) == set(declared(world)), f"killed at point {point} of {points}"
        assert not await world.store.pending()
        entries = (await world.store.ledger(ClusterName("one"))).entries
        assert {key.name for key in entries} == set(declared(world))
        assert all(entry.applied for entry in entries.values())


RICH: list[Files] = [
    {
        "apps/x/d.yaml": deployment("d"),
        "apps/y/b.yaml": config_map("b"),
        "apps/y/role.yaml": role("reader", "get", "list"),
        "apps/z/theirs.yaml": config_map("theirs"),
    },
    # A namespace and what is in it; a role that takes and gives; an object that was there before.
    {
        "apps/n/ns.yaml": namespace("team-new"),
        "apps/n/c.yaml": config_map("c", namespace="team-new"),
        "apps/y/role.yaml": role("reader", "get", "delete"),
        "apps/z/found.yaml": config_map("found"),
    },
    # Fails, with a creation, a deletion, a change of a role and another unit to put back.
    {
        "apps/x/d.yaml": deployment("d", BROKEN),
        "apps/x/made.yaml": config_map("made"),
        "apps/y/b.yaml": None,
        "apps/y/role.yaml": role("reader", "watch"),
        "apps/n/c.yaml": config_map("c", "2", namespace="team-new"),
    },
    # To another unit, while that one is held.
    {"apps/w/w.yaml": config_map("w")},
    # Refused by the server.
    {"apps/w/nowhere.yaml": config_map("nowhere", namespace="team-unknown")},
    # Mends both.
    {"apps/x/d.yaml": deployment("d", "b"), "apps/w/nowhere.yaml": None},
]


def rich_world() -> World:
    """Where somebody made an object before us, and another has fields of somebody else."""
    world = World()
    for name, data in (("found", {"value": "1"}), ("theirs", {"other": "x"})):
        body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        body["metadata"] = {"name": name, "namespace": "team-a"}
        world.cluster.apply_as("helm", body)
    return world


async def relive(world: World, history: list[Files], *, dies_at: int | None) -> list[object]:
    """Play a history, a new engine when the first dies; what is there after each commit."""
    life = Life(dies_at)
    seen: list[object] = []
    commits = iter(history)
    commit = None
    while True:
        ports = {
            "store": MortalStore(world.store, life),
            "clusters": {n: MortalCluster(c, life, world.store) for n, c in world.clusters.items()},
        }
        with suppress(Killed):
            async with world.running(**ports) as engine:
                while not life.dead:
                    if commit is not None:
                        await world.until(lambda: life.dead or quiet(engine, commit))  # noqa: B023
                        # A new engine finishes what the dead one had begun to put back.
                        await asyncio.sleep(5)
                        if life.dead:
                            break
                        seen.append(state_of(world, engine))
                    files = next(commits, None)
                    if files is None:
                        return [life.points, *seen]
                    commit = world.push(files)
        life = Life(None)


def quiet(engine, commit: CommitSha) -> bool:
    """The engine has decided about the commit and finished with it."""
    position = engine.books.position
    states = [s for c in engine.books.clusters for s in engine.books.ledger(c).units.values()]
    return (
        commit in (position.accepted, position.refused)
        and not engine._busy
        and not any(state.standing is Standing.PROGRESSING for state in states)
    )


def state_of(world: World, engine) -> object:
    """What must not depend on whether an engine died on the way."""
    objects = {
        (name, str(key)): declared_part(cluster.peek(key))
        for name, cluster in world.clusters.items()
        for key in world.objects(name)
        if key.kind != "Namespace" or key.name == "team-new"
    }
    standings = {
        (name, unit): state.standing
        for name in world.clusters
        for unit, state in engine.books.ledger(name).units.items()
    }
    entries = {
        (name, str(key)): entry.applied and entry.applied.manifest.digest
        for name in world.clusters
        for key, entry in engine.books.ledger(name).entries.items()
    }
    return objects, standings, entries


def declared_part(body: JsonObject | None) -> object:
    assert body is not None
    return {name: body.get(name) for name in ("data", "spec", "rules")}


async def compare_with_kills(make: Callable[[], World], history: list[Files], step: int) -> None:
    points, *expected = await relive(make(), history, dies_at=None)
    assert len(expected) == len(history)
    for point in range(0, points, step):
        world = make()
        _, *seen = await relive(world, history, dies_at=point)
        for number, (one, other) in enumerate(zip(expected, seen, strict=True)):
            assert one == other, f"killed at {point} of {points}, after commit {number}"
        assert not await world.store.pending()


async def test_a_kill_at_any_point_changes_nothing_about_where_a_history_leads() -> None:
    await compare_with_kills(rich_world, [FIRST, *RICH], step=2)


async def test_a_kill_at_any_point_leads_through_the_same_stages() -> None:
    history: list[Files] = [
        {**stage_files("a"), "apps/y/b.yaml": config_map("b")},
        {**stage_files("b"), "apps/y/b.yaml": config_map("b", "2")},
        {**stage_files(BROKEN), "apps/y/b.yaml": config_map("b", "3")},
        {"apps/y/b.yaml": config_map("b", "4")},
        stage_files("c"),
    ]
    first: Files = {
        "fairlead.yaml": policy("staging", "production"),
        "clusters/staging.yaml": cluster_document("staging", env="staging"),
        "clusters/production.yaml": cluster_document("production", env="production"),
    }
    history[0] = {**first, **history[0]}
    await compare_with_kills(lambda: World("staging", "production"), history, step=3)
