"""The Proposer port: a commit on a branch of its own, for people to merge.

Separate from the publisher, which undoes what failed and may push to the branch itself. The
invariants: never the branch that is applied, and never by force; and what is needed is fetched anew
each time, so nothing that was left behind counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_objects import Damaged
from reconciler.adapters.git_publishing import Committer, commit_as, scratch
from reconciler.adapters.git_pushing import PushRemote
from reconciler.adapters.git_remotes import GitSource
from reconciler.core.errors import Missing, Refused, Unavailable
from reconciler.core.identifiers import CommitSha, DocumentPath

_OURS = "refs/fairlead/proposed"


class GitProposer:
    """Pushes branches beside that of `source`. Works in `directory`, which belongs to it alone."""

    def __init__(self, source: GitSource, directory: Path, committer: Committer) -> None:
        self._remote = PushRemote(source)
        self._directory = directory
        self._committer = committer
        self._lane = Lane("git-propose")

    async def propose(
        self, branch: str, files: Mapping[DocumentPath, bytes], *, on: CommitSha, message: str
    ) -> CommitSha:
        if branch == self._remote.branch:
            raise Refused(f"{branch} is the branch itself")
        target = PushRemote(replace(self._remote.source, branch=branch))
        limit = self._remote.source.fetch_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._lane.run(lambda: self._propose(target, files, on, message))
        except TimeoutError:
            raise Unavailable(f"{self._remote} took more than {limit:g} s for a push") from None

    def close(self) -> None:
        """End the thread; one that waits for a server ends with the process."""
        self._lane.close()

    def _propose(
        self, target: PushRemote, files: Mapping[DocumentPath, bytes], on: CommitSha, message: str
    ) -> CommitSha:
        try:
            with scratch(self._directory) as repository:
                self._remote.fetch(repository, None)
                tree = _with_files(repository, on, files)
                if known := _there(repository, target):
                    return _same(repository, target, known, files)
                parents = [pygit2.Oid(hex=on)]
                made = commit_as(repository, self._committer, message, tree, parents)
                repository.references.create(_OURS, made, force=True)
                target.push(repository, f"{_OURS}:refs/heads/{target.branch}")
                return CommitSha(str(made))
        except (pygit2.GitError, OSError, KeyError, ValueError, Damaged) as error:
            raise self._remote.translated(error) from error


def _with_files(
    repository: pygit2.Repository, on: CommitSha, files: Mapping[DocumentPath, bytes]
) -> pygit2.Oid:
    index = pygit2.Index()
    index.read_tree(repository[on].peel(pygit2.Tree))
    for path, content in files.items():
        index.add(pygit2.IndexEntry(path, repository.create_blob(content), FileMode.BLOB))
    return index.write_tree(repository)


def _there(repository: pygit2.Repository, target: PushRemote) -> CommitSha | None:
    try:
        return target.fetch(repository, None)
    except Missing:
        return None


def _same(
    repository: pygit2.Repository,
    target: PushRemote,
    known: CommitSha,
    files: Mapping[DocumentPath, bytes],
) -> CommitSha:
    """The head of a branch that is there already, where it has these contents."""
    tree = repository[known].peel(pygit2.Tree)
    wanted = {path: repository.create_blob(content) for path, content in files.items()}
    if all(path in tree and tree[path].id == blob for path, blob in wanted.items()):
        return known
    raise Refused(
        f"{target} has a branch {target.branch} with something else",
        hint="delete or rename that branch",
    )
