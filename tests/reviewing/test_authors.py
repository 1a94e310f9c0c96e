"""A pull request is planned in the names of those who signed it, as merging it would be applied."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reconciler.core.change_requests import CheckState
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import CommitSha
from reconciler.core.manifests import JsonObject
from tests.engine.test_authors import ALICE, PEOPLE, ROOT
from tests.engine.world import config_map
from tests.reviewing.world import ReviewWorld

pytestmark = pytest.mark.looptime


class Signed(ReviewWorld):
    """Alice proposes, and may not touch `one`. Root is whoever pushes."""

    def __init__(self) -> None:
        super().__init__()

        def permits(asker: str, verb: str, body: JsonObject) -> None:
            if asker == ALICE.user and body["metadata"]["name"] == "one":
                raise Forbidden(f'{verb}: User "{asker}" cannot do it')

        self.cluster.permits = permits

    async def engine(self, **replaced: object):
        return await super().engine(**{"people": PEOPLE, **replaced})

    def push(self, files, *, message: str = "change", signer: str | None = None) -> CommitSha:
        return super().push(files, message=message, signer=signer or ROOT.signer)

    def commit(
        self, files: Mapping[str, bytes | None], *, on: CommitSha | None = None
    ) -> CommitSha:
        return self.repository.commit_on(
            on or self.head,
            files,
            message="change",
            author="Ada",
            email="ada@example.com",
            signer=ALICE.signer,
            person=(ALICE.signer,),
        )


def started() -> Signed:
    world = Signed()
    world.start_repository({"apps/a/one.yaml": config_map("one")})
    return world


@pytest.mark.parametrize("behind", [False, True])
async def test_what_its_author_may_not_do_turns_the_check_red(behind: bool) -> None:
    world = started()
    async with world.both() as (engine, reviewer):
        number = world.open({"apps/a/one.yaml": config_map("one", "2")})
        if behind:
            later = world.push_to_branch({"apps/b/three.yaml": config_map("three")})
            await world.until_applied(engine, later)
        reviewer.hint()
        await world.until_state(number, CheckState.FAILURE)
        assert "`alice@example.com` may not" in world.comment(number)


@pytest.mark.parametrize("behind", [False, True])
async def test_what_its_author_may_do_is_asked_in_their_name(behind: bool) -> None:
    world = started()
    async with world.both() as (engine, reviewer):
        number = world.open({"apps/a/two.yaml": config_map("two")})
        if behind:
            later = world.push_to_branch({"apps/b/three.yaml": config_map("three")})
            await world.until_applied(engine, later)
        reviewer.hint()
        await world.until_state(number, CheckState.SUCCESS)
    asked = [r for r in world.cluster.requests if r.key and r.key.name == "two"]
    assert {request.asker for request in asked if request.verb == "dry-run"} == {ALICE.user}
