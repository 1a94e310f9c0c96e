"""After the merge: how far the rollout is, why it was taken back, and what undoes it."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.change_requests import CheckState, DeploymentState
from tests.engine.rollout_world import GATE, STEPS, model, rollout
from tests.reviewing.test_approvals import fairlead_role
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime

ASKS = f"    canary:\n      steps:\n{STEPS}".replace(
    "      - {weight: 25%, requests: 50}\n",
    "      - {weight: 25%, requests: 50}\n      - approval: {by: [product-owner]}\n",
)
PEOPLE = "  approvals: {people: {product-owner: [grace]}}\n"


def files(version: str, **said: str) -> dict[str, bytes]:
    versions = [f"v{n}" for n in range(1, int(version[1:]) + 2)]
    return {
        "models/fraud.yaml": model(*versions).encode(),
        "rollouts/fraud.yaml": rollout(version, **said).encode(),
    }


def started(**said: str) -> ReviewWorld:
    world = ReviewWorld()
    world.declare("v1", **said)
    return world


async def merged(world: ReviewWorld, reviewer: object, **said: str) -> tuple[int, str]:
    number = world.open(files("v2", **said))
    reviewer.hint()  # type: ignore[attr-defined]
    await world.until_state(number, CheckState.SUCCESS)
    commit = await world.merge(number)
    reviewer.hint()  # type: ignore[attr-defined]
    return number, commit


def stands(world: ReviewWorld, commit: str) -> list[DeploymentState]:
    return [d.state for d in world.forge.deployments if d.commit == commit]


async def test_deployments_follow_the_rollout_of_the_merged_commit() -> None:
    world = started()
    async with world.both(page_url="https://fairlead.example.com") as (_, reviewer):
        _, commit = await merged(world, reviewer)
        await world.until(lambda: DeploymentState.SUCCESS in stands(world, commit))
        told = [d for d in world.forge.deployments if d.commit == commit]
        assert {d.environment for d in told} == {"one/fraud"}
        assert told[0].state is DeploymentState.IN_PROGRESS
        assert told[0].url == "https://fairlead.example.com/rollouts/fraud"


async def test_an_abort_is_told_once_with_the_evidence() -> None:
    world = started(extra="  onFailure: pull-request\n")
    world.errors["v2"] = 1.0
    async with world.both() as (_, reviewer):
        number, commit = await merged(world, reviewer, extra="  onFailure: pull-request\n")
        await world.until(lambda: len(world.forge.ours(number)) == 2)
        await world.settled(reviewer)
        body = world.forge.ours(number)[1].body
        assert len(world.forge.ours(number)) == 2
        assert "v2 was taken back" in body
        assert "errors" in body
        assert stands(world, commit)[-1] is DeploymentState.FAILURE


async def test_the_revert_of_an_abort_is_offered_as_a_pull_request_that_is_planned() -> None:
    world = started(extra="  onFailure: pull-request\n")
    world.errors["v2"] = 1.0
    async with world.both() as (_, reviewer):
        number, _ = await merged(world, reviewer, extra="  onFailure: pull-request\n")
        await world.until(lambda: len(world.forge.ours(number)) == 2)
        await world.settled(reviewer)
        pulls = await world.forge.pull_requests()
        assert [pull.head_branch for pull in pulls] == list(world.publisher.branches)
        assert pulls[0].author == "fairlead[bot]"


async def test_a_restart_tells_no_abort_twice() -> None:
    world = started(extra="  onFailure: pull-request\n")
    world.errors["v2"] = 1.0
    async with world.both() as (_, reviewer):
        number, _ = await merged(world, reviewer, extra="  onFailure: pull-request\n")
        await world.until(lambda: len(world.forge.ours(number)) == 2)
    async with world.running() as engine, world.reviewing(engine) as reviewer:
        await world.settled(reviewer)
        assert len(world.forge.ours(number)) == 2


async def test_revert_opens_the_pull_request_that_undoes_it() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number, commit = await merged(world, reviewer)
        await world.until(lambda: DeploymentState.SUCCESS in stands(world, commit))
        world.forge.say(number, "ada", "/fairlead revert")
        reviewer.hint(number)
        await world.until(lambda: len(world.publisher.branches) == 1)
        await world.settled(reviewer)
        branch, head = next(iter(world.publisher.branches.items()))
        pull = next(p for p in await world.forge.pull_requests() if p.head_branch == branch)
        assert (
            world.repository.files(head)["rollouts/fraud.yaml"].content
            == files("v1")["rollouts/fraud.yaml"]
        )
        assert pull.title.startswith("Revert")
        await world.until_state(pull.number, CheckState.SUCCESS)
        assert "v1" in world.comment(pull.number)
        assert "ada" in world.repository.line(head)[0].message


async def test_revert_is_obeyed_on_one_that_was_merged_long_ago() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number, commit = await merged(world, reviewer)
        await world.until(lambda: DeploymentState.SUCCESS in stands(world, commit))
        world.rate = 0.0
        await asyncio.sleep(3600)
        await world.until(lambda: reviewer._cases[number].record.done)
    world.store._reviews.clear()
    async with world.running() as engine, world.reviewing(engine) as reviewer:
        await world.settled(reviewer)
        world.forge.say(number, "ada", "/fairlead revert")
        await world.settled(reviewer)
        assert world.publisher.branches == {}
        world.forge.say(number, "ada", "/fairlead revert")
        reviewer.hint(number)
        await world.until(lambda: len(world.publisher.branches) == 1)


@pytest.mark.parametrize("who", ["mallory", "nobody"])
async def test_s17_a_command_of_somebody_without_the_right_does_nothing(who: str) -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number, commit = await merged(world, reviewer)
        before = len(world.forge.ours(number))
        for words in ("revert", f"revert {commit}", "approve", "explain", "plan"):
            world.forge.say(number, who, f"/fairlead {words}")
        await world.settled(reviewer)
        assert world.publisher.branches == {}
        assert len(world.forge.ours(number)) == before


async def test_approve_offers_the_line_in_git_and_merging_it_lets_the_rollout_go() -> None:
    world = ReviewWorld()
    said = {"strategy": f"{ASKS}    keepWarm: 10m\n"}
    texts = {**files("v1", **said), "roles/owner.yaml": fairlead_role("product-owner")}
    gate = {"gates/errors.yaml": GATE.encode()}
    extra = "  defaults: {gateway: {name: models, namespace: gateways}, replicas: 2}\n"
    world.start_repository({**texts, **gate}, extra=extra + PEOPLE)
    async with world.both() as (engine, reviewer):
        number, commit = await merged(world, reviewer, **said)

        def waits() -> bool:
            states = engine.reconciler.positions.states()
            return "fraud" in states and states["fraud"].step == 4

        await world.until(waits)
        await asyncio.sleep(10)
        world.forge.say(number, "ada", "/fairlead approve")
        reviewer.hint(number)
        await world.until(lambda: "product-owner" in world.forge.ours(number)[-1].body)
        assert world.proposer.branches == {}
        world.forge.say(number, "grace", "/fairlead approve")
        reviewer.hint(number)
        await world.until(lambda: len(world.proposer.branches) == 1)
        branch, head = next(iter(world.proposer.branches.items()))
        assert branch == "fairlead/approve-fraud-v2-step-5"
        assert b"{version: v2, step: 5, by: product-owner}" in (
            world.repository.files(head)["rollouts/fraud.yaml"].content
        )
        assert world.head == commit
        world.repository.rewrite(head)
        await world.until(lambda: DeploymentState.SUCCESS in stands(world, commit))


async def test_explain_answers_in_a_comment_of_its_own() -> None:
    world = started()
    async with world.both() as (_, reviewer):
        number, _ = await merged(world, reviewer)
        await asyncio.sleep(5)
        world.forge.say(number, "ada", "/fairlead explain fraud")
        reviewer.hint(number)
        await world.until(lambda: len(world.forge.ours(number)) == 2)
        assert "fraud" in world.forge.ours(number)[1].body
