"""What the page says of a pull request follows from its review, and nothing looks like success."""

from __future__ import annotations

import pytest

from reconciler.core.change_requests import Approval, CheckState, PlanKey, PullRequest
from reconciler.core.identifiers import CommitSha, Digest
from reconciler.core.presenting.page_pulls import PullFacts, pull_facts
from reconciler.core.reviewed import Reviewed

from .html_checks import faults
from .page_world import PageWorld, Watched

REQUEST = PullRequest(
    number=7,
    title="Raise the limit",
    author="ada",
    head=CommitSha("a" * 40),
    head_branch="limit",
    base=CommitSha("b" * 40),
    base_branch="main",
    url="https://github.example.com/acme/models/pull/7",
)
KEY = PlanKey(REQUEST.head, REQUEST.base, Digest("sha256:0"), "1")


async def shown(*facts: PullFacts) -> tuple[str, str]:
    """The page of the first, and the list."""
    world = PageWorld()
    world.watched = Watched(list(facts))
    await world.engine()
    for path in ("/pr/7", "/pulls"):
        assert faults((await world.get(path)).body.decode()) == []
    return await world.text("/pr/7"), await world.text("/pulls")


async def test_one_that_nobody_has_looked_at_says_so() -> None:
    page, listed = await shown(pull_facts(REQUEST, None))
    assert "not planned yet" in page
    assert "not planned yet" in listed
    assert "nobody has to" not in page


async def test_one_without_a_plan_says_why_there_is_none() -> None:
    reviewed = Reviewed(KEY, None, trouble="the branch cannot be fetched", hint="push it again")
    page, listed = await shown(pull_facts(REQUEST, reviewed))
    assert "may not be merged" in page
    assert "There is no plan the branch cannot be fetched push it again" in page
    assert "No changes" not in page + listed


async def test_one_from_a_fork_says_that_no_cluster_was_asked() -> None:
    reviewed = Reviewed(KEY, None, offline=True)
    page, _ = await shown(pull_facts(REQUEST, reviewed))
    assert "No cluster was asked" in page


async def test_an_approval_of_another_plan_does_not_look_like_one_of_this() -> None:
    approval = Approval("grace", 1, Digest("sha256:other"), KEY)
    facts = pull_facts(REQUEST, Reviewed(KEY, None, trouble="x"), approvals=(approval,))
    page, _ = await shown(facts)
    assert "of another plan grace" in page


@pytest.mark.parametrize("state", list(CheckState))
async def test_every_state_of_a_check_has_its_own_word(state: CheckState) -> None:
    _, listed = await shown(PullFacts(REQUEST, state=state, title="said by the check"))
    assert PullFacts(REQUEST, state=state).mark.word in listed
    assert "said by the check" in listed


async def test_what_is_not_known_is_not_there() -> None:
    world = PageWorld()
    world.watched = Watched([pull_facts(REQUEST, None)])
    await world.engine()
    for number in ("8", "07", "x", "-1"):
        assert (await world.get(f"/pr/{number}")).status == 404
