"""Who gained and who lost what by a commit, as the record of its acceptance says it.

Separate from access_changes.py, which compares two states: the log has one of them long after both
are forgotten. The invariant: what is not written down for length, or not shown to somebody, is
counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from reconciler.core.access.subjects import subject_in
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.sight import Sight

MOST_TOLD: Final = 50
"""Changes that a record lists: the first commit of a large repository has thousands."""

_LENT: Final = re.compile(r"(Role [a-z0-9-]+) from ")
"""How it is said that somebody has a Role for a while."""
_VERSION: Final = re.compile(r"([a-z0-9][a-z0-9.-]*)@")


@dataclass(frozen=True, slots=True)
class AccessTold:
    """`more` changes are not among `changes`."""

    changes: tuple[AccessChange, ...] = ()
    more: int = 0

    def about(self, subject: str) -> tuple[AccessChange, ...]:
        """What the Role or the agent, or who has the Role, gains and loses."""
        return tuple(change for change in self.changes if subject_of(change) == subject)

    def seen_by(self, sight: Sight) -> AccessTold:
        """Without what is about roles, agents or models that the viewer does not see."""
        if sight.everything:
            return self
        kept = tuple(change for change in self.changes if _is_seen(change, sight))
        return AccessTold(kept, self.more + len(self.changes) - len(kept))

    def first(self, most: int) -> AccessTold:
        """As long as a page or a record should be."""
        return AccessTold(self.changes[:most], self.more + max(0, len(self.changes) - most))

    def __bool__(self) -> bool:
        return bool(self.changes or self.more)


def subject_of(change: AccessChange) -> str | None:
    """The Role or the agent that a change is about; None for other objects and for sign-in."""
    lent = _LENT.match(change.what)
    return subject_in(change.who) or subject_in(lent[1] if lent else change.what)


def access_detail(changes: Sequence[AccessChange]) -> JsonObject:
    """For the record of an acceptance. Empty where nobody gains or loses."""
    if not changes:
        return {}
    told = AccessTold(tuple(changes)).first(MOST_TOLD)
    listed: list[JsonValue] = [
        {
            "gains": change.gains,
            "who": change.who,
            "what": change.what,
            "clusters": list[JsonValue](change.clusters),
        }
        for change in told.changes
    ]
    return {"access": {"changes": listed, "more": told.more}}


def access_told(detail: JsonObject) -> AccessTold:
    """What a record says. One of a release that wrote none, or wrote it otherwise, says nothing."""
    found = detail.get("access")
    listed = found.get("changes") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(listed, list):
        return AccessTold()
    more = found.get("more")
    changes = tuple(_change(each) for each in listed if isinstance(each, dict))
    return AccessTold(changes, more if isinstance(more, int) else 0)


def _change(told: JsonObject) -> AccessChange:
    clusters = cast("list[str]", told.get("clusters") or [])
    return AccessChange(
        gains=told.get("gains") is True,
        who=str(told.get("who", "")),
        what=str(told.get("what", "")),
        clusters=tuple(map(ClusterName, clusters)),
    )


def _is_seen(change: AccessChange, sight: Sight) -> bool:
    subject = subject_of(change)
    if subject is None or not sight.subject(subject):
        return False
    return all(sight.model(name) for name in _VERSION.findall(change.what))
