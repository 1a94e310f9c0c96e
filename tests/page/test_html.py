"""Every page is valid HTML with its headings, labels and references in order, in every state."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.change_requests import Approval, CheckState, PlanKey, PullRequest
from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.impact import impact
from reconciler.core.presenting.page_pulls import PullFacts
from reconciler.core.presenting.plan_view import plan_view
from reconciler.engine.driving import Engine
from tests.engine.world import deployment

from .html_checks import faults
from .page_world import PATHS, PageWorld, Watched

pytestmark = pytest.mark.looptime


async def all_faults(world: PageWorld, *more: str) -> dict[str, list[str]]:
    found = {}
    for path in (*PATHS, *more):
        answer = await world.get(path)
        assert answer.status == 200, f"{path}: {answer.status}"
        if wrong := faults(answer.body.decode()):
            found[path] = wrong
    return found


async def test_pages_are_valid_while_a_rollout_moves() -> None:
    world = PageWorld("one", "two")
    async with world.moving() as engine:
        await world.until_step(engine, 3)
        assert await all_faults(world, f"/c/{world.repository.head}") == {}


async def test_pages_are_valid_after_an_abort() -> None:
    world = PageWorld()
    world.errors["v2"] = 0.5
    async with world.moving() as engine:
        await world.until(lambda: world.state(engine).failure is not None)
        assert await all_faults(world, f"/c/{world.repository.head}") == {}


async def test_pages_are_valid_when_a_commit_is_refused_and_a_cluster_away() -> None:
    world = PageWorld("one", "two")
    async with world.settled() as engine:
        bad = world.push({"apps/billing/one.yaml": b"kind: [oops\n"})
        await world.until_refused(engine, bad)
        world.clusters[ClusterName("two")].stop()
        await asyncio.sleep(60)
        assert await all_faults(world, f"/c/{bad}", "/clusters/two") == {}


async def test_pages_are_valid_of_a_pull_request_with_its_plan() -> None:
    world = PageWorld()
    world.watched = Watched()
    async with world.settled() as engine:
        world.watched.found = [await pull_request(world, engine)]
        assert await all_faults(world, "/pr/7") == {}
        assert "web" in await world.text("/pr/7")
        text = await world.text("/pr/7")
    assert "still asked for risk-owner for models/" in text
    assert "Risk HIGH" in text, "the lines of the comment are there"
    assert "Gains access Role ml-researcher : get, list and watch on deployments" in text
    assert "of this plan grace" in text
    assert "of another plan eve" in text
    assert "kind: Deployment" in text, "what is made anew is shown"


async def pull_request(world: PageWorld, engine: Engine) -> PullFacts:
    commit = world.declare("v1", files={"apps/web/one.yaml": deployment("web").decode()})
    await world.until_applied(engine, commit)
    assert engine.reconciler.plan is not None
    assert engine.reconciler.accepted is not None
    plan = plan_view(engine.reconciler.plan)
    request = PullRequest(
        number=7,
        title="Add the web",
        author="ada",
        head=CommitSha(commit),
        head_branch="web",
        base=CommitSha(commit),
        base_branch="main",
        url="https://github.example.com/acme/models/pull/7",
    )
    key = PlanKey(request.head, request.base, Digest(""), "0")
    return PullFacts(
        request,
        state=CheckState.WAITING,
        title="1 to create; waits for approval",
        plan=plan,
        approvals=(Approval("grace", 1, plan.digest, key), Approval("eve", 2, Digest("x"), key)),
        missing=("risk-owner for models/",),
        impact=impact(engine.reconciler.plan, None, engine.reconciler.accepted),
        asked=Request(request.head, request.base, approved=("grace",)),
    )


@pytest.mark.parametrize("path", [path for path in PATHS if path.count("/") == 1 and path != "/a"])
async def test_pages_are_valid_when_there_is_nothing_to_show(path: str) -> None:
    world = PageWorld()
    await world.engine()
    answer = await world.get(path)
    assert (answer.status, faults(answer.body.decode())) == (200, [])


@pytest.mark.parametrize(
    "path", ["/nowhere", "/models/none", "/rollouts/none", "/clusters/none", "/c/abcdef0", "/pr/1"]
)
async def test_a_page_that_is_not_there_says_so_in_a_page(path: str) -> None:
    world = PageWorld()
    async with world.settled():
        answer = await world.get(path)
    assert (answer.status, faults(answer.body.decode())) == (404, [])
    assert "To the overview" in answer.body.decode()
