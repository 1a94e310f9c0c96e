"""The Repository port in memory: a remote that tests and simulations push to, and its mirror.

Separate because virtual time and thousands of histories a minute need a repository without
threads and files. The invariant: it passes the contract suite of the real mirror; what was pushed
is invisible until it was fetched, and the same pushes give the same SHAs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from reconciler.core.commits import Commit, TreeDifference, TreeEntry
from reconciler.core.errors import FairleadError, HistoryRewritten, Missing
from reconciler.core.identifiers import BlobId, CommitSha, DocumentPath, TreeId, short
from reconciler.core.problems import printable
from reconciler.core.reverting import revert_message

_FILE = 0o100644


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file with a mode of its own, such as a link (0o120000) or a submodule (0o160000)."""

    content: bytes
    mode: int = _FILE


Content: TypeAlias = bytes | MemoryFile

_Tree: TypeAlias = Mapping[DocumentPath, MemoryFile]


class MemoryRepository:
    """A branch of commits made from dictionaries.

    `push`, `rewrite` and `fail` play the world; the methods of the port show what was fetched.
    """

    def __init__(
        self, *, branch: str = "main", start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ) -> None:
        self.branch = branch
        self.fetches = 0
        self._start = start
        self._commits: dict[CommitSha, Commit] = {}
        self._trees: dict[CommitSha, _Tree] = {}
        self._blobs: dict[BlobId, bytes] = {}
        self._pushed: CommitSha | None = None
        self._fetched: CommitSha | None = None
        self._mirrored: set[CommitSha] = set()
        self._failures: dict[str, list[FairleadError]] = {}

    # The world

    @property
    def head(self) -> CommitSha | None:
        """The head of the remote's branch, fetched or not."""
        return self._pushed

    def push(
        self,
        changes: Mapping[str, Content | None],
        *,
        message: str = "change",
        author: str = "Ada",
        email: str = "ada@example.com",
        signer: str | None = None,
        person: tuple[str, ...] = (),
    ) -> CommitSha:
        """Commit on top of the branch; None as content deletes the file.

        A `signer` is a `person` with that one name, unless others are given.
        """
        self._pushed = self.commit_on(
            self._pushed,
            changes,
            message=message,
            author=author,
            email=email,
            signer=signer,
            person=person or ((signer,) if signer else ()),
        )
        return self._pushed

    def commit_on(
        self,
        parent: CommitSha | None,
        changes: Mapping[str, Content | None],
        *,
        message: str,
        author: str,
        email: str,
        signer: str | None = None,
        person: tuple[str, ...] = (),
    ) -> CommitSha:
        """Make a commit that no branch has yet."""
        files = dict(self._trees[parent]) if parent else {}
        for path, content in changes.items():
            if content is None:
                del files[DocumentPath(path)]
            else:
                file = content if isinstance(content, MemoryFile) else MemoryFile(content)
                files[DocumentPath(path)] = file
        commit = Commit(
            sha=CommitSha(""),
            parents=(parent,) if parent else (),
            author=author,
            email=email,
            time=self._start + timedelta(minutes=len(self._commits)),
            message=message,
            signer=signer,
            person=person,
            tree=_tree_id(files),
        )
        return self._store(commit, files, changes)

    def revert(self, sha: CommitSha, *, message: str | None = None) -> CommitSha:
        """Commit the opposite of a commit with at most one parent, as `git revert` would."""
        changes = self.changes(sha).items()
        return self.push(
            {path: before for path, (before, _) in changes},
            message=message or revert_message(self._commits[sha]),
        )

    def changes(
        self, sha: CommitSha
    ) -> Mapping[DocumentPath, tuple[MemoryFile | None, MemoryFile | None]]:
        """The files that a commit changed: before it and after it."""
        commit = self._commits[sha]
        before = self._trees[commit.parents[0]] if commit.parents else {}
        after = self._trees[sha]
        pairs = {path: (before.get(path), after.get(path)) for path in before.keys() | after}
        return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}

    def files(self, sha: CommitSha) -> _Tree:
        return self._trees[sha]

    def line(self, sha: CommitSha) -> Sequence[Commit]:
        """A commit and all before it, newest first."""
        return tuple(self._commits[known] for known in self._line(sha, until=set()))

    def rewrite(self, sha: CommitSha) -> None:
        """Force the branch to `sha`; the next push goes on top of it."""
        assert sha in self._commits
        self._pushed = sha

    def fail(self, method: str, *errors: FairleadError) -> None:
        """Let the next calls of one method of the port raise these errors, one a call."""
        self._failures.setdefault(method, []).extend(errors)

    # The port

    async def fetch(self) -> CommitSha:
        self.fetches += 1
        self._raise_planned("fetch")
        if self._pushed is None:
            raise Missing(
                f"the repository has no branch {printable(self.branch)!r}, or it has no commit yet",
                hint="push a first commit, or set the branch to watch",
            )
        self._fetched = self._pushed
        self._mirrored.update(self._line(self._pushed, until=self._mirrored))
        return self._fetched

    async def commit(self, revision: str) -> Commit:
        self._raise_planned("commit")
        return self._commits[self._resolved(revision)]

    async def difference(self, base: CommitSha | None, head: CommitSha) -> TreeDifference:
        self._raise_planned("difference")
        before = self._trees[self._resolved(base)] if base else {}
        after = self._trees[self._resolved(head)]
        changed = [path for path in after if before.get(path) != after[path]]
        gone = [path for path in before if path not in after]
        return TreeDifference(
            tuple(_entry(path, after[path]) for path in sorted(changed, key=_bytewise)),
            tuple(sorted(gone, key=_bytewise)),
        )

    async def read(self, blobs: Sequence[BlobId]) -> Mapping[BlobId, bytes]:
        self._raise_planned("read")
        for blob in blobs:
            if blob not in self._blobs:
                raise Missing(f"no object has the id {blob}")
        return {blob: self._blobs[blob] for blob in blobs}

    async def range(self, base: CommitSha | None, head: CommitSha) -> tuple[Commit, ...]:
        self._raise_planned("range")
        line = self._line(self._resolved(head), until={base} if base else set())
        if base is not None and base != head and self._commits[line[-1]].parents != (base,):
            raise HistoryRewritten(
                f"commit {short(base)} is not an ancestor of {short(head)}: the branch was"
                " rewritten",
                hint=f"push a branch that contains {base}; undo commits with git revert",
            )
        return tuple(self._commits[sha] for sha in reversed(line))

    def _store(
        self, commit: Commit, files: _Tree, changes: Mapping[str, Content | None]
    ) -> CommitSha:
        described = repr((commit, sorted(changes.items(), key=repr))).encode("utf-8", "replace")
        sha = CommitSha(hashlib.sha1(described, usedforsecurity=False).hexdigest())
        self._commits[sha] = replace(commit, sha=sha)
        self._trees[sha] = files
        self._blobs.update({_blob_id(file.content): file.content for file in files.values()})
        return sha

    def _line(self, sha: CommitSha, *, until: Set[CommitSha]) -> list[CommitSha]:
        """`sha` and what came before it up to `until`, newest first; histories here are lines."""
        line: list[CommitSha] = []
        pending: tuple[CommitSha, ...] = (sha,)
        while pending and pending[0] not in until:
            line.append(pending[0])
            pending = self._commits[pending[0]].parents
        return line

    def _resolved(self, revision: str) -> CommitSha:
        if revision == self.branch and self._fetched:
            return self._fetched
        if revision in self._mirrored:
            return CommitSha(revision)
        found = [sha for sha in self._mirrored if len(revision) >= 4 and sha.startswith(revision)]
        if not found:
            raise Missing(f"no commit is named {printable(revision)!r}")
        if len(found) > 1:
            raise Missing(
                f"{revision} is ambiguous: several objects begin so", hint="write more digits"
            )
        return found[0]

    def _raise_planned(self, method: str) -> None:
        if planned := self._failures.get(method):
            raise planned.pop(0)


def _entry(path: DocumentPath, file: MemoryFile) -> TreeEntry:
    return TreeEntry(path, _blob_id(file.content), file.mode, len(file.content))


def _blob_id(content: bytes) -> BlobId:
    """Git's own id, so that the same bytes have the same id in every implementation."""
    header = b"blob %d\0" % len(content)
    return BlobId(hashlib.sha1(header + content, usedforsecurity=False).hexdigest())


def _tree_id(files: _Tree) -> TreeId:
    """Not Git's own, but the same for the same contents and no other."""
    named = sorted((path, file.mode, _blob_id(file.content)) for path, file in files.items())
    return TreeId(hashlib.sha1(repr(named).encode(), usedforsecurity=False).hexdigest())


def _bytewise(path: DocumentPath) -> bytes:
    return path.encode("utf-8", "surrogateescape")
