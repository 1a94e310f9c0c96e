"""What a revert commit says, and what became of preparing one.

Separate from the adapters that write it, because a person's reverts and the daemon's own say the
same. The invariant: the message names the full SHA that it undoes, in the words `git revert` uses,
so that tools which look for them find it.
"""

from __future__ import annotations

import re
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


ABORT_TRAILER = "Fairlead-Abort"

_ABORT = re.compile(rf"^{ABORT_TRAILER}: ([0-9a-f]+)$", re.MULTILINE)
_REASON_LIMIT = 4000
"""Characters of a line: the evidence of a gate is long, and no line is this long by intent."""


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


def abort_message(commit: Commit, *, reason: str) -> str:
    """The message of the revert that the daemon pushes by itself."""
    lines = (printable(line.rstrip(), limit=_REASON_LIMIT) for line in reason.strip().splitlines())
    told = "\n".join(lines)
    return f"{revert_message(commit)}\n{told}\n\n{ABORT_TRAILER}: {commit.sha}\n"


def abort_branch(sha: CommitSha) -> str:
    """The branch on which the daemon offers that revert."""
    return f"fairlead/{revert_branch(sha)}"


def undoes(message: str, sha: CommitSha) -> bool:
    """Whether a commit with this message says that it undoes `sha`.

    Of the daemon's own reverts only the last trailer counts: the reason above it may quote what a
    model server answered.
    """
    if trailers := _ABORT.findall(message):
        return bool(trailers[-1] == sha)
    return re.search(rf"^\W*This reverts commit {sha}\b", message, re.MULTILINE) is not None
