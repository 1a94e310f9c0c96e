"""Reading a clone that somebody else keeps."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.adapters.git_clone import GitClone
from reconciler.core.errors import HistoryRewritten, Missing
from reconciler.core.identifiers import CommitSha


class Clone:
    """A repository with a work tree, made with git."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        command = ["git", *identity, *arguments]
        result = subprocess.run(command, cwd=self.path, check=True, capture_output=True, text=True)
        return result.stdout.strip()

    def commit(self, name: str, text: str) -> CommitSha:
        (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return CommitSha(self.git("rev-parse", "HEAD"))

    def state(self) -> str:
        return self.git("status", "--porcelain") + self.git("for-each-ref") + self.git("reflog")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


async def test_the_head_is_that_of_the_checked_out_branch(clone: Clone) -> None:
    commit = clone.commit("a", "one")
    with closing(GitClone(clone.path)) as opened:
        assert await opened.fetch() == commit


async def test_a_directory_inside_the_clone_will_do(clone: Clone) -> None:
    commit = clone.commit("a", "one")
    (clone.path / "deep").mkdir()
    with closing(GitClone(clone.path / "deep")) as opened:
        assert await opened.fetch() == commit


async def test_branches_tags_and_short_shas_are_found(clone: Clone) -> None:
    commit = clone.commit("a", "one")
    clone.git("branch", "feature/x")
    clone.git("tag", "-m", "annotated", "v1")
    with closing(GitClone(clone.path)) as opened:
        for revision in ("feature/x", "v1", "heads/main", "HEAD", commit, commit[:8]):
            assert (await opened.commit(revision)).sha == commit


@pytest.mark.parametrize("revision", ["none", "HEAD~1", "@{1}", "-x", "a..b", ":/one", ""])
async def test_nothing_but_names_is_understood(clone: Clone, revision: str) -> None:
    clone.commit("a", "one")
    with closing(GitClone(clone.path)) as opened, pytest.raises(Missing):
        await opened.commit(revision)


async def test_what_is_not_committed_is_not_there(clone: Clone) -> None:
    commit = clone.commit("a", "one")
    (clone.path / "b").write_text("draft")
    with closing(GitClone(clone.path)) as opened:
        difference = await opened.difference(None, commit)
    assert [entry.path for entry in difference.changed] == ["a"]


async def test_reading_changes_nothing(clone: Clone) -> None:
    first = clone.commit("a", "one")
    second = clone.commit("a", "two")
    before = clone.state()
    with closing(GitClone(clone.path)) as opened:
        head = await opened.fetch()
        difference = await opened.difference(first, head)
        await opened.read([entry.blob for entry in difference.changed])
        assert [commit.sha for commit in await opened.range(first, second)] == [second]
    assert clone.state() == before


async def test_a_base_that_is_no_ancestor_is_a_rewritten_history(clone: Clone) -> None:
    first = clone.commit("a", "one")
    second = clone.commit("a", "two")
    with closing(GitClone(clone.path)) as opened, pytest.raises(HistoryRewritten):
        await opened.range(second, first)


def test_a_directory_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no Git repository"):
        GitClone(tmp_path)
