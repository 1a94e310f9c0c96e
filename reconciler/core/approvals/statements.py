"""Statements: what somebody signs who approves a commit, and the approval that it becomes.

Separate from judging, which asks whether it suffices. The invariants: a statement names the
repository, the whole tree, the commit that is in force, and an end, so that it is of no other
change and not for ever; and each statement has exactly one text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.core.approvals.people import Person
from reconciler.core.identifiers import CommitSha, TreeId, commit_sha

NAMESPACE: Final = "fairlead-approval"
"""What SSH signatures of statements are for: one of a Git commit is none of these."""

LONGEST: Final = timedelta(days=7)
"""How far ahead the end of an approval may be."""

PREFIX: Final = "refs/fairlead/approvals/"
"""Below it, and the tree, are the references that hold approvals."""

_FIRST = "fairlead approval 1"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TEXT = re.compile(
    rf"{_FIRST}\nrepository ([a-z0-9.-]+)\ntree ([0-9a-f]+)\nbase ([0-9a-f]+)\nuntil (\S+)\n"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """This tree may follow upon `base` in this repository, if it does before `until`."""

    repository: str
    tree: TreeId
    base: CommitSha
    until: datetime

    @property
    def text(self) -> str:
        until = self.until.astimezone(UTC).strftime(_TIME)
        return (
            f"{_FIRST}\nrepository {self.repository}\ntree {self.tree}\nbase {self.base}\n"
            f"until {until}\n"
        )


def read_statement(text: str) -> Statement | None:
    """None for whatever no Statement has as its text."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    try:
        until = datetime.strptime(found[4], _TIME).replace(tzinfo=UTC)
        read = Statement(found[1], TreeId(commit_sha(found[2])), commit_sha(found[3]), until)
    except ValueError:
        return None
    return read if read.text == text else None


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved that the tree follows upon `base`.

    `how` says by which key or review. `until` is absent for a review, which a forge takes back.
    """

    person: Person
    tree: TreeId
    base: CommitSha
    repository: str
    how: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class GivenApproval:
    """A statement that was signed. `remote` is empty where it was not pushed."""

    statement: Statement
    reference: str
    remote: str
