"""A pull request is told what merging it would do, and is told again when that changes."""

from __future__ import annotations

import pytest

from reconciler.core.change_requests import CheckState
from tests.engine.world import config_map, config_map_key
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime


def started() -> ReviewWorld:
    world = ReviewWorld()
    world.start_repository({"apps/a/one.yaml": config_map("one")})
    return world


async def test_an_open_pull_request_gets_one_comment_and_a_green_check() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert "1 to change" in world.comment(number)
        await world.settled(reviewer)
        assert world.forge.edits == 0


async def test_nothing_is_written_to_a_cluster_for_a_plan() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        before, there = world.writes(), world.objects()
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert world.writes() == before
        assert world.objects() == there


async def test_it_is_found_without_a_webhook() -> None:
    world = started()
    async with world.both():
        number = world.open()
        await world.until_state(number, CheckState.SUCCESS, seconds=40.0)


async def test_a_newer_push_is_planned_and_the_older_check_is_history() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        old = world.proposals.heads[f"refs/pull/{number}/head"]
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        world.push_to(number, {"apps/a/two.yaml": config_map("two")})
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert "1 to change · 1 to create" in world.comment(number)
        kept = world.forge.check(old, "fairlead")
        assert kept is not None
        assert kept.state is CheckState.SUCCESS


async def test_a_file_with_a_problem_turns_the_check_red_at_its_line() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open({"apps/a/one.yaml": b"kind: [\n"})
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
        check = world.check(number)
        assert check is not None
        assert [remark.path for remark in check.annotations] == ["apps/a/one.yaml"]
        assert "No changes" not in world.comment(number)


async def test_what_does_not_merge_is_told_with_the_files() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        world.push_to_branch({"apps/a/one.yaml": config_map("one", "3")})
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
        assert "apps/a/one.yaml" in world.comment(number)


async def test_a_move_of_the_branch_is_planned_anew() -> None:
    world = started()
    async with world.both() as (engine, reviewer):
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        made = world.push_to_branch({"apps/a/other.yaml": config_map("other")})
        await world.until_applied(engine, made)
        await world.until(lambda: made[:10] in world.comment(number))
        await world.until_state(number, CheckState.SUCCESS)
        assert "1 to change" in world.comment(number)


async def test_a_change_that_changes_nothing_says_so() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open({"README.md": b"words\n"})
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        assert "No changes" in world.comment(number)
        assert "```diff" not in world.comment(number)


async def test_drift_that_was_put_back_leaves_the_plan_as_it_was() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        before = world.comment(number)
        world.cluster.delete_as_other(config_map_key("one"))
        await world.until(lambda: world.value("one") is not None)
        await world.settled(reviewer)
        assert world.comment(number) == before


async def test_whoever_asks_for_the_check_again_gets_a_new_plan() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
        before = len(world.forge.checks)
        reviewer.hint(number, again=True)
        await world.until(lambda: len(world.forge.checks) == before + 2)
        assert len(world.counted.plans) == 2
        assert world.state(number) is CheckState.SUCCESS


async def test_a_restart_finds_its_comment_again() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
    async with world.both():
        world.push_to(number, {"apps/a/two.yaml": config_map("two")})
        await world.until_state(number, CheckState.SUCCESS)
        assert "2 to create" in world.comment(number)
