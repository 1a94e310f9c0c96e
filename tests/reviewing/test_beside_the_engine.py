"""The engine does not notice that change requests are looked at, whatever happens to that."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.change_requests import CheckState
from reconciler.core.errors import Forbidden, Unavailable
from reconciler.core.identifiers import CommitSha
from reconciler.core.reviewed import pull_ref
from tests.engine.world import config_map, deployment
from tests.reviewing.test_approvals import OWNED, fairlead_role
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime


def started(*clusters: str) -> ReviewWorld:
    world = ReviewWorld(*clusters)
    world.start_repository({"apps/a/one.yaml": config_map("one")})
    return world


async def test_a_forge_that_is_away_delays_no_commit() -> None:
    world = started()
    world.forge.trouble = Unavailable("the forge is away")
    async with world.both() as (engine, _):
        made = world.push_to_branch({"apps/a/two.yaml": config_map("two")})
        await world.until_applied(engine, made)
        assert "unavailable" in world.counted.troubles


async def test_what_was_missed_is_made_up_for_when_the_forge_is_back() -> None:
    world = started()
    world.forge.trouble = Forbidden("the token was revoked")
    async with world.both():
        number = world.open()
        await asyncio.sleep(60)
        world.forge.trouble = None
        await world.until_state(number, CheckState.SUCCESS, seconds=120.0)


async def test_a_bug_in_it_ends_neither_the_engine_nor_the_looking() -> None:
    world = started()
    real = world.forge.pull_requests
    broken = [True]

    async def pull_requests() -> object:
        assert not broken[0], "a bug"
        return await real()

    world.forge.pull_requests = pull_requests  # type: ignore[method-assign, assignment]
    async with world.both() as (engine, _):
        number = world.open()
        await world.until(lambda: "bug" in world.counted.troubles)
        made = world.push_to_branch({"apps/b/two.yaml": config_map("two")})
        await world.until_applied(engine, made)
        broken[0] = False
        await world.until_state(number, CheckState.SUCCESS)


async def test_a_pull_request_makes_the_engine_watch_nothing() -> None:
    world = started()
    async with world.both() as (engine, reviewer):
        observer = engine.leader.sessions[world.cluster.name].observer
        number = world.open({"apps/a/web.yaml": deployment("web")})
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert "1 to create" in world.comment(number)
        kinds = {live.key.kind for live in observer}
        assert kinds == {"ConfigMap"}
        assert observer.unwatched(engine.reconciler.accepted.units.popitem()[1].types) == set()  # type: ignore[union-attr]


async def test_a_check_that_could_not_be_put_is_put_later() -> None:
    world = ReviewWorld()
    roles = {f"roles/{name}.yaml": fairlead_role(name) for name in ("owner", "security")}
    world.start_repository({"apps/a/one.yaml": config_map("one"), **roles}, extra=OWNED)
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        real = world.forge.put_comment
        failed = []

        async def put_comment(number: int, body: str, *, known: int | None) -> int:
            if not failed:
                failed.append(body)
                raise Unavailable("the forge is away")
            return await real(number, body, known=known)

        world.forge.put_comment = put_comment  # type: ignore[method-assign]
        world.approve(number)
        reviewer.hint(number)
        await world.until_state(number, CheckState.SUCCESS)
        assert len(failed) == 1


async def test_a_placeholder_stands_before_the_plan_is_made() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        gate = asyncio.Event()
        hold(world, gate)
        number = world.open()
        reviewer.hint(number)
        await world.until_state(number, CheckState.RUNNING, seconds=2.0)
        gate.set()
        await world.until_state(number, CheckState.SUCCESS)


async def test_a_newer_push_cancels_the_plan_of_the_older_within_a_second() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        gate = asyncio.Event()
        hold(world, gate)
        number = world.open()
        old = world.proposals.heads[pull_ref(number)]
        reviewer.hint(number)
        await world.until_state(number, CheckState.RUNNING)
        world.push_to(number, {"apps/a/two.yaml": config_map("two")})
        reviewer.hint(number)
        await world.until(lambda: mark(world, old) is CheckState.CANCELLED, seconds=1.0)
        gate.set()
        await world.until_state(number, CheckState.SUCCESS)
        assert mark(world, old) is CheckState.CANCELLED


async def test_a_cluster_that_cannot_be_seen_is_unknown_and_never_green() -> None:
    world = started("one", "two")
    async with world.both() as (_, reviewer):
        world.clusters["two"].stop()  # type: ignore[index]
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        reviewer.hint()
        await world.until_title(number, "unknown")
        assert world.state(number) is CheckState.FAILURE
        world.clusters["two"].start()  # type: ignore[index]
        await world.until_state(number, CheckState.SUCCESS)


async def test_many_pull_requests_are_planned_in_the_order_in_which_they_came() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        numbers = [world.open({f"apps/a/n{i}.yaml": config_map(f"n{i}")}) for i in range(8)]
        reviewer.hint()
        await world.until(lambda: all(world.state(n) is CheckState.SUCCESS for n in numbers))
        assert len(world.counted.plans) == len(numbers)


async def test_a_pull_request_to_another_branch_is_left_alone() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        head = world.commit({"apps/a/two.yaml": config_map("two")})
        number = world.forge.open(head, base=world.head, base_branch="release")
        await world.settled(reviewer)
        assert world.forge.ours(number) == ()
        assert mark(world, head) is None


def hold(world: ReviewWorld, gate: asyncio.Event) -> None:
    """Let no plan be made before the gate opens."""
    real = world.proposals.fetch_ref

    async def fetch_ref(ref: str) -> CommitSha:
        await gate.wait()
        return await real(ref)

    world.proposals.fetch_ref = fetch_ref  # type: ignore[method-assign]


def mark(world: ReviewWorld, commit: CommitSha) -> CheckState | None:
    found = world.forge.check(commit, "fairlead")
    return found.state if found else None
