"""The Forge port in memory: a forge and its people, for tests of what answers them.

Separate from GitHub's, and held to the same contract. The invariants: only the port writes as us,
everybody else acts by the methods of `MemoryForge` that the port has not; times go forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.core.change_requests import (
    Check,
    Comment,
    Deployment,
    Permission,
    PullRequest,
    Review,
    ReviewState,
)
from reconciler.core.errors import FairleadError, Invalid, Missing
from reconciler.core.identifiers import CommitSha

LARGEST_COMMENT = 262_144
"""Bytes of UTF-8, as GitHub has it."""

_EPOCH = datetime(2027, 1, 1, tzinfo=UTC)


class MemoryForge:
    """A repository without pull requests, in which we are `login`."""

    def __init__(self, login: str = "fairlead[bot]", url: str = "https://forge.example") -> None:
        self.login = login
        self.trouble: FairleadError | None = None
        """Raised by every method of the port while it is set."""
        self.checks: list[Check] = []
        """All that were put, oldest first; the same one again is not another."""
        self.deployments: list[Deployment] = []
        self.edits = 0
        """How often a comment of ours was changed."""
        self._url = url
        self._pulls: dict[int, PullRequest] = {}
        self._reviews: dict[int, list[Review]] = {}
        self._comments: dict[int, list[Comment]] = {}
        self._bodies: dict[int, str] = {}
        self._permissions: dict[str, Permission] = {}
        self._made = 0

    # What people do.

    def open(
        self,
        head: CommitSha,
        *,
        base: CommitSha,
        author: str = "ada",
        title: str = "Change a model",
        branch: str = "change",
        base_branch: str = "main",
        fork: bool = False,
        draft: bool = False,
        body: str = "",
    ) -> int:
        number = len(self._pulls) + 1
        self._pulls[number] = PullRequest(
            number=number,
            title=title,
            author=author,
            head=head,
            head_branch=branch,
            base=base,
            base_branch=base_branch,
            url=f"{self._url}/pull/{number}",
            fork=fork,
            draft=draft,
        )
        self._reviews[number], self._comments[number] = [], []
        self._bodies[number] = body
        return number

    def push(self, number: int, head: CommitSha) -> None:
        self._pulls[number] = replace(self._pulls[number], head=head)

    def move_base(self, base: CommitSha, *, branch: str = "main") -> None:
        """Somebody pushed to the branch that the open ones are to be merged into."""
        for number, pull in self._pulls.items():
            if pull.open and pull.base_branch == branch:
                self._pulls[number] = replace(pull, base=base)

    def review(
        self,
        number: int,
        author: str,
        state: ReviewState = ReviewState.APPROVED,
        *,
        commit: CommitSha | None = None,
    ) -> int:
        at = commit or self._pulls[number].head
        review = Review(self._next(), author, state, at, self._time())
        self._reviews[number].append(review)
        return review.id

    def say(self, number: int, author: str, body: str) -> int:
        comment = Comment(self._next(), author, body, self._time())
        self._comments[number].append(comment)
        return comment.id

    def edit(self, number: int, comment: int, body: str) -> None:
        """Somebody changes what they said: of that the forge tells only that it is so."""
        self._replace(number, comment, lambda known: replace(known, body=body, edited=True))

    def delete(self, number: int, comment: int) -> None:
        self._comments[number] = [c for c in self._comments[number] if c.id != comment]

    def merge(self, number: int, commit: CommitSha) -> None:
        self._pulls[number] = replace(self._pulls[number], open=False, merged=commit)

    def shut(self, number: int) -> None:
        self._pulls[number] = replace(self._pulls[number], open=False)

    def permit(self, login: str, permission: Permission) -> None:
        self._permissions[login] = permission

    def ours(self, number: int) -> tuple[Comment, ...]:
        """The comments that stand under our name."""
        return tuple(c for c in self._comments[number] if c.author == self.login)

    def body(self, number: int) -> str:
        """What a pull request was opened with."""
        return self._bodies[number]

    # The port.

    async def whoami(self) -> str:
        self._fail()
        return self.login

    async def pull_requests(self) -> Sequence[PullRequest]:
        self._fail()
        return [pull for _, pull in sorted(self._pulls.items(), reverse=True) if pull.open]

    async def pull_request(self, number: int) -> PullRequest:
        self._fail()
        return self._known(number)

    async def reviews(self, number: int) -> Sequence[Review]:
        self._fail()
        self._known(number)
        return tuple(self._reviews[number])

    async def comments(self, number: int, *, after: int = 0) -> Sequence[Comment]:
        self._fail()
        self._known(number)
        return tuple(c for c in self._comments[number] if c.id > after)

    async def permission(self, login: str) -> Permission:
        self._fail()
        return self._permissions.get(login, Permission.NONE)

    async def put_comment(self, number: int, body: str, *, known: int | None) -> int:
        self._fail()
        self._known(number)
        if len(body.encode()) > LARGEST_COMMENT:
            raise Invalid(f"cannot write the comment on pull request {number}: it is too long")
        if all(comment.id != known for comment in self.ours(number)):
            return self.say(number, self.login, body)
        assert known is not None
        self._replace(number, known, lambda comment: replace(comment, body=body, edited=True))
        self.edits += 1
        return known

    async def put_check(self, check: Check) -> None:
        self._fail()
        if self.check(check.commit, check.name) != check:
            self.checks.append(check)

    async def put_deployment(self, deployment: Deployment) -> None:
        self._fail()
        where = (deployment.commit, deployment.environment)
        told = [d for d in self.deployments if (d.commit, d.environment) == where]
        if not told or told[-1] != deployment:
            self.deployments.append(deployment)

    async def open_pull_request(self, *, branch: str, base: str, title: str, body: str) -> int:
        self._fail()
        for number, pull in self._pulls.items():
            if pull.open and (pull.head_branch, pull.base_branch) == (branch, base):
                return number
        head = CommitSha("0" * 40)
        return self.open(
            head,
            base=head,
            author=self.login,
            title=title,
            branch=branch,
            base_branch=base,
            body=body,
        )

    async def close(self) -> None:
        """Nothing is held."""

    def check(self, commit: CommitSha, name: str) -> Check | None:
        """What a commit is marked with now."""
        marks = [c for c in self.checks if (c.commit, c.name) == (commit, name)]
        return marks[-1] if marks else None

    def _fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def _known(self, number: int) -> PullRequest:
        if number not in self._pulls:
            raise Missing(f"cannot look at pull request {number}: there is none")
        return self._pulls[number]

    def _replace(self, number: int, comment: int, change: Callable[[Comment], Comment]) -> None:
        self._comments[number] = [
            change(known) if known.id == comment else known for known in self._comments[number]
        ]

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _time(self) -> str:
        return (_EPOCH + timedelta(seconds=self._made)).isoformat().replace("+00:00", "Z")
