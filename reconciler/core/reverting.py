"""What a revert commit says, and what became of preparing one.

Separate from the adapter that writes it, because the daemon's own reverts say the same. The
invariant: the message names the full SHA that it undoes, in the words `git revert` uses, so that
tools which look for them find it.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.commits import Commit
from reconciler.core.errors import Terminal
from reconciler.core.identifiers import CommitSha, DocumentPath, short
from reconciler.core.problems import printable


@dataclass(frozen=True, slots=True)
class PreparedRevert:
    """A revert commit that waits on a branch of its own. `remote` is empty where there is none."""

    commit: CommitSha
    reverts: CommitSha
    branch: str
    message: str
    paths: tuple[DocumentPath, ...]
    remote: str
    needs_signature: bool


class RevertConflict(Terminal):
    """Later commits changed the same lines; only a person can say what they should be."""

    code = "revert-conflict"

    def __init__(self, commit: Commit, paths: tuple[str, ...]) -> None:
        mainline = " -m 1" if len(commit.parents) > 1 else ""
        listed = ", ".join(printable(path) for path in paths)
        super().__init__(
            f"commit {short(commit.sha)} cannot be reverted by itself: later commits changed the"
            f" same places of {listed}; nothing was written",
            hint=f"run `git revert{mainline} {commit.sha}` in a clone, resolve these files and"
            " commit, or revert the later commits first",
        )
        self.paths = paths


def revert_message(commit: Commit) -> str:
    """The message `git revert` would propose; of a merge, its first parent is the mainline."""
    if len(commit.parents) > 1:
        reversing = f", reversing\nchanges made to {commit.parents[0]}"
    else:
        reversing = ""
    return f'Revert "{commit.subject}"\n\nThis reverts commit {commit.sha}{reversing}.\n'


def revert_branch(sha: CommitSha) -> str:
    return f"revert-{short(sha)}"
