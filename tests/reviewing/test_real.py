"""One pull request from its opening to the page that explains why it was taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from forge.worlds import github

from reconciler.core.change_requests import Permission
from reconciler.core.rollouts.states import Phase
from tests.engine.rollout_world import GATE, model, rollout
from tests.engine.world import config_map
from tests.reviewing.real_world import RealReviews
from tests.reviewing.test_approvals import fairlead_role
from tests.rollouts.real_world import STEPS

OWNERS = """\
  owners: [{path: rollouts, owners: [product-owner]}]
  approvals: {people: {product-owner: [grace]}}
"""


@pytest.fixture
async def world(gateway_plane, tmp_path: Path) -> AsyncIterator[RealReviews]:
    with github() as server:
        async with RealReviews.opened(gateway_plane, server, tmp_path) as made:
            yield made


def declared(world: RealReviews, version: str) -> dict[str, bytes | None]:
    versions = [f"v{n}" for n in range(1, int(version[1:]) + 2)]
    said = {"strategy": STEPS, "extra": "  onFailure: pull-request\n"}
    texts = {
        "models/fraud.yaml": model(*versions),
        "rollouts/fraud.yaml": rollout(version, **said),
        "gates/errors.yaml": GATE,
    }
    return {
        path: text.replace("fraud.example.com", world.host)
        .replace("namespace: team-a", f"namespace: {world.team}")
        .encode()
        for path, text in texts.items()
    }


async def test_a_pull_request_from_opening_to_the_page_that_explains_its_revert(
    world: RealReviews,
) -> None:
    people = world.github.people
    people.permit("grace", Permission.MAINTAIN)
    async with world.running() as engine:
        first = world.declare("v1", extra="  onFailure: pull-request\n")
        await world.soon(lambda: engine.books.position.applied.get("one") == first)
        await world.until_reached()
        rules = world.source.repository[first].tree["fairlead.yaml"].data
        owned = {
            "fairlead.yaml": rules + OWNERS.encode(),
            "roles/po.yaml": fairlead_role("product-owner"),
        }
        second = world.push(owned)
        await world.soon(lambda: engine.books.position.applied.get("one") == second)
        async with world.reviewing(engine) as (reviewer, page), world.users() as users:
            await users.answered(50)

            # Opened: planned, and it waits for the owner.
            number = world.propose(declared(world, "v2"), title="Try v2")
            reviewer.hint(number)
            await world.soon(lambda: "waits for approval" in world.title(number))
            assert len(world.comments(number)) == 1
            assert "v2" in world.comments(number)[0]
            assert "Try v2" in await world.page(page, f"/pr/{number}")

            # Approved, then the branch moves: red, and it says what moved.
            people.review(number, "grace")
            reviewer.hint(number)
            await world.soon(lambda: world.conclusion(number) == "success")
            third = world.push({"apps/ns/other.yaml": config_map("other", namespace=world.team)})
            await world.soon(lambda: "base" in world.title(number))
            assert world.conclusion(number) == "failure"
            await world.soon(lambda: engine.books.position.applied.get("one") == third)

            # Approved anew, and merged.
            await until_rested(world, number, reviewer)
            people.review(number, "grace")
            reviewer.hint(number)
            await world.soon(lambda: world.conclusion(number) == "success")
            commit = world.merge(number)
            reviewer.hint(number)

            # A canary, which fails and is taken back.
            await world.soon(lambda: world.state(engine).phase is Phase.STEPPING)
            await world.behave("v2", "errors=1")
            await world.soon(lambda: world.state(engine).failure is not None)
            await world.soon(lambda: "failure" in world.deployed(commit))
            assert "in_progress" in world.deployed(commit)
            await world.soon(lambda: len(world.comments(number)) == 2)
            assert "v2 was taken back" in world.comments(number)[1]

            # The revert, offered as a pull request whose plan proves the inverse.
            await world.soon(lambda: len(people.pulls) == 2)
            await world.soon(lambda: "v1" in "".join(world.comments(2)))
            assert await world.shares() == {"v1": 100}
            shown = await world.page(page, "/rollouts/fraud")
            assert "v2" in shown
            assert "taken back" in shown
            assert users.record.counts(cohort="everybody").dropped == 0


async def until_rested(world: RealReviews, number: int, reviewer: object) -> None:
    """Until the plan that is shown is of the branch as it is and no other is being made."""
    head = world.source.head
    assert head
    await world.soon(lambda: head[:10] in world.comments(number)[0])
    shown = ""
    async with asyncio.timeout(30):
        while shown != world.comments(number)[0]:
            shown = world.comments(number)[0]
            await asyncio.sleep(3.0)
