"""Asking a Git repository whether it has a commit, for the verification of the log.

Separate from the mirror, because an auditor has any clone and no daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pygit2

from reconciler.core.errors import Missing
from reconciler.core.identifiers import CommitSha


def commits_in(path: Path) -> Callable[[CommitSha], bool]:
    """A question for the repository at `path`. Raises Missing when there is none."""
    try:
        repository = pygit2.Repository(str(path))
    except pygit2.GitError as error:
        raise Missing(f"{path} is no Git repository", hint="name a clone of it") from error

    def has_commit(sha: CommitSha) -> bool:
        try:
            found = repository.get(sha)
        except ValueError:
            return False  # Not an object id at all.
        return isinstance(found, pygit2.Commit)

    return has_commit
