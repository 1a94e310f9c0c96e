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
from pygit2.enums import SortMode

from reconciler.adapters.git_remotes import STAGING
from reconciler.core.identifiers import CommitSha

HEAD = "refs/fairlead/head"
KEPT = "refs/fairlead/kept/"

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

    def salvage(self, repository: pygit2.Repository) -> tuple[int, int]:
        """Bring kept commits of older generations over; returns how many came and how many not.

        What was rewritten on the branch exists nowhere else, so whatever can be read is taken.
        """
        fresh = Path(repository.path)
        saved, lost = 0, 0
        for old in self._all():
            for name in [file.name for file in (old / KEPT).glob("*")] if old != fresh else []:
                try:
                    _copy(repository, name, objects=old / "objects")
                    saved += 1
                except (KeyError, ValueError, pygit2.GitError):
                    lost += 1
        return saved, lost

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


def _copy(repository: pygit2.Repository, name: str, *, objects: Path) -> None:
    """Protect a commit, after copying from another object store what of its history is missing."""
    if name not in repository:
        with opened(Path(repository.path)) as both:
            both.odb.add_disk_alternate(str(objects))
            walk = both.walk(pygit2.Oid(hex=name), SortMode.NONE)
            walk.hide(both.references[STAGING].target)
            builder = pygit2.PackBuilder(both)
            for commit in walk:
                builder.add_recur(commit.id)
            builder.write(str(Path(repository.path) / "objects" / "pack"))
    repository.references.create(f"{KEPT}{name}", pygit2.Oid(hex=name), force=True)
