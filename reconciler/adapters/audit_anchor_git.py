"""Anchoring checkpoints in a Git ref of their own.

Separate from the mirror of the config repository: this is the one ref that the daemon writes, in
a repository that should have another owner than the log. The invariants: the ref only ever moves
to a child of where it was, and a push never forces; so whoever fetched it once notices when the
past is replaced.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import pygit2

from reconciler.adapters.git_lane import Lane
from reconciler.core.audit.notes import NoteError, checkpoint_of, unbase64
from reconciler.core.audit.verification import Anchor
from reconciler.core.errors import Corrupt, Unavailable

ANCHOR_REF = "refs/fairlead/checkpoints"

_NOTE = "checkpoint"
_PROOF = "consistency"
_AUTHOR = "fairlead"
_EMAIL = "fairlead@localhost"


class GitAnchor:
    """A CheckpointAnchor in the bare repository at `path`, created when absent.

    `push` publishes the ref, given the repository and a refspec without force; it raises our
    errors. What could not be pushed is tried again with the next call of `keep`.
    """

    def __init__(
        self, path: Path, *, push: Callable[[pygit2.Repository, str], None] | None = None
    ) -> None:
        self._path = path
        self._push = push
        self._lane = Lane("fairlead-anchor")
        self._opened: pygit2.Repository | None = None
        self._unpushed = push is not None

    async def latest(self) -> bytes | None:
        return await self._lane.run(self._latest)

    async def keep(self, note: bytes, *, proof: Sequence[bytes]) -> None:
        await self._lane.run(lambda: self._keep(note, proof))

    async def anchors(self) -> Sequence[Anchor]:
        """All that was anchored, oldest first."""
        return await self._lane.run(self._anchors)

    def close(self) -> None:
        self._lane.close()

    def _repository(self) -> pygit2.Repository:
        if self._opened is None:
            try:
                self._opened = pygit2.init_repository(str(self._path), bare=True)
            except (pygit2.GitError, OSError) as error:
                raise Unavailable(
                    f"the anchor repository {self._path} cannot be opened: {error}",
                    hint="give the daemon's user the right to write there",
                ) from error
        return self._opened

    def _tip(self) -> pygit2.Commit | None:
        reference = self._repository().references.get(ANCHOR_REF)
        return None if reference is None else reference.peel(pygit2.Commit)

    def _latest(self) -> bytes | None:
        tip = self._tip()
        return None if tip is None else _anchor_in(tip).note

    def _anchors(self) -> Sequence[Anchor]:
        commit, found = self._tip(), list[Anchor]()
        while commit is not None:
            found.append(_anchor_in(commit))
            if len(commit.parents) > 1:
                raise Corrupt(f"{ANCHOR_REF} is not linear: {commit.id} merges")
            commit = commit.parents[0] if commit.parents else None
        return tuple(reversed(found))

    def _keep(self, note: bytes, proof: Sequence[bytes]) -> None:
        tip = self._tip()
        if tip is None or _anchor_in(tip).note != note:
            try:
                self._commit(tip, note, proof)
                self._unpushed = self._push is not None
            except (pygit2.GitError, OSError) as error:
                raise Unavailable(
                    f"the anchor repository {self._path} does not take the checkpoint: {error}",
                    hint="check its space and permissions",
                ) from error
        if self._push is not None and self._unpushed:
            self._push(self._repository(), f"{ANCHOR_REF}:{ANCHOR_REF}")
            self._unpushed = False

    def _commit(self, tip: pygit2.Commit | None, note: bytes, proof: Sequence[bytes]) -> None:
        """libgit2 moves the ref only when it is where `tip` is, and refuses otherwise."""
        repository = self._repository()
        builder = repository.TreeBuilder()
        builder.insert(_NOTE, repository.create_blob(note), pygit2.enums.FileMode.BLOB)
        lines = b"".join(base64.b64encode(node) + b"\n" for node in proof)
        builder.insert(_PROOF, repository.create_blob(lines), pygit2.enums.FileMode.BLOB)
        checkpoint = checkpoint_of(note)
        message = f"{checkpoint.origin}: {checkpoint.size} records\n"
        author = pygit2.Signature(_AUTHOR, _EMAIL)
        parents = [] if tip is None else [tip.id]
        repository.create_commit(ANCHOR_REF, author, author, message, builder.write(), parents)


def _anchor_in(commit: pygit2.Commit) -> Anchor:
    try:
        note, proof = commit.tree[_NOTE], commit.tree[_PROOF]
        assert isinstance(note, pygit2.Blob)
        assert isinstance(proof, pygit2.Blob)
        return Anchor(note.data, tuple(map(unbase64, proof.data.decode().split())))
    except (KeyError, AssertionError, NoteError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"commit {commit.id} in {ANCHOR_REF} holds no anchor",
            hint="compare the ref with a copy that somebody fetched earlier",
        ) from error
