"""What every Approvals promises, asked of memory and of references in Git."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pygit2
import pytest

from reconciler.adapters.approvals_memory import MemoryApprovals
from reconciler.adapters.git_approvals import GitApprovals
from reconciler.adapters.git_approving import give_approval
from reconciler.adapters.git_remotes import GitSource
from reconciler.approval_ports import Approvals
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval, Statement
from reconciler.core.identifiers import CommitSha, TreeId
from tests.git.builders import SourceRepository
from tests.git.signing import SshKey

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
GRACE: Person = ("grace@example.com", "grace")
TREE, OTHER, BASE = TreeId("7" * 40), TreeId("8" * 40), CommitSha("b" * 40)


class Desk(Protocol):
    """Where Grace, whom the allowed signers know, approves."""

    approvals: Approvals

    def give(self, tree: TreeId) -> None: ...


class MemoryDesk:
    def __init__(self) -> None:
        self.approvals = MemoryApprovals()
        self.approvals.know(GRACE)

    def give(self, tree: TreeId) -> None:
        until = NOW + timedelta(hours=1)
        self.approvals.give(Approval(GRACE, tree, BASE, "acme", "key", until))


class GitDesk:
    def __init__(self, directory: Path) -> None:
        remote = SourceRepository(directory / "config.git")
        remote.push({"README": b"hello"})
        self.clone = directory / "clone"
        clone = pygit2.init_repository(str(self.clone))
        clone.remotes.create("origin", str(remote.directory))
        self.key = SshKey.generate(directory / "grace", kind="ed25519", bits="")
        allowed = directory / "allowed_signers"
        allowed.write_text(f"{','.join(GRACE)} {self.key.public}\n")
        source = GitSource(str(remote.directory))
        self.approvals = GitApprovals(source, directory / "approvals", allowed)

    def give(self, tree: TreeId) -> None:
        statement = Statement("acme", tree, BASE, NOW + timedelta(hours=1))
        give_approval(self.clone, statement, key=str(self.key.file), remote="origin")


@asynccontextmanager
async def opened(name: str, directory: Path) -> AsyncIterator[Desk]:
    if name == "memory":
        yield MemoryDesk()
        return
    desk = GitDesk(directory)
    with closing(desk.approvals):
        yield desk


@pytest.fixture(params=["memory", "git"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(request.param, tmp_path) as found:
        yield found


async def test_nothing_is_approved_at_first(desk: Desk) -> None:
    assert await desk.approvals.given({TREE}, now=NOW) == ()


async def test_an_approval_is_found_by_its_tree_as_it_was_given(desk: Desk) -> None:
    desk.give(TREE)
    [found] = await desk.approvals.given({TREE, OTHER}, now=NOW)
    assert (found.person, found.tree, found.base) == (GRACE, TREE, BASE)
    assert (found.repository, found.until) == ("acme", NOW + timedelta(hours=1))


async def test_an_approval_of_another_tree_is_not_told(desk: Desk) -> None:
    desk.give(TREE)
    assert await desk.approvals.given({OTHER}, now=NOW) == ()


async def test_one_that_has_ended_is_told_for_others_to_judge(desk: Desk) -> None:
    desk.give(TREE)
    assert len(await desk.approvals.given({TREE}, now=NOW + timedelta(days=1))) == 1


async def test_a_person_is_known_by_each_of_their_names(desk: Desk) -> None:
    assert await desk.approvals.person("Grace") == GRACE
    assert await desk.approvals.person("grace@example.com") == GRACE
    assert await desk.approvals.person("mallory") == ()
