"""A directory of files as a tree of a commit, for validating before there is a commit.

Separate from the Git adapters, because it needs no Git: an editor or a fresh checkout is enough.
The invariant: links are seen and never followed, and files are read only when asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.commits import TreeDifference, TreeEntry
from reconciler.core.identifiers import BlobId, DocumentPath

_SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """The files below a directory. A blob is named by its path, since nothing was hashed."""

    root: Path
    difference: TreeDifference

    @classmethod
    def of(cls, root: Path) -> WorkingTree:
        entries = sorted(_entries(root, ""), key=lambda entry: entry.path)
        return cls(root, TreeDifference(tuple(entries), ()))

    def read(self, blobs: Iterable[BlobId]) -> Mapping[BlobId, bytes]:
        paths = {entry.blob: entry.path for entry in self.difference.changed}
        return {blob: (self.root / paths[blob]).read_bytes() for blob in blobs}


def _entries(root: Path, prefix: str) -> Iterator[TreeEntry]:
    with os.scandir(root / prefix) as found:
        for item in found:
            # Hidden ones hold nothing for us, and .git holds much.
            if item.name.startswith("."):
                continue
            path = f"{prefix}{item.name}"
            if item.is_dir(follow_symlinks=False) and not _is_submodule(root / path):
                yield from _entries(root, f"{path}/")
            else:
                yield _entry(path, item)


def _entry(path: str, item: os.DirEntry[str]) -> TreeEntry:
    status = item.stat(follow_symlinks=False)
    mode = _SUBMODULE if item.is_dir(follow_symlinks=False) else status.st_mode
    blob = BlobId(hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest())
    return TreeEntry(DocumentPath(path), blob, mode, status.st_size)


def _is_submodule(directory: Path) -> bool:
    """A submodule, or another repository inside this one: Git keeps neither's files here."""
    return (directory / ".git").exists()
