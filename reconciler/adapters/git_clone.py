"""The Repository port over a repository that somebody else keeps, such as a person's clone.

Separate from the mirror, which is ours to write. The invariant: nothing is written, fetched or
checked out; what is not in the clone does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pygit2

from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_objects import Damaged, GitObjects
from reconciler.adapters.git_signatures import SignatureVerifier, verified_history
from reconciler.core.commits import Commit, TreeDifference
from reconciler.core.errors import Corrupt, Missing
from reconciler.core.identifiers import BlobId, CommitSha
from reconciler.core.problems import printable

_Result = TypeVar("_Result")
_PREFIXES = ("refs/heads/", "refs/remotes/", "refs/tags/", "refs/")


class GitClone:
    """The repository at, or above, `path`. Raises Missing when there is none.

    `revision` is what `fetch` returns the commit of.
    """

    def __init__(
        self, path: Path, *, revision: str = "HEAD", verifier: SignatureVerifier | None = None
    ) -> None:
        found = pygit2.discover_repository(str(path))
        if found is None:
            raise Missing(f"{printable(str(path))} is no Git repository", hint="name a clone")
        self._path = found
        self._revision = revision
        self._verifier = verifier
        self._lane = Lane("git-clone")

    async def fetch(self) -> CommitSha:
        return (await self.commit(self._revision)).sha

    async def commit(self, revision: str) -> Commit:
        return await self._read(
            lambda repository, objects: objects.commit(_resolved(repository, revision))
        )

    async def difference(self, base: CommitSha | None, head: CommitSha) -> TreeDifference:
        return await self._read(lambda _, objects: objects.difference(base, head))

    async def read(self, blobs: Sequence[BlobId]) -> Mapping[BlobId, bytes]:
        return await self._read(lambda _, objects: objects.read(blobs))

    async def range(self, base: CommitSha | None, head: CommitSha) -> tuple[Commit, ...]:
        return await self._read(
            lambda _, objects: verified_history(objects, self._verifier, base=base, head=head)
        )

    def close(self) -> None:
        self._lane.close()

    async def _read(self, call: Callable[[pygit2.Repository, GitObjects], _Result]) -> _Result:
        def attempt() -> _Result:
            try:
                repository = pygit2.Repository(self._path)
                return call(repository, GitObjects(repository))
            except (Damaged, pygit2.GitError) as error:
                raise Corrupt(
                    f"the repository {self._path} cannot be read: {printable(str(error))}",
                    hint="run git fsck in it",
                ) from error

        return await self._lane.run(attempt)


def _resolved(repository: pygit2.Repository, revision: str) -> str:
    """The SHA of a branch, remote branch or tag, else `revision`: no more of Git's grammar."""
    names = ["HEAD"] if revision == "HEAD" else [f"{prefix}{revision}" for prefix in _PREFIXES]
    for name in names:
        if not pygit2.reference_is_valid_name(name):
            continue
        reference = repository.references.get(name)
        if reference is not None:
            return str(reference.peel(pygit2.Commit).id)
    return revision
