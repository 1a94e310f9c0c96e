"""Differences of access: who gains and who loses what, in sentences.

Separate from the permissions that are compared. The invariants: equal permissions have no
difference; every permission that is in one of the two and not in the other is in exactly one
change, and no text leaves one out without saying how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final, TypeVar

from reconciler.core.access.permissions import Permissions
from reconciler.core.access.policy import Place
from reconciler.core.access.subjects import agent_subject, in_words

MOST_NAMED: Final = 5
"""Things that one sentence names."""

READ_SECRETS: Final = "read secrets"
GET_TOKENS: Final = "get tokens of"
"""The one action on secrets that anybody is given."""

_Right = TypeVar("_Right")
_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """`subject` gains or loses `actions` on `things`, all of them on each.

    `places` is where; nowhere for model versions, secrets and tokens, which are the same
    everywhere. For a change of who has a Role, there is no action, the subject is a group, and
    `things` has the Role. `until` is the last day of an agent's scope before and after, where that
    is what changes.
    """

    gains: bool
    subject: str
    actions: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[Place, ...] = ()
    until: tuple[date, date] | None = None

    @property
    def who(self) -> str:
        is_group = not self.actions and self.until is None
        return f"group {self.subject}" if is_group else in_words(self.subject)

    @property
    def what(self) -> str:
        """What is gained or lost, without who."""
        if self.until is not None:
            before, after = sorted(day.isoformat() for day in self.until)
            return f"what its scope lists, from {before} to {after}"
        if not self.actions:
            return f"Role {self.things[0]}"
        if self.actions in ((READ_SECRETS,), (GET_TOKENS,)):
            return f"{self.actions[0]} {_some(self.things)}"
        where = f" in {_some(_places_in_words(self.places))}" if self.places else ""
        return f"{_joined(self.actions)} on {_some(self.things)}{where}"

    @property
    def sentence(self) -> str:
        if self.until is not None:
            verb = "may now do" if self.gains else "may no longer do"
            return f"{self.who} {verb} {self.what}"
        if not self.actions:
            return f"{self.who} {'now has' if self.gains else 'no longer has'} {self.what}"
        return f"{self.who} {'may now' if self.gains else 'may no longer'} {self.what}"


@dataclass(frozen=True)
class AccessDifference:
    """What is gained and lost. Both are empty when nothing changes."""

    gained: tuple[PermissionChange, ...]
    lost: tuple[PermissionChange, ...]

    @property
    def widens(self) -> bool:
        """Whether anybody gets access that they did not have."""
        return bool(self.gained)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """What is given before what is taken."""
        return tuple(change.sentence for change in (*self.gained, *self.lost))

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost)


def difference(before: Permissions, after: Permissions) -> AccessDifference:
    return AccessDifference(
        gained=_changes(after, before, gains=True), lost=_changes(before, after, gains=False)
    )


def _changes(has: Permissions, lacks: Permissions, *, gains: bool) -> tuple[PermissionChange, ...]:
    found = (
        *_of_members(has, lacks, gains=gains),
        *_of_models(has, lacks, gains=gains),
        *_of_resources(has, lacks, gains=gains),
        *_of_days(has, lacks, gains=gains),
        *_of_secrets(has, lacks, gains=gains),
        *_of_tokens(has, lacks, gains=gains),
    )
    return tuple(sorted(found, key=lambda c: (c.subject, c.things, c.actions, c.places)))


def _of_members(has: Permissions, lacks: Permissions, *, gains: bool) -> Iterator[PermissionChange]:
    for role, groups in _only(has.members, lacks.members):
        yield from (PermissionChange(gains, group, (), (role,)) for group in groups)


def _of_days(has: Permissions, lacks: Permissions, *, gains: bool) -> Iterator[PermissionChange]:
    """Scopes that hold longer on the one side."""
    for name, last in has.ends.items():
        other = lacks.ends.get(name)
        if other is not None and last > other:
            days = (other, last) if gains else (last, other)
            yield PermissionChange(gains, agent_subject(name), (), (), until=days)


def _of_secrets(has: Permissions, lacks: Permissions, *, gains: bool) -> Iterator[PermissionChange]:
    for subject, places in _only(has.secrets, lacks.secrets):
        yield PermissionChange(gains, subject, (READ_SECRETS,), tuple(sorted(places)))


def _of_tokens(has: Permissions, lacks: Permissions, *, gains: bool) -> Iterator[PermissionChange]:
    for role, agents in _only(has.tokens, lacks.tokens):
        yield PermissionChange(gains, role, (GET_TOKENS,), tuple(sorted(agents)))


def _of_models(has: Permissions, lacks: Permissions, *, gains: bool) -> Iterator[PermissionChange]:
    """Actions on the very same versions are told together."""
    alike: dict[tuple[str, frozenset[str]], list[str]] = {}
    for right, versions in _only(has.models, lacks.models):
        alike.setdefault((right.subject, versions), []).append(right.action)
    for (subject, versions), actions in alike.items():
        yield PermissionChange(gains, subject, tuple(actions), tuple(sorted(versions)))


def _of_resources(
    has: Permissions, lacks: Permissions, *, gains: bool
) -> Iterator[PermissionChange]:
    """Verbs on the same resource in the same places together, and then resources."""
    verbs: dict[tuple[str, str, frozenset[Place]], list[str]] = {}
    for right, places in _only(has.resources, lacks.resources):
        verbs.setdefault((right.subject, right.resource, places), []).append(right.verb)
    resources: dict[tuple[str, tuple[str, ...], frozenset[Place]], list[str]] = {}
    for (subject, resource, places), found in verbs.items():
        resources.setdefault((subject, tuple(found), places), []).append(resource)
    for (subject, named, places), things in resources.items():
        yield PermissionChange(gains, subject, named, tuple(things), tuple(sorted(places)))


def _only(
    has: Mapping[_Right, frozenset[_Thing]], lacks: Mapping[_Right, frozenset[_Thing]]
) -> Iterator[tuple[_Right, frozenset[_Thing]]]:
    nothing: frozenset[_Thing] = frozenset()
    for right, things in has.items():
        if more := things - lacks.get(right, nothing):
            yield right, more


def _places_in_words(places: Iterable[Place]) -> tuple[str, ...]:
    clusters: dict[str, list[str]] = {}
    for place in places:
        clusters.setdefault(place.namespace, []).append(place.cluster)
    return tuple(f"{name} of {_joined(found)}" for name, found in sorted(clusters.items()))


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMED
    if more > 1:
        return f"{', '.join(names[:MOST_NAMED])} and {more} more"
    return _joined(names)


def _joined(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
