"""Kind BreakGlass: a Role for named people, for an hour at most, because something is on fire.

Separate from Role, whose members the identity provider knows: this is of single people and ends by
itself. The invariant: it says when it begins and when it ends, and that is an hour at most.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator

from reconciler.core.kinds.common import Declaration, Part, refusal
from reconciler.core.kinds.scalars import DnsLabel, Text, TextForm

LONGEST: Final = timedelta(hours=1)

MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"


def _moment(text: str) -> datetime:
    return datetime.strptime(text, MOMENT).replace(tzinfo=UTC)


Moment: TypeAlias = Annotated[
    datetime,
    TextForm(
        what="a moment in UTC",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        hint='write it to the second, in quotes: "2027-06-30T14:00:00Z"',
        examples=("2027-06-30T14:00:00Z",),
        read=_moment,
    ),
]
PersonName: TypeAlias = Annotated[
    str,
    TextForm(
        what="a person as the identity provider names them",
        pattern=r"^[^\x00-\x20\x7f,:]([^\x00-\x20\x7f,:]*[^\x00-\x20\x7f,:])?$",
        hint="write what the claim for names has, such as grace@example.com",
        examples=("grace@example.com",),
        longest=253,
    ),
]


class BreakGlassSpec(Part):
    """Who gets which role, when, and why."""

    role: DnsLabel
    """The Role whose permissions they get."""
    people: tuple[PersonName, ...] = Field(min_length=1)
    """Who gets them, by the names that the identity provider gives."""
    because: Text
    """Why, in words. It is in the audit log for good."""
    starts: Moment
    """From when on."""
    ends: Moment
    """Until when: an hour later at most. Then it gives nothing, without a commit."""

    @model_validator(mode="after")
    def _require_short_life(self) -> BreakGlassSpec:
        if not timedelta(0) < self.ends - self.starts <= LONGEST:
            raise refusal("is not for an hour at most", hint="set ends up to an hour after starts")
        return self

    def holds(self, now: float) -> bool:
        """`now` is in seconds since the epoch."""
        return self.starts.timestamp() <= now < self.ends.timestamp()


class BreakGlass(Declaration):
    """A Role for named people, for an hour at most."""

    kind: Literal["BreakGlass"]
    """What this document declares."""
    spec: BreakGlassSpec
    """Who gets which role, when, and why."""
