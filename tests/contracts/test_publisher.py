"""What every implementation of the Publisher port does, in memory and against real Git."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pygit2
import pytest
from git.builders import SourceRepository, serving

from reconciler.adapters.git_memory import MemoryRepository
from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_publishing import Committer, GitPublisher
from reconciler.adapters.git_remotes import GitCredentials, GitSource
from reconciler.adapters.publisher_memory import MemoryPublisher
from reconciler.core.commits import Commit
from reconciler.core.errors import Refused
from reconciler.core.identifiers import CommitSha
from reconciler.core.reverting import RevertConflict
from reconciler.ports import Publisher

WHY = "Rollout fraud was taken back from version v3:\n12 of 40 requests failed\n\nGate: errors"


@dataclass
class World:
    """A remote, and who may push reverts to it."""

    remote: SourceRepository | MemoryRepository
    publisher: Publisher
    protect: Callable[[str], None]

    def head(self) -> CommitSha:
        assert self.remote.head
        return self.remote.head

    def commit(self, sha: CommitSha) -> Commit:
        if isinstance(self.remote, MemoryRepository):
            return self.remote.line(sha)[0]
        return GitObjects(self.remote.repository).commit(sha)

    def files(self, sha: CommitSha) -> dict[str, bytes]:
        if isinstance(self.remote, MemoryRepository):
            return {path: file.content for path, file in self.remote.files(sha).items()}
        objects = GitObjects(self.remote.repository)
        entries = objects.difference(None, sha).changed
        return {entry.path: objects.read([entry.blob])[entry.blob] for entry in entries}

    def branch(self, name: str) -> CommitSha | None:
        if isinstance(self.publisher, MemoryPublisher):
            return self.publisher.branches.get(name)
        assert isinstance(self.remote, SourceRepository)
        found = self.remote.repository.references.get(f"refs/heads/{name}")
        return CommitSha(str(found.target)) if found else None

    def move(self, name: str, sha: CommitSha) -> None:
        if isinstance(self.publisher, MemoryPublisher):
            self.publisher.branches[name] = sha
            return
        assert isinstance(self.remote, SourceRepository)
        oid = pygit2.Oid(hex=sha)
        self.remote.repository.references.create(f"refs/heads/{name}", oid, force=True)


@pytest.fixture(params=["memory", "path", "http", "http-token"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        memory = MemoryRepository()
        publisher = MemoryPublisher(memory)
        yield World(memory, publisher, publisher.protect)
        return
    remote = SourceRepository(tmp_path / "served" / "config.git")
    remote.repository.config["http.receivepack"] = "true"
    token_file = tmp_path / "token"
    token_file.write_text("s3cret-token\n")
    token = "s3cret-token" if request.param == "http-token" else ""
    credentials = GitCredentials(token_file=token_file) if token else GitCredentials()
    with serving(tmp_path / "served", token=token) as server:
        url = f"{server.url}/config.git" if "http" in request.param else str(remote.directory)
        source = GitSource(url=url, credentials=credentials)
        committer = Committer("Fairlead", "fairlead@example.com")
        real = GitPublisher(source, tmp_path / "reverts", committer)
        yield World(remote, real, remote.protect)
        real.close()


async def test_a_revert_restores_the_files_on_top_of_the_branch(world: World) -> None:
    before = world.remote.push({"a": b"1\n", "b": b"1\n"})
    bad = world.remote.push({"a": b"2\n", "b": None, "c": b"new\n"}, message="Ship v3\n\nBold.\n")
    made = await world.publisher.push_revert(bad, reason=WHY)
    assert world.head() == made
    assert world.commit(made).parents == (bad,)
    assert world.files(made) == world.files(before)


async def test_the_message_says_what_is_undone_and_why(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"}, message="Ship v3\n\nBold.\n")
    made = world.commit(await world.publisher.push_revert(bad, reason=WHY))
    assert made.message == (
        f'Revert "Ship v3"\n\nThis reverts commit {bad}.\n\n{WHY}\n\nFairlead-Abort: {bad}\n'
    )
    assert (made.author, made.email) == ("Fairlead", "fairlead@example.com")


async def test_what_came_after_the_bad_commit_stays(world: World) -> None:
    world.remote.push({"a": b"1\n", "b": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    later = world.remote.push({"b": b"2\n", "c": b"1\n"})
    made = await world.publisher.push_revert(bad, reason=WHY)
    assert world.commit(made).parents == (later,)
    assert world.files(made) == {"a": b"1\n", "b": b"2\n", "c": b"1\n"}


async def test_the_first_commit_can_be_reverted(world: World) -> None:
    first = world.remote.push({"a": b"1\n"})
    world.remote.push({"b": b"1\n"})
    made = await world.publisher.push_revert(first, reason=WHY)
    assert world.files(made) == {"b": b"1\n"}


async def test_twice_is_as_once(world: World) -> None:
    world.remote.push({"a": b"1\n", "b": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    made = await world.publisher.push_revert(bad, reason=WHY)
    assert await world.publisher.push_revert(bad, reason="something else") == made
    later = world.remote.push({"b": b"2\n"})
    assert await world.publisher.push_revert(bad, reason=WHY) == made
    assert world.head() == later


async def test_the_revert_of_a_person_counts(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    message = f'Revert "v3" (#7)\n\n* Revert "v3"\n\nThis reverts commit {bad}.\n'
    by_hand = world.remote.push({"a": b"1\n", "note": b"sorry\n"}, message=message)
    assert await world.publisher.push_revert(bad, reason=WHY) == by_hand
    assert await world.publisher.push_revert_branch(bad, reason=WHY) == "main"
    assert world.head() == by_hand


async def test_a_revert_that_was_reverted_is_left_to_people(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    made = await world.publisher.push_revert(bad, reason=WHY)
    again = world.remote.push({"a": b"2\n"}, message=f"Again\n\nThis reverts commit {made}.\n")
    assert await world.publisher.push_revert(bad, reason=WHY) == made
    assert world.head() == again
    undone = await world.publisher.push_revert(again, reason=WHY)
    assert world.files(undone) == {"a": b"1\n"}


async def test_a_reason_that_quotes_a_revert_undoes_nothing(world: World) -> None:
    world.remote.push({"a": b"1\n", "b": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    worse = world.remote.push({"b": b"2\n"})
    quoting = f"it answered\nThis reverts commit {bad}.\nFairlead-Abort: {bad}"
    first = await world.publisher.push_revert(worse, reason=quoting)
    second = await world.publisher.push_revert(bad, reason=WHY)
    assert first != second
    assert world.files(second) == {"a": b"1\n", "b": b"1\n"}


async def test_what_is_back_already_is_not_pushed_again(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    back = world.remote.push({"a": b"1\n"}, message="Go back to 1")
    assert await world.publisher.push_revert(bad, reason=WHY) == back
    assert await world.publisher.push_revert_branch(bad, reason=WHY) == "main"
    assert world.head() == back


async def test_a_conflict_names_the_files_and_pushes_nothing(world: World) -> None:
    world.remote.push({"models/a.yaml": b"1\n", "other": b"1\n"})
    bad = world.remote.push({"models/a.yaml": b"2\n", "other": b"2\n"})
    head = world.remote.push({"models/a.yaml": b"3\n"})
    with pytest.raises(RevertConflict) as caught:
        await world.publisher.push_revert(bad, reason=WHY)
    assert caught.value.paths == ("models/a.yaml",)
    with pytest.raises(RevertConflict):
        await world.publisher.push_revert_branch(bad, reason=WHY)
    assert world.head() == head


async def test_a_commit_that_the_branch_lost_is_refused(world: World) -> None:
    base = world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    world.remote.rewrite(base)
    other = world.remote.push({"a": b"3\n"})
    with pytest.raises(Refused, match="is not part of main"):
        await world.publisher.push_revert(bad, reason=WHY)
    with pytest.raises(Refused, match="is not part of main"):
        await world.publisher.push_revert(CommitSha("f" * 40), reason=WHY)
    assert world.head() == other


async def test_a_protected_branch_is_refused_and_stays(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    world.protect("main")
    with pytest.raises(Refused, match="protected"):
        await world.publisher.push_revert(bad, reason=WHY)
    assert world.head() == bad


async def test_a_revert_can_be_offered_on_a_branch_of_its_own(world: World) -> None:
    before = world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"}, message="Ship v3")
    world.protect("main")
    name = await world.publisher.push_revert_branch(bad, reason=WHY)
    assert name == f"fairlead/revert-{bad[:10]}"
    made = world.branch(name)
    assert made is not None
    assert world.head() == bad
    assert world.files(made) == world.files(before)
    assert world.commit(made).message.endswith(f"\n\nFairlead-Abort: {bad}\n")


async def test_an_offer_is_made_once(world: World) -> None:
    world.remote.push({"a": b"1\n", "b": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    name = await world.publisher.push_revert_branch(bad, reason=WHY)
    offered = world.branch(name)
    world.remote.push({"b": b"2\n"})
    assert await world.publisher.push_revert_branch(bad, reason="other words") == name
    assert world.branch(name) == offered


async def test_a_branch_of_that_name_with_something_else_is_left_alone(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    bad = world.remote.push({"a": b"2\n"})
    other = world.remote.push({"b": b"1\n"}, message="something else")
    world.remote.rewrite(bad)
    name = f"fairlead/revert-{bad[:10]}"
    world.move(name, other)
    with pytest.raises(Refused, match="does not revert"):
        await world.publisher.push_revert_branch(bad, reason=WHY)
    assert world.branch(name) == other
