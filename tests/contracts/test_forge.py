"""What every implementation of the Forge port does: in memory, and on GitHub.

GitHub is a stand-in that holds every request to GitHub's published description, once asked as an
App and once with a token.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest
from forge.worlds import as_app, as_person, github

from reconciler.adapters.forge_memory import MemoryForge
from reconciler.core.change_requests import (
    Annotation,
    Check,
    CheckState,
    Deployment,
    DeploymentState,
    Level,
    Permission,
    ReviewState,
)
from reconciler.core.errors import Invalid, Missing
from reconciler.core.identifiers import CommitSha, DocumentPath
from reconciler.forge_ports import Forge

BASE = CommitSha("b" * 40)
MOVED = CommitSha("c" * 40)
HEAD = CommitSha("1" * 40)
NEWER = CommitSha("2" * 40)
LARGEST = 262_144


class People(Protocol):
    """What others than us do at the forge."""

    def open(
        self,
        head: CommitSha,
        *,
        base: CommitSha,
        author: str = "ada",
        title: str = "Change a model",
        branch: str = "change",
        base_branch: str = "main",
        fork: bool = False,
        draft: bool = False,
    ) -> int: ...
    def push(self, number: int, head: CommitSha) -> None: ...
    def move_base(self, base: CommitSha, *, branch: str = "main") -> None: ...
    def review(
        self,
        number: int,
        author: str,
        state: ReviewState = ReviewState.APPROVED,
        *,
        commit: CommitSha | None = None,
    ) -> int: ...
    def say(self, number: int, author: str, body: str) -> int: ...
    def edit(self, number: int, comment: int, body: str) -> None: ...
    def delete(self, number: int, comment: int) -> None: ...
    def merge(self, number: int, commit: CommitSha) -> None: ...
    def shut(self, number: int) -> None: ...
    def permit(self, login: str, permission: Permission) -> None: ...


@dataclass
class World:
    """A forge, its people, and how often something was written there for others to see."""

    forge: Forge
    people: People
    marks: Callable[[], int]
    deployments: Callable[[], int]


@pytest.fixture(params=["memory", "github app", "github token"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryForge()
        yield World(memory, memory, lambda: len(memory.checks), lambda: len(memory.deployments))
        return
    opened = as_app if request.param == "github app" else as_person
    with github() as server:
        async with opened(server, tmp_path) as forge:
            people = server.people
            yield World(
                forge,
                people,
                lambda: len(people.statuses),
                lambda: sum(len(each.statuses) for each in people.deployed),
            )


async def test_a_pull_request_is_told_as_it_stands(world: World) -> None:
    number = world.people.open(HEAD, base=BASE, author="ada", title="Bigger model", draft=True)
    pull = await world.forge.pull_request(number)
    assert (pull.number, pull.title, pull.author) == (number, "Bigger model", "ada")
    assert (pull.head, pull.head_branch, pull.base, pull.base_branch) == (
        HEAD,
        "change",
        BASE,
        "main",
    )
    assert (pull.fork, pull.draft, pull.open, pull.merged) == (False, True, True, None)
    assert pull.url.startswith("https://")


async def test_open_pull_requests_come_newest_first(world: World) -> None:
    numbers = [world.people.open(HEAD, base=BASE, branch=f"b{i}") for i in range(3)]
    world.people.shut(numbers[1])
    assert [p.number for p in await world.forge.pull_requests()] == [numbers[2], numbers[0]]


async def test_more_than_a_page_of_pull_requests_is_listed(world: World) -> None:
    for index in range(130):
        world.people.open(HEAD, base=BASE, branch=f"b{index}")
    assert len(await world.forge.pull_requests()) == 130


async def test_the_base_is_the_branch_as_it_is_now(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    world.people.move_base(MOVED)
    assert (await world.forge.pull_request(number)).base == MOVED
    assert [p.base for p in await world.forge.pull_requests()] == [MOVED]


async def test_a_push_changes_the_head(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    await world.forge.pull_request(number)
    world.people.push(number, NEWER)
    assert (await world.forge.pull_request(number)).head == NEWER


async def test_what_comes_from_another_repository_is_a_fork(world: World) -> None:
    number = world.people.open(HEAD, base=BASE, author="mallory", fork=True)
    assert (await world.forge.pull_request(number)).fork
    assert all(pull.fork for pull in await world.forge.pull_requests())


async def test_a_merged_one_is_not_open_and_has_its_commit(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    world.people.merge(number, MOVED)
    pull = await world.forge.pull_request(number)
    assert (pull.open, pull.merged) == (False, MOVED)


async def test_one_closed_without_merging_has_no_commit(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    world.people.shut(number)
    pull = await world.forge.pull_request(number)
    assert (pull.open, pull.merged) == (False, None)


async def test_what_is_not_there_is_missing(world: World) -> None:
    with pytest.raises(Missing):
        await world.forge.pull_request(404)
    with pytest.raises(Missing):
        await world.forge.reviews(404)
    with pytest.raises(Missing):
        await world.forge.comments(404)
    with pytest.raises(Missing):
        await world.forge.put_comment(404, "text", known=None)


async def test_reviews_come_oldest_first_with_their_commit(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    world.people.review(number, "ada", ReviewState.CHANGES_REQUESTED)
    world.people.push(number, NEWER)
    world.people.review(number, "bob")
    told = await world.forge.reviews(number)
    assert [(r.author, r.state, r.commit) for r in told] == [
        ("ada", ReviewState.CHANGES_REQUESTED, HEAD),
        ("bob", ReviewState.APPROVED, NEWER),
    ]


async def test_more_than_a_page_of_reviews_is_read(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    for _ in range(120):
        world.people.review(number, "ada", ReviewState.COMMENTED)
    assert len(await world.forge.reviews(number)) == 120


async def test_comments_come_oldest_first_and_only_after_the_given_one(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    ids = [world.people.say(number, "ada", f"/fairlead plan {i}") for i in range(3)]
    assert [c.id for c in await world.forge.comments(number)] == ids
    told = await world.forge.comments(number, after=ids[0])
    assert [(c.id, c.author, c.body) for c in told] == [
        (ids[1], "ada", "/fairlead plan 1"),
        (ids[2], "ada", "/fairlead plan 2"),
    ]


async def test_more_than_a_page_of_comments_is_read(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    ids = [world.people.say(number, "ada", "hello") for _ in range(230)]
    assert [c.id for c in await world.forge.comments(number, after=ids[9])] == ids[10:]


async def test_an_edited_comment_is_told_as_edited(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    kept, changed = (world.people.say(number, "ada", "hello") for _ in range(2))
    world.people.edit(number, changed, "/fairlead approve")
    told = {c.id: c.edited for c in await world.forge.comments(number)}
    assert told == {kept: False, changed: True}


@pytest.mark.parametrize("permission", list(Permission))
async def test_a_permission_is_the_forges_word_of_now(world: World, permission: Permission) -> None:
    world.people.permit("ada", Permission.WRITE)
    await world.forge.permission("ada")
    world.people.permit("ada", permission)
    assert await world.forge.permission("ada") is permission


@pytest.mark.parametrize(
    "login", ["stranger", "", "..", "../../collaborators/ada", "ada/permission?", "a b", "ada\n"]
)
async def test_a_stranger_may_nothing_whatever_the_name(world: World, login: str) -> None:
    world.people.permit("ada", Permission.ADMIN)
    assert await world.forge.permission(login) is Permission.NONE


async def test_our_comment_is_made_once_and_edited_in_place(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    first = await world.forge.put_comment(number, "the plan", known=None)
    assert await world.forge.put_comment(number, "another plan", known=first) == first
    (told,) = await world.forge.comments(number)
    assert (told.id, told.author, told.body) == (first, await world.forge.whoami(), "another plan")


async def test_a_comment_that_somebody_deleted_is_made_anew(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    first = await world.forge.put_comment(number, "the plan", known=None)
    world.people.delete(number, first)
    second = await world.forge.put_comment(number, "the plan", known=first)
    assert second != first
    assert [c.id for c in await world.forge.comments(number)] == [second]


async def test_s11_a_comment_of_somebody_else_is_never_edited(world: World) -> None:
    number = world.people.open(HEAD, base=BASE)
    ours = await world.forge.put_comment(number, "<!-- fairlead --> the plan", known=None)
    theirs = world.people.say(number, "mallory", "<!-- fairlead --> the plan")
    again = await world.forge.put_comment(number, "a new plan", known=theirs)
    assert again not in (ours, theirs)
    told = {c.id: c.body for c in await world.forge.comments(number)}
    assert told[theirs] == "<!-- fairlead --> the plan"
    assert told[again] == "a new plan"


async def test_s11_our_comment_at_another_pull_request_is_left_there(world: World) -> None:
    one = world.people.open(HEAD, base=BASE)
    other = world.people.open(HEAD, base=BASE, branch="other")
    there = await world.forge.put_comment(other, "of the other", known=None)
    here = await world.forge.put_comment(one, "of this one", known=there)
    assert here != there
    assert [c.body for c in await world.forge.comments(other)] == ["of the other"]


async def test_a_comment_of_the_largest_size_is_taken_and_one_byte_more_is_invalid(
    world: World,
) -> None:
    number = world.people.open(HEAD, base=BASE)
    largest = "é" * (LARGEST // 2)
    made = await world.forge.put_comment(number, largest, known=None)
    with pytest.raises(Invalid):
        await world.forge.put_comment(number, largest + "x", known=made)
    with pytest.raises(Invalid):
        await world.forge.put_comment(number, largest + "x", known=None)
    assert [c.body for c in await world.forge.comments(number)] == [largest]


@pytest.mark.parametrize(
    "body", ["@all $(id) `x` \u202e", "a\x00b", "\r\n", "</details>", "🚢" * 100]
)
async def test_a_comment_reads_as_it_was_put(world: World, body: str) -> None:
    number = world.people.open(HEAD, base=BASE)
    await world.forge.put_comment(number, body, known=None)
    assert [c.body for c in await world.forge.comments(number)] == [body]


CHECK = Check(
    name="fairlead/plan",
    commit=HEAD,
    state=CheckState.SUCCESS,
    title="1 change",
    summary="**1** change",
    text="all of it",
    annotations=(Annotation(DocumentPath("models/a.yaml"), 3, 4, Level.WARNING, "old", "is old"),),
    url="https://fairlead.example.com/pr/1",
)


@pytest.mark.parametrize("state", list(CheckState))
async def test_a_check_is_put_once_however_often(world: World, state: CheckState) -> None:
    world.people.open(HEAD, base=BASE)
    for _ in range(2):
        await world.forge.put_check(replace(CHECK, state=state))
    assert world.marks() == 1


async def test_another_verdict_is_another_mark(world: World) -> None:
    world.people.open(HEAD, base=BASE)
    for state in (CheckState.RUNNING, CheckState.SUCCESS, CheckState.FAILURE):
        await world.forge.put_check(replace(CHECK, state=state))
    assert world.marks() == 3


async def test_a_title_of_any_length_is_taken(world: World) -> None:
    world.people.open(HEAD, base=BASE)
    await world.forge.put_check(replace(CHECK, title="é" * 5000))
    assert world.marks() == 1


DEPLOYMENT = Deployment(
    commit=HEAD,
    environment="prod-eu/chat",
    state=DeploymentState.IN_PROGRESS,
    description="step 2 of 4: 25 % of traffic",
    url="https://fairlead.example.com/rollouts/chat",
)


@pytest.mark.parametrize("state", list(DeploymentState))
async def test_a_deployment_is_shown_once_however_often(
    world: World, state: DeploymentState
) -> None:
    world.people.open(HEAD, base=BASE)
    for _ in range(2):
        await world.forge.put_deployment(replace(DEPLOYMENT, state=state))
    assert world.deployments() == 1


async def test_a_deployment_goes_on_and_each_environment_has_its_own(world: World) -> None:
    world.people.open(HEAD, base=BASE)
    await world.forge.put_deployment(DEPLOYMENT)
    await world.forge.put_deployment(replace(DEPLOYMENT, environment="prod-us/chat"))
    await world.forge.put_deployment(replace(DEPLOYMENT, state=DeploymentState.SUCCESS))
    assert world.deployments() == 3


async def test_a_description_of_any_length_is_taken(world: World) -> None:
    world.people.open(HEAD, base=BASE)
    await world.forge.put_deployment(replace(DEPLOYMENT, description="x" * 5000))
    assert world.deployments() == 1


async def test_a_pull_request_is_opened_once_and_found_again(world: World) -> None:
    world.people.open(HEAD, base=BASE)
    numbers = {
        await world.forge.open_pull_request(
            branch="fairlead/revert-1", base="main", title="Revert", body="because"
        )
        for _ in range(2)
    }
    (number,) = numbers
    pull = await world.forge.pull_request(number)
    assert (pull.head_branch, pull.base_branch, pull.title) == (
        "fairlead/revert-1",
        "main",
        "Revert",
    )
    assert pull.author == await world.forge.whoami()
