"""Commits and the differences between their trees, as values.

Separate from the port that reads them, because validation judges modes and sizes before any
content is read. The invariant: nothing here was checked out, so no path was ever followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.identifiers import BlobId, CommitSha, DocumentPath, TreeId


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the config repository. `signer` is the principal whose signature was verified.

    `person` has all the names of whom the key belongs to; none where the allowed signers do not
    say. `tree` is the identity of its contents.
    """

    sha: CommitSha
    parents: tuple[CommitSha, ...]
    author: str
    email: str
    time: datetime
    message: str
    signer: str | None = None
    person: tuple[str, ...] = field(default=(), repr=False)
    tree: TreeId = field(default=TreeId(""), repr=False)

    @property
    def subject(self) -> str:
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file of a commit. `mode` is Git's: 0o120000 is a link, 0o160000 a submodule."""

    path: DocumentPath
    blob: BlobId
    mode: int
    size: int


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """What changed between two trees. A renamed file is one of `gone` and one of `changed`."""

    changed: tuple[TreeEntry, ...]
    gone: tuple[DocumentPath, ...]
