"""The process may die between any two writes; the next one carries on.

Random histories are played once to count the writes, then once for each point before and after
each write, with the engine killed there and a new one started on what was durable.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from reconciler.core.identifiers import ClusterName, CommitSha
from tests.engine.mortality import Killed, Life, MortalCluster, MortalStore
from tests.engine.world import World, cluster_document, config_map, deployment, policy

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
                files[path] = make(name, chance.choice("abcdef0123"))
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
    return {
        key.name
        for key in world.cluster.keys()
        if key.kind in ("ConfigMap", "Deployment")
    }


async def points_of(seed: int) -> int:
    return await play(World(), random_history(seed), dies_at=None)


@pytest.mark.parametrize("seed", range(6))
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

