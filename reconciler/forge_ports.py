"""The world of change requests, in our words: the forge, its proposals, and what is remembered.

Separate from ports.py, because only what looks at pull requests needs these, and the engine that
applies commits must not. The invariant is that of ports.py: a port raises only the errors of
core/errors.py, and speaks in values of core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from reconciler.core.change_requests import (
    Check,
    Comment,
    Deployment,
    Permission,
    PullRequest,
    Review,
    ReviewRecord,
)
from reconciler.core.commits import Commit
from reconciler.core.identifiers import CommitSha, DocumentPath
from reconciler.ports import Repository


class ProposedChanges(Repository, Protocol):
    """A mirror that has what pull requests propose as well. It is never what is applied from."""

    async def fetch_ref(self, ref: str) -> CommitSha:
        """Bring one more reference of the remote, such as `refs/pull/7/head`, and return its head.

        Missing when the remote has none, Unavailable when nobody answers.
        """
        ...

    async def refs(self, prefix: str) -> Mapping[str, CommitSha]:
        """The references of the remote that begin with `prefix`, as it has them now."""
        ...

    async def proposed(self, base: CommitSha, head: CommitSha) -> tuple[Commit, ...]:
        """What merging `head` into `base` would bring, oldest first, with verified signatures where
        the signers are known. Untrusted as for a range; neither need descend from the other.
        """
        ...

    async def merged(self, base: CommitSha, head: CommitSha) -> CommitSha:
        """The commit that merging `head` into `base` makes: a function of the two alone.

        `head` itself where `base` is its ancestor. MergeConflict, with the paths, where they do
        not merge by themselves.
        """
        ...


class Forge(Protocol):
    """Where people propose changes of the config repository, such as GitHub.

    Raises Forbidden, Missing, Invalid, Throttled, Unavailable; nothing else.
    """

    async def whoami(self) -> str:
        """The login under which our comments stand."""
        ...

    async def pull_requests(self) -> Sequence[PullRequest]:
        """All that are open, newest first."""
        ...

    async def pull_request(self, number: int) -> PullRequest: ...

    async def reviews(self, number: int) -> Sequence[Review]:
        """All reviews, oldest first."""
        ...

    async def comments(self, number: int, *, after: int = 0) -> Sequence[Comment]:
        """Comments whose id is greater than `after`, oldest first."""
        ...

    async def permission(self, login: str) -> Permission:
        """What that person may do now. NONE for a stranger."""
        ...

    async def put_comment(self, number: int, body: str, *, known: int | None) -> int:
        """Make our comment read `body` and return its id.

        `known` is edited when it is there and ours; else a new one is made.
        """
        ...

    async def put_check(self, check: Check) -> None:
        """Mark a commit: as a check run where our credentials allow one, and as a status."""
        ...

    async def put_deployment(self, deployment: Deployment) -> None:
        """Show how far a commit is in an environment. Twice is as once."""
        ...

    async def open_pull_request(self, *, branch: str, base: str, title: str, body: str) -> int:
        """Open one, or find the open one of that branch; returns its number."""
        ...

    async def close(self) -> None: ...


class Proposer(Protocol):
    """Writes to Git what people are to merge or to leave: never to the branch itself."""

    async def propose(
        self, branch: str, files: Mapping[DocumentPath, bytes], *, on: CommitSha, message: str
    ) -> CommitSha:
        """Push a commit on top of `on`, with these contents, to a branch of its own.

        A branch of that name that already leads to these contents is left as it is, and its head
        returned. Refused when it leads to others, or the remote does not take it.
        """
        ...


class ReviewStore(Protocol):
    """What must outlive the process of pull requests: durable, one record each."""

    async def reviews(self) -> Mapping[int, ReviewRecord]: ...

    async def keep_review(self, record: ReviewRecord) -> None:
        """Put it in place of the one with its number."""
        ...
