"""What stands at the stand-in for GitHub, and what its people do there.

Separate from the answers, which only show it. The invariant: ids and times only grow, as on GitHub.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from reconciler.core.change_requests import Permission, ReviewState
from reconciler.core.identifiers import CommitSha


@dataclass
class Pull:
    number: int
    title: str
    author: str
    head: str
    branch: str
    base_branch: str
    pushed_on: str
    """Head of the base branch at the last push: what GitHub calls `base.sha`."""
    body: str = ""
    fork: bool = False
    head_gone: bool = False
    draft: bool = False
    state: str = "open"
    merged: str | None = None


@dataclass
class Said:
    """A comment. A deleted account's has no author."""

    id: int
    number: int
    author: str | None
    body: str
    created: str
    updated: str


@dataclass
class Reviewed:
    id: int
    number: int
    author: str | None
    state: str
    commit: str | None
    at: str


@dataclass
class Run:
    id: int
    app: int
    fields: dict[str, Any]
    annotations: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Deployed:
    id: int
    fields: dict[str, Any]
    statuses: list[dict[str, Any]] = field(default_factory=list)


class People:
    """One repository and everybody who acts in it but us."""

    def __init__(self) -> None:
        self.pulls: dict[int, Pull] = {}
        self.comments: dict[int, Said] = {}
        self.all_reviews: list[Reviewed] = []
        self.runs: list[Run] = []
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.deployed: list[Deployed] = []
        self.branches: dict[str, str] = {}
        self.permissions: dict[str, Permission] = {}
        self.ids = count(1001)
        self._seconds = count()

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
    ) -> int:
        self.branches[base_branch] = base
        number = len(self.pulls) + 1
        self.pulls[number] = Pull(
            number, title, author, head, branch, base_branch, base, fork=fork, draft=draft
        )
        return number

    def push(self, number: int, head: CommitSha) -> None:
        pull = self.pulls[number]
        pull.head, pull.pushed_on = head, self.branches[pull.base_branch]

    def move_base(self, base: CommitSha, *, branch: str = "main") -> None:
        self.branches[branch] = base

    def review(
        self,
        number: int,
        author: str,
        state: ReviewState = ReviewState.APPROVED,
        *,
        commit: CommitSha | None = None,
    ) -> int:
        at = commit or self.pulls[number].head
        word = state.value.replace("-", "_").upper()
        made = Reviewed(next(self.ids), number, author, word, at, self.now())
        self.all_reviews.append(made)
        return made.id

    def say(self, number: int, author: str | None, body: str) -> int:
        at = self.now()
        made = Said(next(self.ids), number, author, body, at, at)
        self.comments[made.id] = made
        return made.id

    def edit(self, number: int, comment: int, body: str) -> None:
        said = self.comments[comment]
        assert said.number == number
        said.body, said.updated = body, self.now()

    def delete(self, number: int, comment: int) -> None:
        assert self.comments.pop(comment).number == number

    def merge(self, number: int, commit: CommitSha) -> None:
        pull = self.pulls[number]
        pull.state, pull.merged = "closed", commit
        self.branches[pull.base_branch] = commit

    def shut(self, number: int) -> None:
        self.pulls[number].state = "closed"

    def permit(self, login: str, permission: Permission) -> None:
        self.permissions[login] = permission

    def now(self) -> str:
        at = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._seconds))
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
