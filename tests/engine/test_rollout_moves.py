"""A commit that moves a rollout to another namespace is refused, and requests go on as before."""

from __future__ import annotations

import pytest

from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.identifiers import CommitSha
from reconciler.engine.surveying import Recorded, Surveyor, compare
from tests.engine.rollout_world import RolloutWorld, rollout

pytestmark = pytest.mark.looptime


def move(world: RolloutWorld, version: str = "v2", **said: str) -> CommitSha:
    """Push a commit that asks for a version in another namespace."""
    text = rollout(version, waves=world.names, **said).replace("team-a", "team-b")
    return CommitSha(world.declare(version, files={"rollouts/fraud.yaml": text}))


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_move_is_refused_and_the_traffic_stays(version: str) -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        await world.until_refused(engine, move(world, version))
        assert "moves from namespace team-a to team-b" in engine.books.position.explanation
        assert "rollout-moves" in {problem.code for problem in engine.reconciler.problems}
        assert world.shares() == {"v1": 100}


async def test_it_stays_refused_after_a_restart_and_its_revert_goes_on() -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        moved = move(world)
        await world.until_refused(engine, moved)
    async with world.running() as engine:
        await world.until_refused(engine, moved)
        assert world.shares() == {"v1": 100}
        await world.until_applied(engine, world.repository.revert(moved))
        assert world.bad_answers("v1") == 0


async def test_a_rollout_on_its_way_goes_on_while_a_move_is_refused() -> None:
    world = RolloutWorld()
    first = world.declare("v1")
    async with world.running() as engine:
        await world.until_applied(engine, first)
        world.declare("v2")
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        await world.until_refused(engine, move(world))
        await world.until_serving(engine, "v2")


async def test_plans_tell_it_before_the_daemon_does() -> None:
    world = RolloutWorld()
    first = CommitSha(world.declare("v1"))
    async with world.running() as engine:
        await world.until_applied(engine, first)
    moved = move(world)
    await world.repository.fetch()
    ledgers = {cluster: await world.store.ledger(cluster) for cluster in world.clusters}
    surveyor = Surveyor(
        repository=world.repository,
        name=world.repository_name,
        clusters=world.clusters,
        recorded=Recorded(await world.store.position(), ledgers),
        clock=world.clock,
    )
    for survey in (
        await surveyor.survey(moved),
        await compare(world.repository, base=first, head=moved),
    ):
        assert survey.plan is None
        assert [problem.code for problem in survey.problems] == ["rollout-moves"]


async def test_a_first_commit_may_name_any_namespace() -> None:
    world = RolloutWorld()
    world.declare("v1")
    world.store = MemoryStateStore()
    commit = move(world, "v1")
    async with world.running() as engine:
        await world.until_applied(engine, commit)
