"""Where the mirror lies on disk: numbered bare repositories in one directory.

Separate because it must be right when a process dies anywhere in it. The invariants: a generation
counts once its head reference is there, which is written last; a damaged one is replaced by the
next number and never written over, since libgit2 caches packs by path for the whole process.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygit2

from reconciler.core.identifiers import CommitSha

HEAD = "refs/fairlead/head"

_NAME = re.compile(r"(\d{4,9})\.git")


class Generations:
    """The generations below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._last = 0

    def newest(self) -> Path | None:
        """The repository to read from, sound or not."""
        complete = (path for path in reversed(self._all()) if (path / HEAD).is_file())
        return next(complete, None)

    def next(self) -> Path:
        """An empty directory for the next generation."""
        numbers = [int(path.stem) for path in self._all()]
        self._last = max([self._last, *numbers]) + 1
        fresh = self.directory / f"{self._last:04}.git"
        fresh.mkdir(parents=True)
        return fresh

    def drop_others(self, current: Path) -> None:
        """Remove what came before, and what was begun and never finished."""
        for path in self._all():
            if path != current:
                shutil.rmtree(path, ignore_errors=True)

    def _all(self) -> list[Path]:
        found = [path for path in self.directory.glob("*.git") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem))


@contextmanager
def opened(path: Path) -> Iterator[pygit2.Repository]:
    """A handle that is let go of at the end: the cycles in pygit2's objects keep it longer."""
    repository = pygit2.Repository(str(path))
    try:
        yield repository
    finally:
        repository.free()


def is_sound(path: Path) -> bool:
    """Whether the head and its tree can be read. Damage further in shows when it is read."""
    try:
        with opened(path) as repository:
            head = target(repository, HEAD)
            return head is not None and isinstance(repository[head].tree, pygit2.Tree)
    except (KeyError, AttributeError, pygit2.GitError):
        return False


def target(repository: pygit2.Repository, reference: str) -> CommitSha | None:
    found = repository.references.get(reference)
    return None if found is None else CommitSha(str(found.target))
