"""Commands: what a comment on a pull request may ask for.

Separate from carrying one out, which needs to know who asks. The invariant: a comment is a command
by its first line alone, which is one of a few fixed forms; nothing of it is ever executed or handed
to a program, and everything else that people write is talk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.core.change_requests import Comment

LONGEST_LINE: Final = 200


class CommandName(StrEnum):
    """PLAN plans anew, and of a fork lets this head be planned against clusters. APPROVE offers the
    approval that a rollout waits for, REVERT the revert of a commit, both as pull requests.
    EXPLAIN says what rollouts wait for."""

    PLAN = "plan"
    APPROVE = "approve"
    REVERT = "revert"
    EXPLAIN = "explain"


_ARGUMENTS = {
    CommandName.PLAN: r"(?!)",
    CommandName.APPROVE: r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    CommandName.REVERT: r"[0-9a-f]{7,64}",
    CommandName.EXPLAIN: r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
}
"""What may stand after each: the name of a rollout, or a commit."""

_COMMAND = re.compile(r"/fairlead +([a-z]+)(?: +([a-z0-9-]+))? *", re.ASCII)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `argument` is empty where none was given."""

    name: CommandName
    argument: str = ""

    def __str__(self) -> str:
        return f"/fairlead {self.name} {self.argument}".rstrip()


def parse(body: str) -> Command | None:
    """The command that a comment begins with; None when it begins with anything else."""
    first = body[: LONGEST_LINE + 1].split("\n", 1)[0].removesuffix("\r")
    found = _COMMAND.fullmatch(first)
    if found is None or len(first) > LONGEST_LINE or found[1] not in set(CommandName):
        return None
    name, argument = CommandName(found[1]), found[2] or ""
    if argument and not re.fullmatch(_ARGUMENTS[name], argument):
        return None
    return Command(name, argument)


def command_in(comment: Comment, *, ours: str) -> Command | None:
    """The command of a comment as it was first written, by anybody but us."""
    if comment.edited or comment.author == ours:
        return None
    return parse(comment.body)
