"""Telling how a list of records differs from the one that was logged.

Separate from deciding whether it differs, which is the tree's work: this only finds words for it,
and may be wrong about what somebody did, never about the first place where it shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

_NAMED_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a log. `index` is the first record it concerns, if any."""

    code: str
    message: str
    index: int | None = None


def differences(*, found: Sequence[bytes], logged: Sequence[bytes]) -> list[Finding]:
    """What was done to `logged` to get `found`; both are hashes of records in order."""
    same_start = _common(iter(found), iter(logged))
    if same_start == len(found) == len(logged):
        return []
    shorter = min(len(found), len(logged))
    same_end = min(_common(reversed(found), reversed(logged)), shorter - same_start)
    grown = len(found) - len(logged)
    if grown < 0 and same_start + same_end == len(found):
        return [_finding("removed", range(same_start, same_start - grown), "missing")]
    if grown > 0 and same_start + same_end == len(logged):
        return [_finding("added", range(same_start, same_start + grown), "never logged here")]
    if grown == 0:
        return _replaced(found, logged, range(same_start, len(found) - same_end))
    what = f"{abs(grown)} records were {'added' if grown > 0 else 'removed'}, and others changed"
    message = f"the records from {same_start} on are not those that were logged: {what}"
    return [Finding("changed", message, same_start)]


def _replaced(found: Sequence[bytes], logged: Sequence[bytes], span: range) -> list[Finding]:
    places = [index for index in span if found[index] != logged[index]]
    if Counter(found[i] for i in places) == Counter(logged[i] for i in places):
        return [_finding("reordered", places, "not in the order in which they were logged")]
    return [_finding("changed", places, "not what was logged")]


def _finding(code: str, places: Sequence[int], state: str) -> Finding:
    names = ", ".join(map(str, islice(places, _NAMED_AT_MOST)))
    more = f" and {len(places) - _NAMED_AT_MOST} more" if len(places) > _NAMED_AT_MOST else ""
    noun, verb = ("record", "is") if len(places) == 1 else ("records", "are")
    return Finding(code, f"{noun} {names}{more} {verb} {state}", places[0])


def _common(left: Iterator[bytes], right: Iterator[bytes]) -> int:
    """How many items two sequences have in common from their start."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
