"""S17: what a merge queue is about to merge is really planned, and its check is of that commit."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.change_requests import CheckState
from reconciler.core.identifiers import CommitSha
from tests.engine.world import config_map
from tests.reviewing.test_approvals import OWNED, fairlead_role
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime


def started(extra: str = "") -> ReviewWorld:
    world = ReviewWorld()
    roles = {f"roles/{name}.yaml": fairlead_role(name) for name in ("owner", "security")}
    world.start_repository({"apps/a/one.yaml": config_map("one"), **roles}, extra=extra)
    return world


def queue(world: ReviewWorld, number: int, head: CommitSha) -> None:
    ref = f"refs/heads/gh-readonly-queue/main/pr-{number}-{world.head}"
    world.proposals.heads[ref] = head


def verdict(world: ReviewWorld, head: CommitSha) -> CheckState | None:
    found = world.forge.check(head, "fairlead")
    return found.state if found else None


async def test_s17_a_group_is_planned_and_its_head_gets_the_check() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        head = world.commit({"apps/a/more.yaml": config_map("more")})
        queue(world, number, head)
        before = len(world.counted.plans)
        reviewer.hint()
        await world.until(lambda: verdict(world, head) is CheckState.SUCCESS)
        assert len(world.counted.plans) == before + 1


async def test_s17_a_group_that_would_be_refused_is_red() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        head = world.commit({"apps/a/more.yaml": config_map("more", namespace="elsewhere")})
        queue(world, number, head)
        reviewer.hint()
        await world.until(lambda: verdict(world, head) is CheckState.FAILURE)


async def test_s17_approvals_count_only_for_what_was_approved() -> None:
    world = started(OWNED)
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        world.approve(number)
        reviewer.hint(number)
        await world.until_state(number, CheckState.SUCCESS)
        same = world.commit({"apps/a/more.yaml": config_map("more")})
        other = world.commit({"apps/a/more.yaml": config_map("more", "2")})
        queue(world, number, same)
        reviewer.hint()
        await world.until(lambda: verdict(world, same) is CheckState.SUCCESS)
        queue(world, number, other)
        reviewer.hint()
        await world.until(lambda: verdict(world, other) in (CheckState.FAILURE, CheckState.WAITING))


async def test_s17_a_group_of_nobodys_pull_request_is_never_green_by_itself() -> None:
    world = started(OWNED)
    async with world.both() as (_, reviewer):
        head = world.commit({"apps/a/more.yaml": config_map("more")})
        queue(world, 77, head)
        reviewer.hint()
        await world.until(lambda: verdict(world, head) is CheckState.WAITING)
