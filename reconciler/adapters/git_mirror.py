"""The Repository port over a persistent bare mirror (pygit2, libgit2).

Separate from the reading and the fetching so that this file is only about the mirror's life:
created, fetched into, found damaged, rebuilt. The invariants: the process can be killed at any
instruction and the mirror deleted at any time; a head counts only after its commit and tree were
read; no call blocks the event loop.

Two threads, each with its own handle of the repository (libgit2's are not to be shared): one
fetches, one reads, so that a server that hangs delays no reading. libgit2 releases the
interpreter lock while it fetches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pygit2
import structlog

from reconciler.adapters.git_generations import (
    HEAD,
    Generations,
    is_sound,
    opened,
    target,
)
from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_objects import Damaged, GitObjects
from reconciler.adapters.git_packs import consolidate
from reconciler.adapters.git_remotes import GitSource, Remote
from reconciler.adapters.git_signatures import SignatureVerifier, verified_history
from reconciler.core.commits import Commit, TreeDifference
from reconciler.core.errors import Missing, Unavailable
from reconciler.core.identifiers import BlobId, CommitSha, short
from reconciler.core.problems import printable

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class GitMirror:
    """A mirror of one branch, in `directory`, which belongs to it alone."""

    def __init__(
        self, source: GitSource, directory: Path, *, verifier: SignatureVerifier | None = None
    ) -> None:
        self._remote = Remote(source)
        self._generations = Generations(directory)
        self._verifier = verifier
        self._fetching = Lane("git-fetch")
        self._reading = Lane("git-read")
        self._turn = asyncio.Lock()
        self._open: tuple[Path, pygit2.Repository, GitObjects] | None = None
        self._damaged = False

    async def fetch(self) -> CommitSha:
        """Bring the branch up to date and return its head.

        Raises Missing without repository or branch, Forbidden, Untrusted for a host that is not
        the expected one, Unavailable for everything that may pass.
        """
        limit = self._remote.source.fetch_seconds
        try:
            async with asyncio.timeout(limit), self._turn:
                return await self._fetching.run(self._fetch)
        except TimeoutError:
            raise Unavailable(f"{self._remote} was not fetched within {limit:g} s") from None

    async def commit(self, revision: str) -> Commit:
        return await self._read(lambda objects: objects.commit(self._resolved(revision)))

    async def difference(self, base: CommitSha | None, head: CommitSha) -> TreeDifference:
        return await self._read(lambda objects: objects.difference(base, head))

    async def read(self, blobs: Sequence[BlobId]) -> Mapping[BlobId, bytes]:
        return await self._read(lambda objects: objects.read(blobs))

    async def range(self, base: CommitSha | None, head: CommitSha) -> tuple[Commit, ...]:
        return await self._read(
            lambda objects: verified_history(objects, self._verifier, base=base, head=head)
        )

    def close(self) -> None:
        """End the threads; one that waits for a server ends with the process."""
        self._fetching.close()
        self._reading.close(self._close)

    # On the fetching thread

    def _fetch(self) -> CommitSha:
        current = self._generations.newest()
        try:
            if self._damaged or current is None or not is_sound(current):
                return self._rebuild()
            with opened(current) as repository:
                head = _fetch_into(repository, self._remote)
                _publish(repository, head)
                consolidate(repository, current / "objects" / "pack")
        except (pygit2.GitError, OSError, Damaged) as error:
            # Whatever it is, whether the mirror is sound is the next fetch's first question.
            raise self._remote.translated(error) from error
        return head

    def _rebuild(self) -> CommitSha:
        """Build the next generation; until its head is published the old one is read."""
        had_one = self._generations.newest() is not None
        fresh = self._generations.next()
        pygit2.init_repository(str(fresh), bare=True).free()
        with opened(fresh) as repository:
            head = _fetch_into(repository, self._remote)
            _publish(repository, head)
        self._generations.drop_others(fresh)
        if had_one:
            _log.warning("git.mirror_rebuilt", directory=str(fresh))
        self._damaged = False
        return head

    # On the reading thread

    async def _read(self, call: Callable[[GitObjects], _Result]) -> _Result:
        return await self._reading.run(lambda: self._attempt(call))

    def _attempt(self, call: Callable[[GitObjects], _Result]) -> _Result:
        """Call with the open repository; once more with a fresh handle, as packs come and go."""
        try:
            return call(self._opened())
        except (Damaged, Missing, OSError, pygit2.GitError):
            self._close()
        try:
            return call(self._opened())
        except Missing:
            if is_sound(self._place()):
                raise
            raise self._damage("objects are gone") from None
        except (Damaged, pygit2.GitError) as error:
            raise self._damage(printable(str(error))) from error
        except OSError as error:
            # Too many open files, a disk that went away: no reason to build everything anew.
            raise Unavailable(f"the mirror {self._place()} cannot be read: {error}") from error

    def _opened(self) -> GitObjects:
        place = self._place()
        if self._open is None or self._open[0] != place:
            self._close()
            repository = pygit2.Repository(str(place))
            self._open = place, repository, GitObjects(repository)
        return self._open[2]

    def _place(self) -> Path:
        place = self._generations.newest()
        if place is None:
            raise Unavailable(
                f"{self._remote} was not fetched yet, or its mirror is gone",
                hint="nothing to do: the next fetch rebuilds it",
            )
        return place

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].free()
            self._open = None

    def _damage(self, reason: str) -> Unavailable:
        self._damaged = True
        return Unavailable(
            f"the mirror {self._place()} is damaged: {reason}",
            hint="nothing to do: the next fetch rebuilds it",
        )

    def _head(self) -> CommitSha | None:
        try:
            with opened(self._place()) as repository:
                return target(repository, HEAD)
        except pygit2.GitError:
            return None

    def _resolved(self, revision: str) -> str:
        return (self._head() if revision == self._remote.branch else None) or revision


def _fetch_into(repository: pygit2.Repository, remote: Remote) -> CommitSha:
    """Fetch, and look at what came: a server can send a reference without its objects."""
    have = target(repository, HEAD)
    head = remote.fetch(repository, have)
    if head == have:
        return head
    readable(repository, head, place=f"the branch {printable(remote.branch)!r} of {remote}")
    return head


def readable(repository: pygit2.Repository, head: CommitSha, *, place: str) -> None:
    """Raise Damaged or Missing unless the commit and its tree are there."""
    try:
        commit = repository[head]
        is_readable = isinstance(commit, pygit2.Commit) and commit.tree is not None
    except (KeyError, pygit2.GitError) as error:
        raise Damaged(f"commit {short(head)} arrived without its objects: {error}") from error
    if not is_readable:
        raise Missing(f"{place} is not a commit")


def _publish(repository: pygit2.Repository, head: CommitSha) -> None:
    if target(repository, HEAD) != head:
        repository.references.create(HEAD, pygit2.Oid(hex=head), force=True)
