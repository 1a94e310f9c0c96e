"""Viewers: who may look at what, by what an identity provider says of them.

Separate from the sign-in, which finds out who somebody is, and from the pages, which ask one
question. The invariant: who is named by no rule sees nothing, and a rule by e-mail address needs an
address that the provider verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

EVERY_TEAM = "*"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as one issuer knows them. `email` is empty unless the issuer verified it."""

    issuer: str
    subject: str
    name: str
    email: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """For records: what is unique, with what people recognise."""
        return f"{self.email or self.name} ({self.subject} at {self.issuer})"


@dataclass(frozen=True, slots=True)
class ViewingRule:
    """Members of `group`, or people with an address like `email`, see the teams like `teams`."""

    teams: tuple[str, ...]
    group: str = ""
    email: str = ""

    def applies_to(self, person: Identity) -> bool:
        if self.group:
            return self.group in person.groups
        return bool(person.email) and fnmatchcase(person.email.lower(), self.email.lower())


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks, with the patterns of the teams whose things they see."""

    name: str
    teams: frozenset[str]

    @property
    def sees_everything(self) -> bool:
        return EVERY_TEAM in self.teams

    def may_see(self, team: str) -> bool:
        """`team` is the label of a model or another document; empty where it has none."""
        return any(fnmatchcase(team, pattern) for pattern in self.teams)


ANYBODY = Viewer("", frozenset({EVERY_TEAM}))
"""Where nobody is asked who they are: on the loopback."""


def viewer_of(person: Identity, rules: Iterable[ViewingRule]) -> Viewer | None:
    """What all rules together show; None when none of them is about this person."""
    teams = {team for rule in rules if rule.applies_to(person) for team in rule.teams}
    return Viewer(person.email or person.name, frozenset(teams)) if teams else None
