"""What every implementation of the ProposedChanges port does, in memory and against real Git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
import pytest
from git.builders import SourceRepository, serving

from reconciler.adapters.git_memory import MemoryRepository
from reconciler.adapters.git_proposals import GitProposals
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.proposals_memory import MemoryProposals
from reconciler.core.change_requests import MergeConflict
from reconciler.core.errors import FairleadError, Missing
from reconciler.core.identifiers import CommitSha
from reconciler.forge_ports import ProposedChanges

PULL = "refs/pull/1/head"


@dataclass
class World:
    """A remote with a branch, and what strangers put beside it."""

    remote: SourceRepository | MemoryRepository
    proposals: ProposedChanges

    def propose(
        self, files: Mapping[str, bytes | None], *, on: CommitSha, ref: str = PULL
    ) -> CommitSha:
        """A commit on top of `on` that only `ref` has."""
        head = self.remote.head
        assert head
        self.remote.rewrite(on)
        made = self.remote.push(files)
        self.remote.rewrite(head)
        if isinstance(self.remote, MemoryRepository):
            assert isinstance(self.proposals, MemoryProposals)
            self.proposals.heads[ref] = made
        else:
            self.remote.repository.references.create(ref, pygit2.Oid(hex=made), force=True)
        return made

    async def files(self, sha: CommitSha) -> dict[str, bytes]:
        entries = (await self.proposals.difference(None, sha)).changed
        contents = await self.proposals.read([entry.blob for entry in entries])
        return {entry.path: contents[entry.blob] for entry in entries}


@pytest.fixture(params=["memory", "path", "http"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        repository = MemoryRepository()
        yield World(repository, MemoryProposals(repository))
        return
    remote = SourceRepository(tmp_path / "served" / "config.git")
    with serving(tmp_path / "served") as server:
        url = f"{server.url}/config.git" if request.param == "http" else str(remote.directory)
        proposals = GitProposals(GitSource(url=url), tmp_path / "proposals.git")
        yield World(remote, proposals)
        proposals.close()


async def test_what_is_proposed_is_there_once_its_reference_was_fetched(world: World) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    head = world.propose({"a": b"2\n"}, on=base)
    with pytest.raises(Missing):
        await world.proposals.commit(head)
    assert await world.proposals.fetch_ref(PULL) == head
    assert await world.files(head) == {"a": b"2\n"}
    assert await world.proposals.fetch() == base


async def test_a_reference_that_is_not_there_is_missing(world: World) -> None:
    world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    with pytest.raises(Missing):
        await world.proposals.fetch_ref("refs/pull/2/head")


async def test_references_are_found_by_how_they_begin(world: World) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    queue = "refs/heads/gh-readonly-queue/main/"
    queued = world.propose({"a": b"2\n"}, on=base, ref=f"{queue}pr-1-{base}")
    world.propose({"a": b"3\n"}, on=base)
    assert await world.proposals.refs(queue) == {f"{queue}pr-1-{base}": queued}


async def test_a_head_on_top_of_the_branch_is_its_own_merge(world: World) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    head = world.propose({"a": b"2\n"}, on=base)
    await world.proposals.fetch_ref(PULL)
    assert await world.proposals.merged(base, head) == head


async def test_a_merge_has_both_changes_and_is_a_function_of_the_two(world: World) -> None:
    first = world.remote.push({"a": b"1\n", "b": b"1\n", "c": b"1\n"})
    base = world.remote.push({"b": b"2\n"})
    await world.proposals.fetch()
    head = world.propose({"a": b"2\n", "c": None, "d": b"1\n"}, on=first)
    await world.proposals.fetch_ref(PULL)
    made = await world.proposals.merged(base, head)
    assert made not in (base, head)
    assert await world.files(made) == {"a": b"2\n", "b": b"2\n", "d": b"1\n"}
    assert await world.proposals.merged(base, head) == made
    assert (await world.proposals.commit(made)).time.timestamp() <= 1_767_225_600


async def test_places_that_both_changed_are_named(world: World) -> None:
    first = world.remote.push({"models/a.yaml": b"1\n", "b": b"1\n"})
    base = world.remote.push({"models/a.yaml": b"2\n"})
    await world.proposals.fetch()
    head = world.propose({"models/a.yaml": b"3\n", "b": b"2\n"}, on=first)
    await world.proposals.fetch_ref(PULL)
    with pytest.raises(MergeConflict) as caught:
        await world.proposals.merged(base, head)
    assert caught.value.paths == ("models/a.yaml",)


async def test_a_branch_that_was_pushed_anew_is_fetched_as_it_is(world: World) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    world.propose({"a": b"2\n"}, on=base)
    await world.proposals.fetch_ref(PULL)
    head = world.propose({"a": b"3\n"}, on=base)
    assert await world.proposals.fetch_ref(PULL) == head


HOSTILE = (
    "--upload-pack=touch /tmp/x",
    "refs/pull/*/head",
    "refs/pull/1/head:refs/heads/main",
    "+refs/heads/main",
    "refs/heads/$(id)\nrefs/heads/main",
    "refs/heads/a b",
    "refs/../config",
    "",
)


@pytest.mark.parametrize("ref", HOSTILE)
async def test_s1_a_name_is_a_name_and_never_an_option_or_a_refspec(world: World, ref: str) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    with pytest.raises(FairleadError):
        await world.proposals.fetch_ref(ref)
    assert world.remote.head == base


@pytest.mark.parametrize("name", ["$(id)", "`id`", "a;b", "a&b", "-x", "--upload-pack=x"])
async def test_s1_a_branch_that_looks_like_a_command_is_only_fetched(
    world: World, name: str
) -> None:
    base = world.remote.push({"a": b"1\n"})
    await world.proposals.fetch()
    ref = f"refs/heads/{name}"
    head = world.propose({"a": b"2\n"}, on=base, ref=ref)
    assert await world.proposals.fetch_ref(ref) == head


async def test_what_is_proposed_is_what_the_branch_does_not_have(world: World) -> None:
    first = world.remote.push({"a.yaml": b"a"})
    proposed = world.propose({"b.yaml": b"b"}, on=first)
    base = world.remote.push({"c.yaml": b"c"})
    assert await world.proposals.fetch() == base
    await world.proposals.fetch_ref(PULL)
    found = await world.proposals.proposed(base, proposed)
    assert [commit.sha for commit in found] == [proposed]
    assert await world.proposals.proposed(proposed, proposed) == ()
