"""The ProposedChanges port: a mirror that has the heads of pull requests as well.

Separate from the mirror that is applied from, in a directory of its own: what strangers propose
never lies beside what is applied. The invariants: a reference is asked for by its whole name and
counts once its commit was read; a merge is made in memory, runs no driver and no hook, and is a
function of the two commits alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import pygit2

from reconciler.adapters.git_generations import opened
from reconciler.adapters.git_mirror import GitMirror, readable
from reconciler.adapters.git_objects import Damaged
from reconciler.adapters.git_packs import consolidate
from reconciler.adapters.git_signatures import verified_history
from reconciler.core.change_requests import MergeConflict
from reconciler.core.commits import Commit
from reconciler.core.errors import Missing, Unavailable
from reconciler.core.identifiers import CommitSha, short

_NOBODY = pygit2.Signature("Fairlead", "fairlead@invalid", 0, 0)
"""In whose name merges are made: time and author are part of a commit's id."""

_Result = TypeVar("_Result")


class GitProposals(GitMirror):
    """A mirror of a branch, and of whatever reference it is told to bring."""

    async def fetch_ref(self, ref: str) -> CommitSha:
        remote = self._remote.at(ref)

        def fetch(repository: pygit2.Repository) -> CommitSha:
            head = remote.fetch(repository, None)
            readable(repository, head, place=f"{ref} of {remote}")
            consolidate(repository, self._place() / "objects" / "pack")
            return head

        return await self._asked(fetch)

    async def refs(self, prefix: str) -> Mapping[str, CommitSha]:
        return await self._asked(lambda repository: self._remote.references(repository, prefix))

    async def proposed(self, base: CommitSha, head: CommitSha) -> tuple[Commit, ...]:
        return await self._read(
            lambda objects: verified_history(
                objects, self._verifier, base=None, head=head, hidden=(base,)
            )
        )

    async def merged(self, base: CommitSha, head: CommitSha) -> CommitSha:
        return await self._reading.run(lambda: self._merged(base, head))

    async def _asked(self, call: Callable[[pygit2.Repository], _Result]) -> _Result:
        """Something of the remote, on the thread that fetches."""

        def attempt() -> _Result:
            try:
                with opened(self._place()) as repository:
                    return call(repository)
            except (pygit2.GitError, OSError, Damaged) as error:
                raise self._remote.translated(error) from error

        limit = self._remote.source.fetch_seconds
        try:
            async with asyncio.timeout(limit), self._turn:
                return await self._fetching.run(attempt)
        except TimeoutError:
            raise Unavailable(f"{self._remote} did not answer within {limit:g} s") from None

    def _merged(self, base: CommitSha, head: CommitSha) -> CommitSha:
        with opened(self._place()) as repository:
            try:
                return _merge(repository, base, head)
            except KeyError as error:
                raise Missing(f"no commit is named {error.args[0]}") from None
            except (pygit2.GitError, OSError) as error:
                raise self._remote.translated(error) from error


def _merge(repository: pygit2.Repository, base: CommitSha, head: CommitSha) -> CommitSha:
    ours, theirs = (repository[sha].peel(pygit2.Commit) for sha in (base, head))
    if base == head or repository.descendant_of(theirs.id, ours.id):
        return head
    index = repository.merge_commits(ours, theirs)
    if index.conflicts is not None:
        sides = (side for conflict in index.conflicts for side in conflict if side is not None)
        raise MergeConflict(tuple(sorted({side.path for side in sides})))
    tree = index.write_tree(repository)
    message = f"Merge {short(head)} into {short(base)}\n"
    made = repository.create_commit(None, _NOBODY, _NOBODY, message, tree, [ours.id, theirs.id])
    return CommitSha(str(made))
