"""The Publisher port: the revert of a bad commit, pushed to the branch or to one of its own.

Separate from the mirror, which only reads and has its own, smaller rights, and from a person's
`fairlead revert`, which pushes nothing. The invariants: the commit goes on top of the newest head
and never by force; however often and wherever this is interrupted, there is one revert of a
commit; what is needed for it is fetched anew each time, so nothing that was left behind counts.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pygit2

from reconciler.adapters.git_generations import opened
from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_objects import Damaged, GitObjects
from reconciler.adapters.git_pushing import PushRemote
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.git_reverting import reverted_tree
from reconciler.adapters.git_signing import load_signing_key, sign_commit
from reconciler.core.commits import Commit
from reconciler.core.errors import (
    HistoryRewritten,
    Missing,
    Refused,
    Transient,
    Unavailable,
)
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.reverting import abort_branch, abort_message, undoes

_TRIES = 5
"""How often somebody else may push first before it is left for later."""

_OURS = "refs/fairlead/revert"

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Committer:
    """In whose name reverts are committed. `signing_key` is the file of an SSH key."""

    name: str
    email: str
    signing_key: Path | None = None


@dataclass(frozen=True, slots=True)
class _Published:
    """The commit that undoes another, and the branch that has it."""

    branch: str
    commit: CommitSha


class GitPublisher:
    """Pushes reverts to the branch of `source`. Works in `directory`, which belongs to it alone.

    Raises:
        Misconfigured: the source or the signing key cannot be right.
    """

    def __init__(self, source: GitSource, directory: Path, committer: Committer) -> None:
        self._remote = PushRemote(source)
        self._directory = directory
        self._committer = committer
        self._lane = Lane("git-push")
        if committer.signing_key is not None:
            load_signing_key(committer.signing_key)

    async def push_revert(self, commit: CommitSha, *, reason: str) -> CommitSha:
        published = await self._run(lambda: self._publish(commit, reason, self._remote))
        return published.commit

    async def push_revert_branch(self, commit: CommitSha, *, reason: str) -> str:
        source = replace(self._remote.source, branch=abort_branch(commit))
        published = await self._run(lambda: self._publish(commit, reason, PushRemote(source)))
        return published.branch

    def close(self) -> None:
        """End the thread; one that waits for a server ends with the process."""
        self._lane.close()

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        limit = self._remote.source.fetch_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._lane.run(call)
        except TimeoutError:
            raise Unavailable(f"{self._remote} took more than {limit:g} s for a push") from None

    def _publish(self, sha: CommitSha, reason: str, target: PushRemote) -> _Published:
        """Try until the push fits what is on the remote."""
        try:
            with scratch(self._directory) as repository:
                work = _Reverting(repository, self._remote, target, self._committer)
                seen = work.look()
                for _ in range(_TRIES):
                    try:
                        return work.put(sha, reason, *seen)
                    except Refused:
                        # Whether somebody was faster or the remote does not want it cannot be
                        # told from its words, but from whether anything moved.
                        before, seen = seen, work.look()
                        if seen == before:
                            raise
        except (pygit2.GitError, OSError, KeyError, ValueError, Damaged) as error:
            raise self._remote.translated(error) from error
        raise Transient(f"{self._remote} moved {_TRIES} times before a revert could be pushed")


class _Reverting:
    """One revert, made and pushed. Both remotes are the same when it goes to the branch itself."""

    def __init__(
        self,
        repository: pygit2.Repository,
        remote: PushRemote,
        target: PushRemote,
        committer: Committer,
    ) -> None:
        self._repository = repository
        self._objects = GitObjects(repository)
        self._remote = remote
        self._target = target
        self._committer = committer

    def look(self) -> tuple[CommitSha, CommitSha | None]:
        """The head of the branch, and that of the branch to push to, if there is one."""
        head = self._remote.fetch(self._repository, None)
        if self._target is self._remote:
            return head, head
        try:
            return head, self._target.fetch(self._repository, None)
        except Missing:
            return head, None

    def put(
        self, sha: CommitSha, reason: str, head: CommitSha, tip: CommitSha | None
    ) -> _Published:
        """Push the revert of `sha`, unless one of the branches has it."""
        if known := self._undone(sha, head):
            return _Published(self._remote.branch, known)
        if tip is not None and tip != head:
            return _Published(self._target.branch, self._offered(sha, tip))
        commit = self._objects.commit(sha)
        tree = reverted_tree(self._repository, commit, head)
        if tree == self._repository[head].peel(pygit2.Tree).id:
            return _Published(self._remote.branch, head)
        message = abort_message(commit, reason=reason)
        made = commit_as(self._repository, self._committer, message, tree, [pygit2.Oid(hex=head)])
        self._repository.references.create(_OURS, made, force=True)
        self._target.push(self._repository, f"{_OURS}:refs/heads/{self._target.branch}")
        return _Published(self._target.branch, CommitSha(str(made)))

    def _undone(self, sha: CommitSha, head: CommitSha) -> CommitSha | None:
        try:
            since = self._objects.history(sha, head)
        except HistoryRewritten:
            raise Refused(
                f"commit {short(sha)} is not part of {self._remote.branch}, so it cannot be"
                " reverted there",
                hint="the branch was rewritten: see what its head asks for",
            ) from None
        return _undoing(sha, head, {commit.sha: commit for commit in since})

    def _offered(self, sha: CommitSha, tip: CommitSha) -> CommitSha:
        """The revert on a branch that is there already."""
        try:
            since = self._objects.history(sha, tip)
            found = _undoing(sha, tip, {commit.sha: commit for commit in since})
        except HistoryRewritten:
            found = None
        if found is None:
            raise Refused(
                f"{self._remote} has a branch {self._target.branch} that does not revert"
                f" {short(sha)}",
                hint="delete or rename that branch",
            )
        return found


@contextmanager
def scratch(directory: Path) -> Iterator[pygit2.Repository]:
    """An empty repository under a new name: libgit2 caches packs by path for the process.

    `directory` is emptied before, of what a process that died has left.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=directory) as place:
        pygit2.init_repository(place, bare=True).free()
        with opened(Path(place)) as repository:
            yield repository


def commit_as(
    repository: pygit2.Repository,
    committer: Committer,
    message: str,
    tree: pygit2.Oid,
    parents: Sequence[pygit2.Oid],
) -> pygit2.Oid:
    """A commit in the name of `committer`, signed where it has a key."""
    who = pygit2.Signature(committer.name, committer.email)
    above: list[str | pygit2.Oid] = [*parents]
    if committer.signing_key is None:
        return repository.create_commit(None, who, who, message, tree, above)
    content = str(repository.create_commit_string(who, who, message, tree, above))
    signature = sign_commit(content.encode(), committer.signing_key)
    return repository.create_commit_with_signature(content, signature)


def _undoing(
    sha: CommitSha, head: CommitSha, since: Mapping[CommitSha, Commit]
) -> CommitSha | None:
    """The commit that says it undoes `sha`, going back from `head` by first parents."""
    commit = since.get(head)
    while commit is not None:
        if undoes(commit.message, sha):
            return commit.sha
        commit = since.get(commit.parents[0]) if commit.parents else None
    return None
