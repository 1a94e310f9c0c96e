"""Laws that hold for every history."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.audit.records import Phase, Verb
from tests.engine.faults import SlowCluster
from tests.engine.world import World, config_map, deployment, role

Files = dict[str, bytes | None]

NAMES = ("a1", "b1", "c1", "d1")


@st.composite
def histories(draw: st.DrawFn, commits: int = 5) -> list[Files]:
    """Commits that create, change, move and delete objects; each name in one file at a time."""
    where: dict[str, str] = {}
    history: list[Files] = []
    for _ in range(draw(st.integers(2, commits))):
        files: Files = {}
        for name in draw(st.sets(st.sampled_from(NAMES), min_size=1)):
            unit = draw(st.sampled_from(["x", "y", ""]))
            if name in where:
                files[f"apps/{where.pop(name)}/{name}.yaml"] = None
            if unit:
                where[name] = unit
                files[f"apps/{unit}/{name}.yaml"] = draw(documents(name))
        if files := {path: body for path, body in files.items() if body or path in known(history)}:
            history.append(files)
    return history


def known(history: list[Files]) -> set[str]:
    present: set[str] = set()
    for files in history:
        for path, body in files.items():
            present.discard(path)
            if body:
                present.add(path)
    return present


def documents(name: str) -> st.SearchStrategy[bytes]:
    if name == "d1":
        return st.sampled_from("abc").map(lambda digit: deployment(name, digit))
    if name == "c1":
        verbs = st.sets(st.sampled_from(["get", "list", "watch"]), min_size=1)
        return verbs.map(lambda chosen: role(name, *sorted(chosen)))
    return st.sampled_from("123").map(lambda value: config_map(name, value))


def cheap(examples: int):
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def live(world: World) -> dict[str, object]:
    """What is in the cluster, without what the server or a commit stamps on it."""
    return {
        str(key): {name: body.get(name) for name in ("data", "spec", "rules")}
        for key in world.objects()
        if key.namespace == "team-a" and (body := world.cluster.peek(key))
    }


def digests(engine, world: World) -> dict[str, str]:
    entries = engine.books.ledger(world.cluster.name).entries.values()
    return {str(entry.key): entry.applied.manifest.digest for entry in entries}


async def a_plan_after_apply_is_empty(history: list[Files]) -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository({"README.md": b"x"}))
        for files in history:
            commit = world.push(files)
            await world.until_applied(engine, commit)
            before = len(world.writes())
            await engine.reconciler.reconcile(commit, every_object=True)
            assert engine.reconciler.plan.empty
            assert len(world.writes()) == before


async def reverts_restore(history: list[Files]) -> None:
    world = World()
    async with world.running() as engine:
        await world.until_applied(engine, world.start_repository({"README.md": b"x"}))
        passed: list[tuple[str, object, object]] = []
        for files in history:
            before = (live(world), digests(engine, world))
            commit = world.push(files)
            await world.until_applied(engine, commit)
            passed.append((commit, *before))
        for commit, objects, known_digests in reversed(passed):
            await world.until_applied(engine, world.repository.revert(commit))
            assert live(world) == objects
            assert digests(engine, world) == known_digests


async def every_effect_is_recorded(history: list[Files], seed: int) -> None:
    world = World()
    slow = {n: SlowCluster(c, seconds=0.5, seed=seed) for n, c in world.clusters.items()}
    async with world.running(clusters=slow) as engine:
        world.start_repository({"README.md": b"x"})
        for number, files in enumerate(history):
            last = world.push(files)
            await asyncio.sleep((seed + number) % 3)
        await world.until_applied(engine, last)
    records = await world.records()
    for verb, name in (("apply", Verb.APPLY), ("delete", Verb.DELETE)):
        intents = [r for r in records if r.phase is Phase.INTENT and r.verb is name]
        outcomes = [r for r in records if r.phase is Phase.OUTCOME and r.verb is name]
        assert len(intents) == len(outcomes) >= world.cluster.count(verb)
        assert all(r.commit for r in intents + outcomes)
    assert not await world.store.pending()


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(12))
async def test_every_effect_has_an_intent_and_an_outcome_with_its_commit(seed: int) -> None:
    from tests.engine.test_kill_points import random_history

    await every_effect_is_recorded(random_history(seed), seed)


@pytest.mark.looptime
@given(history=histories())
@cheap(25)
async def test_the_plan_after_an_apply_is_empty(history: list[Files]) -> None:
    await a_plan_after_apply_is_empty(history)


@pytest.mark.looptime
@given(history=histories())
@cheap(25)
async def test_reverting_any_history_restores_objects_and_digests(history: list[Files]) -> None:
    await reverts_restore(history)
