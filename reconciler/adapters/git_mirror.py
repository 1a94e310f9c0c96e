"""The Repository port over a persistent bare mirror (pygit2, libgit2).

Separate from the reading and the fetching so that this file is only about the mirror's life:
created, fetched into, found damaged, rebuilt. The invariants: the mirror can be killed at any
instruction and deleted at any time; a head counts only after its commit and tree were read; no
call blocks the event loop.

Two threads, each with its own handle of the repository (libgit2's are not to be shared): one
fetches, one reads, so that a server that hangs delays no reading. libgit2 releases the
interpreter lock while it fetches.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pygit2
import structlog

from reconciler.adapters.git_lane import Lane
from reconciler.adapters.git_objects import Damaged, GitObjects
from reconciler.adapters.git_packs import consolidate
from reconciler.adapters.git_remotes import GitSource, Remote
from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.core.commits import Commit, TreeDifference
from reconciler.core.errors import Corrupt, Missing, Unavailable
from reconciler.core.identifiers import BlobId, CommitSha, short
from reconciler.core.problems import printable

HEAD = "refs/fairlead/head"
KEPT = "refs/fairlead/kept/"

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class GitMirror:
    """A bare mirror of one branch, in `directory`, which belongs to it alone."""

    def __init__(
        self, source: GitSource, directory: Path, *, verifier: SignatureVerifier | None = None
    ) -> None:
        self._remote = Remote(source)
        self._directory = directory
        self._verifier = verifier
        self._fetching = Lane("git-fetch")
        self._reading = Lane("git-read")
        self._turn = asyncio.Lock()
        self._objects: GitObjects | None = None
        self._damaged = False
        self._rebuilt_for: CommitSha | None = None

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
        return await self._read(lambda objects: self._verified_range(objects, base, head))

    async def keep(self, sha: CommitSha) -> None:
        await self._read(lambda objects: self._keep(objects.commit(sha).sha))

    def close(self) -> None:
        """End the threads; one that waits for a server ends with the process."""
        self._fetching.close()
        self._reading.close()

    # On the fetching thread

    def _fetch(self) -> CommitSha:
        try:
            if self._damaged or not _is_sound(self._directory):
                return self._rebuild()
            repository = pygit2.Repository(str(self._directory))
            head = _fetch_into(repository, self._remote)
            consolidate(repository, self._directory / "objects" / "pack")
        except (pygit2.GitError, OSError, Damaged) as error:
            # Whatever this is, a sound mirror is the next fetch's first question.
            raise self._remote.translated(error) from error
        return head

    def _rebuild(self) -> CommitSha:
        """Build the mirror beside the old one and swap: until then the old one is readable."""
        fresh = self._directory.with_name(f"{self._directory.name}.new")
        aside = self._directory.with_name(f"{self._directory.name}.damaged")
        shutil.rmtree(fresh, ignore_errors=True)
        repository = _create(fresh)
        head = _fetch_into(repository, self._remote)
        # A process that died between the two renames below left only the copy aside.
        old = self._directory if self._directory.exists() else aside
        if old.exists():
            kept, lost = _salvage(repository, old)
            _log.warning("git.mirror_rebuilt", kept=kept, lost=lost, aside=str(aside))
        if old is self._directory and old.exists():
            shutil.rmtree(aside, ignore_errors=True)
            old.rename(aside)
        fresh.rename(self._directory)
        self._damaged, self._rebuilt_for = False, head
        return head

    # On the reading thread

    async def _read(self, call: Callable[[GitObjects], _Result]) -> _Result:
        return await self._reading.run(lambda: self._attempt(call))

    def _attempt(self, call: Callable[[GitObjects], _Result]) -> _Result:
        """Call with the open repository; once more with a fresh handle, as packs come and go."""
        for objects in (self._objects, None):
            try:
                return call(objects or self._open())
            except (Damaged, pygit2.GitError, Missing) as error:
                failure = error
        if isinstance(failure, Missing) and _is_sound(self._directory):
            raise failure
        raise self._damage(failure)

    def _open(self) -> GitObjects:
        self._objects = GitObjects(pygit2.Repository(str(self._directory)))
        return self._objects

    def _damage(self, failure: Exception) -> Corrupt | Unavailable:
        place = f"the mirror {self._directory}"
        head = _head_of(self._directory)
        if head is not None and head == self._rebuilt_for:
            return Corrupt(
                f"{place} lacks objects of commit {short(head)}, and the remote does not send"
                f" them: {printable(str(failure))}",
                hint="run `git fsck` on the remote",
            )
        self._damaged = True
        return Unavailable(
            f"{place} is missing or damaged: {printable(str(failure))}",
            hint="nothing to do: the next fetch rebuilds it",
        )

    def _resolved(self, revision: str) -> str:
        if revision == self._remote.branch and (head := _head_of(self._directory)):
            return head
        return revision

    def _verified_range(
        self, objects: GitObjects, base: CommitSha | None, head: CommitSha
    ) -> tuple[Commit, ...]:
        commits = objects.history(base, head)
        if self._verifier is None:
            return commits
        unverified = objects.history(base, head, hidden=self._verifier.trusted)
        signed = self._verifier.verify(unverified, objects)
        by_sha = {commit.sha: commit for commit in signed}
        return tuple(by_sha.get(commit.sha, commit) for commit in commits)

    def _keep(self, sha: CommitSha) -> None:
        try:
            repository = pygit2.Repository(str(self._directory))
            repository.references.create(f"{KEPT}{sha}", pygit2.Oid(hex=sha), force=True)
        except pygit2.GitError as error:
            raise Unavailable(
                f"cannot protect commit {short(sha)} in {self._directory}: {error}",
                hint="see that the disk has space and the directory can be written",
            ) from error


def _fetch_into(repository: pygit2.Repository, remote: Remote) -> CommitSha:
    have = _target(repository, HEAD)
    head = remote.fetch(repository, have)
    if head == have:
        return head
    # Nothing counts before it was read: a server can send a ref without its objects.
    try:
        readable = isinstance(repository[head], pygit2.Commit) and repository[head].tree
    except (KeyError, pygit2.GitError) as error:
        raise Damaged(f"commit {short(head)} arrived without its objects: {error}") from error
    if not readable:
        raise Missing(f"the branch {printable(remote.branch)!r} of {remote} is not a commit")
    repository.references.create(HEAD, pygit2.Oid(hex=head), force=True)
    return head


def _create(directory: Path) -> pygit2.Repository:
    directory.parent.mkdir(parents=True, exist_ok=True)
    repository = pygit2.init_repository(str(directory), bare=True)
    # A redirect could carry the credentials to a host that nobody configured.
    repository.config["http.followRedirects"] = "false"
    return repository


def _is_sound(directory: Path) -> bool:
    """Whether the last head and its tree can be read. Damage further in shows when it is read."""
    try:
        repository = pygit2.Repository(str(directory))
        head = _target(repository, HEAD)
        return head is not None and isinstance(repository[head].tree, pygit2.Tree)
    except (KeyError, AttributeError, pygit2.GitError):
        return False


def _head_of(directory: Path) -> CommitSha | None:
    try:
        return _target(pygit2.Repository(str(directory)), HEAD)
    except pygit2.GitError:
        return None


def _target(repository: pygit2.Repository, reference: str) -> CommitSha | None:
    found = repository.references.get(reference)
    return None if found is None else CommitSha(str(found.target))


def _salvage(repository: pygit2.Repository, old: Path) -> tuple[int, int]:
    """Bring the kept commits of a damaged mirror over; returns how many came and how many not."""
    names = [file.name for file in (old / KEPT).glob("*")]
    # What is no longer on the branch exists nowhere else: take what can still be read.
    with contextlib.suppress(pygit2.GitError, KeyError, ValueError):
        repository.remotes.create_anonymous(str(old)).fetch([f"+{KEPT}*:{KEPT}*"])
    kept = 0
    for name in names:
        with contextlib.suppress(pygit2.GitError, KeyError, ValueError):
            repository.references.create(f"{KEPT}{name}", pygit2.Oid(hex=name), force=True)
            kept += 1
    return kept, len(names) - kept
