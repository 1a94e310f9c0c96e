"""What a stranger proposes is planned from Git alone, until a maintainer lets that very push be."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.change_requests import CheckState
from tests.engine.world import config_map
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime


def started() -> ReviewWorld:
    world = ReviewWorld()
    world.start_repository({"apps/a/one.yaml": config_map("one")})
    return world


def secrets_manifest() -> bytes:
    return b"apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: team-a}\n"


async def test_s3_a_fork_is_planned_without_asking_any_cluster() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        before = len(world.cluster.requests)
        number = world.open(author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await world.settled(reviewer)
        asked = [r.verb for r in world.cluster.requests[before:]]
        assert not {"apply", "get", "list", "watch"} & set(asked)
        assert "No cluster was asked" in world.comment(number)


@pytest.mark.parametrize("who", ["mallory", "ada", "nobody"])
async def test_s3_who_does_not_maintain_cannot_let_it_be_planned(who: str) -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open(author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        world.forge.say(number, who, "/fairlead plan")
        before = len(world.cluster.requests)
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING
        assert [r for r in world.cluster.requests[before:] if r.verb == "apply"] == []


async def test_s3_a_maintainer_lets_that_push_be_planned_and_no_other() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open(author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        world.forge.say(number, "grace", "/fairlead plan")
        reviewer.hint(number)
        await world.until_state(number, CheckState.SUCCESS)
        world.push_to(number, {"apps/a/evil.yaml": config_map("evil")})
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        assert "No cluster was asked" in world.comment(number)


async def test_s3_a_push_between_reading_and_saying_is_not_trusted() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open(author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        world.push_to(number, {"apps/a/evil.yaml": config_map("evil")})
        world.forge.say(number, "grace", "/fairlead plan")
        reviewer.hint(number)
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING
        assert (await world.store.reviews())[number].trusted is None


async def test_s3_an_edited_comment_lets_nothing_be_planned() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number = world.open(author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        await asyncio.sleep(1.0)
        said = world.forge.say(number, "grace", "Looks nice.")
        world.forge.edit(number, said, "/fairlead plan")
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING


async def test_s3_what_the_rules_refuse_is_refused_of_a_fork_as_well() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        files = {"apps/a/secret.yaml": secrets_manifest()}
        number = world.open(files, author="mallory", fork=True)
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
