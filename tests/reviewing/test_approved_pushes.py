"""What was approved on the forge is approved for the daemon, if it knows by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from reconciler.adapters.approvals_memory import MemoryApprovals
from reconciler.core.audit.records import Verb
from reconciler.core.change_requests import CheckState
from reconciler.core.identifiers import CommitSha
from reconciler.engine.driving import Engine
from reconciler.engine.reviewed_approvals import ReviewedApprovals
from tests.engine.world import config_map
from tests.reviewing.test_approvals import fairlead_role
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime

RULES = """\
  signatures: {required: true}
  owners: [{path: apps, owners: [owner]}]
  approvals: {people: {owner: [Grace]}}
"""


class SigningWorld(ReviewWorld):
    """Ada signs what she proposes; the daemon knows who Grace is."""

    def __init__(self, *known: str) -> None:
        super().__init__()
        self.signed = MemoryApprovals()
        self.signed.know(known)
        self.start_repository(
            {"apps/a/one.yaml": config_map("one"), "owner.yaml": fairlead_role("owner")},
            extra=RULES,
        )

    def commit(
        self, files: Mapping[str, bytes | None], *, on: CommitSha | None = None
    ) -> CommitSha:
        return self.repository.commit_on(
            on or self.head,
            files,
            message="change",
            author="Ada",
            email="ada@example.com",
            signer="ada@example.com",
            person=("ada@example.com", "ada"),
        )

    async def engine(self, **replaced: object) -> Engine:
        approvals = ReviewedApprovals(self.signed, self.store, repository="acme")
        return await super().engine(approvals=approvals, **replaced)


async def merged(world: SigningWorld) -> tuple[int, CommitSha]:
    """A pull request that its owner approved, and the bot let be merged."""
    number = world.open()
    await world.until_state(number, CheckState.WAITING)
    await asyncio.sleep(5)
    world.approve(number)
    await world.until_state(number, CheckState.SUCCESS)
    return number, await world.merge(number)


async def test_a_review_of_the_plan_is_an_approval_of_the_merge() -> None:
    world = SigningWorld("grace@example.com", "grace")
    async with world.both() as (engine, _):
        number, commit = await merged(world)
        await world.until_applied(engine, commit)
        [accepted] = [
            r for r in await world.records() if (r.verb, r.commit) == (Verb.ACCEPT, commit)
        ]
        [approval] = accepted.detail["approved"]["approvals"]
        assert approval["person"] == "grace@example.com"
        assert approval["how"].endswith(f"of pull request {number} by grace")


async def test_a_login_that_the_allowed_signers_do_not_name_may_be_anybodys() -> None:
    """The author's, for one, who has two accounts."""
    world = SigningWorld("linus@example.com")
    async with world.both() as (engine, _):
        _, commit = await merged(world)
        await world.until(lambda: engine.books.position.held == commit)
        assert "is by nobody whom the allowed signers name" in engine.books.position.waits_for


async def test_a_review_does_not_count_for_what_was_pushed_after_it() -> None:
    world = SigningWorld("grace@example.com", "grace")
    async with world.both() as (engine, _):
        _, commit = await merged(world)
        more = world.commit({"apps/a/two.yaml": config_map("two")}, on=commit)
        world.repository.rewrite(more)
        await world.until(lambda: engine.books.position.held == more)
        assert "1 of owner, because apps/a/two.yaml changes" in engine.books.position.waits_for
