"""The Publisher port over the repository in memory.

Separate from MemoryRepository, which is the remote and the mirror of it. The invariant: it passes
the contract suite of the real publisher, but for texts: files are merged whole, so two changes of
one file are always a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.adapters.git_memory import MemoryFile, MemoryRepository
from reconciler.core.commits import Commit
from reconciler.core.errors import FairleadError, Refused
from reconciler.core.identifiers import CommitSha, short
from reconciler.core.reverting import RevertConflict, abort_branch, abort_message, undoes

_AUTHOR, _EMAIL = "Fairlead", "fairlead@example.com"


class MemoryPublisher:
    """Pushes reverts to a MemoryRepository, signed by `signer`. `protect` and `fail` play the
    world."""

    def __init__(self, repository: MemoryRepository, *, signer: str | None = None) -> None:
        self.branches: dict[str, CommitSha] = {}
        """Branches beside the one that is mirrored."""
        self._repository = repository
        self._signer = signer
        self._protected: set[str] = set()
        self._failures: list[FairleadError] = []

    # The world

    def protect(self, branch: str) -> None:
        """Take nothing more on a branch."""
        self._protected.add(branch)

    def fail(self, *errors: FairleadError) -> None:
        """Let the next calls raise these errors, one a call."""
        self._failures.extend(errors)

    # The port

    async def push_revert(self, commit: CommitSha, *, reason: str) -> CommitSha:
        return self._publish(commit, reason, self._repository.branch)[1]

    async def push_revert_branch(self, commit: CommitSha, *, reason: str) -> str:
        return self._publish(commit, reason, abort_branch(commit))[0]

    def _publish(self, sha: CommitSha, reason: str, branch: str) -> tuple[str, CommitSha]:
        if self._failures:
            raise self._failures.pop(0)
        head = self._repository.head
        line = self._repository.line(head) if head else ()
        known = {commit.sha: commit for commit in line}
        if head is None or sha not in known:
            raise Refused(f"commit {short(sha)} is not part of {self._repository.branch}")
        if undone := _undoing(sha, line):
            return self._repository.branch, undone
        if branch in self.branches:
            return branch, self._offered(sha, branch)
        way_back = self._way_back(known[sha], head)
        if not way_back:
            return self._repository.branch, head
        self._require_unprotected(branch)
        made = self._repository.commit_on(
            head,
            way_back,
            message=abort_message(known[sha], reason=reason),
            author=_AUTHOR,
            email=_EMAIL,
            signer=self._signer,
            person=(self._signer,) if self._signer else (),
        )
        if branch == self._repository.branch:
            self._repository.rewrite(made)
        else:
            self.branches[branch] = made
        return branch, made

    def _offered(self, sha: CommitSha, branch: str) -> CommitSha:
        found = _undoing(sha, self._repository.line(self.branches[branch]))
        if found is None:
            raise Refused(f"there is a branch {branch} that does not revert {short(sha)}")
        return found

    def _way_back(self, commit: Commit, head: CommitSha) -> Mapping[str, MemoryFile | None]:
        """What to write on top of `head`; nothing for the files that are back already."""
        now = self._repository.files(head)
        changes = self._repository.changes(commit.sha)
        touched = [path for path, sides in changes.items() if now.get(path) not in sides]
        if touched:
            raise RevertConflict(commit, tuple(sorted(touched)))
        return {path: before for path, (before, _) in changes.items() if now.get(path) != before}

    def _require_unprotected(self, branch: str) -> None:
        if branch in self._protected:
            raise Refused(f"the branch {branch} is protected")


def _undoing(sha: CommitSha, line: Sequence[Commit]) -> CommitSha | None:
    """The newest commit after `sha` that says it undoes it."""
    for commit in line:
        if commit.sha == sha:
            return None
        if undoes(commit.message, sha):
            return commit.sha
    return None
