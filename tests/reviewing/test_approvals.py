"""Approval is of one plan. What moves takes it away, and the check says what moved."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.change_requests import CheckState, ReviewState
from reconciler.core.identifiers import DocumentPath
from reconciler.core.manifests import JsonObject
from tests.engine.world import config_map, config_map_key, role
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime

OWNED = """\
  owners:
  - {path: apps, owners: [owner]}
  approvals:
    widerAccess: {count: 2, by: [owner, security]}
    people:
      owner: [Grace]
      security: [heidi]
"""


def owned() -> ReviewWorld:
    world = ReviewWorld()
    roles = {f"roles/{name}.yaml": fairlead_role(name) for name in ("owner", "security")}
    world.start_repository({"apps/a/one.yaml": config_map("one"), **roles}, extra=OWNED)
    return world


def fairlead_role(name: str) -> bytes:
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {{name: {name}}}
spec:
  groups: [{name}s]
  allow: [{{resources: [pods], verbs: [get], namespaces: [team-a]}}]
""".encode()


async def test_s7_without_the_owner_the_check_waits_and_says_for_whom() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        assert "owner" in world.title(number)
        assert "apps/a/more.yaml" in world.title(number)


async def test_whoever_would_let_others_approve_needs_the_quorum_that_is_in_force() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        known = world.repository.files(world.head)[DocumentPath("fairlead.yaml")].content
        loosened = known.replace(b"owner: [Grace]", b"owner: [Grace, mallory]")
        number = world.open({"fairlead.yaml": loosened})
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        assert "2 of owner or security, because it gives more access" in world.title(number)


async def test_s7_an_approval_of_the_owner_turns_it_green() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        world.approve(number)
        reviewer.hint(number)
        await world.until_state(number, CheckState.SUCCESS)
        record = (await world.store.reviews())[number]
        assert [a.author for a in record.approvals] == ["grace"]
        assert record.approvals[0].plan == record.plan


@pytest.mark.parametrize("author", ["mallory", "heidi", "ada"])
async def test_s7_an_approval_of_anybody_else_does_not(author: str) -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        world.approve(number, author)
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING


async def test_s7_nobody_approves_their_own() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open(author="grace")
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        world.approve(number, "Grace")
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING


async def test_s7_what_gives_access_needs_as_many_people_as_the_policy_says() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open({"apps/a/role.yaml": role("reader", "get")})
        reviewer.hint()
        await world.until_title(number, "more access")
        world.approve(number, "grace")
        reviewer.hint(number)
        await world.until_title(number, "1 of owner or security")
        world.approve(number, "heidi")
        reviewer.hint(number)
        await world.until_state(number, CheckState.SUCCESS)


async def test_s6_a_newer_push_takes_the_approval_away() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
        world.push_to(number, {"apps/a/evil.yaml": config_map("evil")})
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
        assert "head" in world.title(number)
        assert "Approve again" in world.comment(number)


async def test_s6_a_move_of_the_branch_names_it() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
        world.push_to_branch({"apps/b/other.yaml": config_map("other")})
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
        assert "base" in world.title(number)


async def test_s6_a_change_in_a_cluster_names_it_within_ten_seconds() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
        world.cluster.apply_as("kubectl", made_by_hand(world, "1"))
        await world.until_state(number, CheckState.FAILURE, seconds=10.0)
        assert "cluster one" in world.title(number)


async def test_s6_what_is_back_as_it_was_approved_needs_no_new_approval() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
        world.cluster.apply_as("kubectl", made_by_hand(world, "1"))
        await world.until_state(number, CheckState.FAILURE, seconds=10.0)
        world.cluster.delete_as_other(config_map_key("more"))
        await world.until_state(number, CheckState.SUCCESS, seconds=10.0)


async def test_s6_a_review_from_before_the_plan_was_shown_is_of_something_else() -> None:
    world = owned()
    async with world.running() as engine:
        await world.until_applied(engine, world.head)
        number = world.open()
        world.approve(number)
        await asyncio.sleep(1.0)
        async with world.reviewing(engine) as reviewer:
            await world.until_state(number, CheckState.WAITING)
            await world.settled(reviewer)
            assert world.state(number) is CheckState.WAITING


