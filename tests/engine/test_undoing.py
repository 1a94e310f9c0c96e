"""After an abort: one revert in Git, of the commit that brought the version, whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.publisher_memory import MemoryPublisher
from reconciler.core.audit.records import Verb
from reconciler.core.errors import Refused, Unavailable
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.engine.undoing import NO_PUBLISHER
from tests.engine.rollout_world import RolloutWorld

pytestmark = pytest.mark.looptime


class WithPublisher(RolloutWorld):
    """A world whose daemon may push."""

    def __init__(self) -> None:
        super().__init__()
        self.publisher = MemoryPublisher(self.repository)
        self.errors["v2"] = 1.0

    async def engine(self, **replaced: object) -> Engine:
        instruments = Instruments(self.replicas, self, publisher=self.publisher)
        return await super().engine(**{"instruments": instruments, **replaced})


async def aborted(world: RolloutWorld, engine: Engine, **said: str) -> str:
    """v2 was asked for and is taken back; returns the commit that asked for it."""
    await world.until_applied(engine, world.declare("v1", **said))
    guilty = world.declare("v2", **said)
    await world.until(lambda: world.state(engine).failure is not None or head(world) != guilty)
    return guilty


def head(world: RolloutWorld) -> str:
    found = world.repository.head
    assert found is not None
    return found


async def test_the_commit_is_reverted_on_the_branch_and_the_clusters_are_as_declared() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        guilty = await aborted(world, engine)
        await world.until(lambda: head(world) != guilty)
        await world.until_applied(engine, head(world))
        assert world.shares() == {"v1": 100}
        assert world.state(engine).failure is None
    message = (await world.repository.commit(head(world))).message
    assert f"This reverts commit {guilty}" in message
    assert "gate errors failed" in message


async def test_the_revert_is_there_within_five_seconds_of_the_abort() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        guilty = await aborted(world, engine)
        at = world.clock.monotonic()
        await world.until(lambda: head(world) != guilty)
        assert world.clock.monotonic() - at < 5.0


async def test_of_several_commits_pushed_together_only_the_guilty_one_is_reverted() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        await world.until_applied(engine, world.declare("v1"))
        guilty = world.declare("v2")
        last = world.push({"README.md": b"pushed together with it\n"})
        await world.until(lambda: head(world) != last)
        await world.until_applied(engine, head(world))
    message = (await world.repository.commit(head(world))).message
    assert f"This reverts commit {guilty}" in message
    undone = [r for r in await world.records() if r.verb is Verb.UNDO]
    assert [record.commit for record in undone] == [guilty]


async def test_a_remote_that_is_away_gets_the_revert_when_it_answers_again() -> None:
    world = WithPublisher()
    world.publisher.fail(*(Unavailable("connection refused") for _ in range(4)))
    async with world.running() as engine:
        guilty = await aborted(world, engine)
        await world.until(lambda: head(world) != guilty)
        await world.until_applied(engine, head(world))


async def test_a_branch_that_takes_no_push_gets_a_branch_beside_it() -> None:
    world = WithPublisher()
    world.publisher.protect(world.repository.branch)
    async with world.running() as engine:
        guilty = await aborted(world, engine)
        await world.until(lambda: bool(world.state(engine).failure.undone))
        assert head(world) == guilty
        assert list(world.publisher.branches) == [world.state(engine).failure.undone]
        assert world.shares() == {"v1": 100}


async def test_a_pull_request_is_prepared_where_the_rollout_says_so() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        guilty = await aborted(world, engine, extra="  onFailure: pull-request\n")
        await world.until(lambda: bool(world.state(engine).failure.undone))
        assert head(world) == guilty
        assert len(world.publisher.branches) == 1


async def test_hold_pushes_nothing_and_says_so() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        guilty = await aborted(world, engine, extra="  onFailure: hold\n")
        await world.until(lambda: world.state(engine).failure.final)
        await asyncio.sleep(600)
        assert head(world) == guilty
        assert not world.publisher.branches
        assert "a person decides" in world.state(engine).failure.trouble


async def test_what_cannot_be_undone_by_itself_is_said_and_not_tried_for_ever() -> None:
    world = WithPublisher()
    world.publisher.fail(*(Refused("no") for _ in range(2)))
    async with world.running() as engine:
        await aborted(world, engine)
        await world.until(lambda: world.state(engine).failure.final)
        assert world.state(engine).failure.trouble == "no"


async def test_without_the_right_to_push_the_failure_says_what_to_set() -> None:
    world = RolloutWorld()
    world.errors["v2"] = 1.0
    async with world.running() as engine:
        await aborted(world, engine)
        await world.until(lambda: world.state(engine).failure.trouble == NO_PUBLISHER)


async def test_a_daemon_that_dies_after_the_push_does_not_push_again() -> None:
    world = WithPublisher()
    async with world.running() as engine:
        guilty = await aborted(world, engine)
        await world.until(lambda: head(world) != guilty)
    pushed = head(world)
    async with world.running() as engine:
        await world.until_applied(engine, pushed)
        await asyncio.sleep(300)
    assert head(world) == pushed
