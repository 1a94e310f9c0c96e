"""What a Proposer does against real Git: a branch for people to merge, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from git.builders import SourceRepository, serving

from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_proposing import GitProposer
from reconciler.adapters.git_publishing import Committer
from reconciler.adapters.git_remotes import GitSource
from reconciler.core.errors import FairleadError, Refused
from reconciler.core.identifiers import CommitSha, DocumentPath

BRANCH = "fairlead/approve-fraud-v3-step-5"
FILE = DocumentPath("rollouts/fraud.yaml")


@dataclass
class World:
    remote: SourceRepository
    proposer: GitProposer

    def branch(self, name: str) -> CommitSha | None:
        found = self.remote.repository.references.get(f"refs/heads/{name}")
        return CommitSha(str(found.target)) if found else None


@pytest.fixture(params=["path", "http"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    remote = SourceRepository(tmp_path / "served" / "config.git")
    remote.repository.config["http.receivepack"] = "true"
    with serving(tmp_path / "served") as server:
        url = f"{server.url}/config.git" if request.param == "http" else str(remote.directory)
        committer = Committer("Fairlead", "fairlead@example.com")
        proposer = GitProposer(GitSource(url=url), tmp_path / "offers", committer)
        yield World(remote, proposer)
        proposer.close()


async def test_files_are_changed_on_a_branch_of_their_own(world: World) -> None:
    head = world.remote.push({FILE: b"old\n", "other": b"1\n"})
    made = await world.proposer.propose(BRANCH, {FILE: b"new\n"}, on=head, message="Approve\n")
    assert world.branch(BRANCH) == made
    assert world.remote.head == head
    objects = GitObjects(world.remote.repository)
    assert [entry.path for entry in objects.difference(head, made).changed] == [FILE]
    assert objects.commit(made).parents == (head,)
    assert objects.commit(made).message == "Approve\n"


async def test_twice_is_as_once(world: World) -> None:
    head = world.remote.push({FILE: b"old\n"})
    made = await world.proposer.propose(BRANCH, {FILE: b"new\n"}, on=head, message="Approve\n")
    later = world.remote.push({"other": b"1\n"})
    again = await world.proposer.propose(BRANCH, {FILE: b"new\n"}, on=later, message="Again\n")
    assert again == made


async def test_a_branch_with_something_else_is_left_alone(world: World) -> None:
    head = world.remote.push({FILE: b"old\n"})
    made = await world.proposer.propose(BRANCH, {FILE: b"new\n"}, on=head, message="Approve\n")
    with pytest.raises(Refused):
        await world.proposer.propose(BRANCH, {FILE: b"newer\n"}, on=head, message="Approve\n")
    assert world.branch(BRANCH) == made


@pytest.mark.parametrize("branch", ["main", "a b", "../x", "a:b", "*"])
async def test_the_branch_itself_and_what_is_no_name_are_refused(world: World, branch: str) -> None:
    head = world.remote.push({FILE: b"old\n"})
    with pytest.raises(FairleadError):
        await world.proposer.propose(branch, {FILE: b"new\n"}, on=head, message="Approve\n")
    assert world.remote.head == head