async def test_s6_who_asks_for_changes_after_all_no_longer_approves() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
        world.forge.review(number, "grace", ReviewState.CHANGES_REQUESTED)
        reviewer.hint(number)
        await world.until_state(number, CheckState.WAITING)


async def test_s2_the_rules_are_those_in_force_and_not_the_candidates() -> None:
    world = owned()
    lax = world.repository.files(world.head)["fairlead.yaml"].content.replace(
        OWNED.encode(), b"  approvals: {people: {owner: [mallory]}}\n"
    )
    async with world.both() as (_, reviewer):
        number = world.open({"fairlead.yaml": lax, "apps/a/more.yaml": config_map("more")})
        reviewer.hint()
        await world.until_state(number, CheckState.WAITING)
        world.approve(number, "mallory")
        await world.settled(reviewer)
        assert world.state(number) is CheckState.WAITING
        assert "owner" in world.title(number)


async def test_an_approval_outlives_a_restart() -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        await approved(world, number, reviewer.hint)
    async with world.both() as (_, reviewer):
        await world.settled(reviewer)
        assert world.state(number) is CheckState.SUCCESS


STEPS = st.sampled_from(["push", "base", "drift", "undrift", "approve", "policy", "refuse", "wait"])


@given(steps=st.lists(STEPS, min_size=1, max_size=8), seed=st.integers(0, 3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_s6_it_is_never_green_without_approvals_of_the_plan_as_it_is(
    steps: list[str], seed: int
) -> None:
    world = owned()
    async with world.both() as (_, reviewer):
        number = world.open()
        for turn, step in enumerate(steps):
            play(world, number, step, turn)
            reviewer.hint(number)
            await asyncio.sleep((0.0, 0.01, 3.0, 60.0)[(seed + turn) % 4])
        await world.settled(reviewer)
        record = (await world.store.reviews())[number]
        facts = next(f for f in reviewer.pulls() if f.request.number == number)
        assert facts.plan is not None
        assert record.plan == facts.plan.digest
        green = world.state(number) is CheckState.SUCCESS
        bound = [a for a in record.approvals if a.plan == record.plan]
        assert green == bool(bound), (world.title(number), record)


def play(world: ReviewWorld, number: int, step: str, turn: int) -> None:
    match step:
        case "push":
            world.push_to(number, {f"apps/a/more-{turn}.yaml": config_map(f"more-{turn}")})
        case "base":
            world.push_to_branch({f"apps/b/b-{turn}.yaml": config_map(f"b-{turn}")})
        case "drift":
            if not world.cluster.peek(config_map_key("more")):
                world.cluster.apply_as("kubectl", made_by_hand(world, "1"))
        case "undrift":
            if world.cluster.peek(config_map_key("more")):
                world.cluster.delete_as_other(config_map_key("more"))
        case "approve":
            world.approve(number)
        case "policy":
            rules = world.repository.files(world.head)["fairlead.yaml"].content
            world.push_to_branch({"fairlead.yaml": rules + f"# {turn}\n".encode()})
        case "refuse":
            world.forge.review(number, "grace", ReviewState.CHANGES_REQUESTED)


def made_by_hand(world: ReviewWorld, value: str) -> JsonObject:
    """What the pull request is to create."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "more", "namespace": "team-a", "labels": labels(world)},
        "data": {"value": value},
    }


def labels(world: ReviewWorld) -> JsonObject:
    body = world.cluster.peek(config_map_key("one"))
    assert body is not None
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    found = metadata["labels"]
    assert isinstance(found, dict)
    return found


async def approved(world: ReviewWorld, number: int, hint: object) -> None:
    assert callable(hint)
    hint()
    await world.until_state(number, CheckState.WAITING)
    await asyncio.sleep(1.0)
    world.approve(number)
    hint(number)
    await world.until_state(number, CheckState.SUCCESS)
