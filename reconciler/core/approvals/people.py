"""People: which names and keys belong to one person, as the file of allowed signers tells it.

Separate from checking signatures, which is about one key. The invariants: whoever shares a name or
a key with another line is the same person, so that a second key is no second person; and a key that
is listed under patterns alone is nobody's, since the one who holds it may sign under any name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Person: TypeAlias = "tuple[str, ...]"
"""All the names of one person, as first written in the file; empty where nobody is known."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of the file: the names, without patterns, and the key."""

    names: tuple[str, ...]
    key: bytes


class People:
    """Everybody whom the file names. Capital and small letters are alike, as on forges."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._of: dict[str | bytes, dict[str, str]] = {}
        for listing in listings:
            self._join(listing)

    def _join(self, listing: Listing) -> None:
        """Everything that this line says is one person, with all that was known of the parts."""
        marks: list[str | bytes] = [listing.key, *(name.casefold() for name in listing.names)]
        names: dict[str, str] = {}
        for mark in marks:
            names |= self._of.get(mark, {})
        names |= {name.casefold(): name for name in listing.names if name.casefold() not in names}
        same = {id(self._of[mark]) for mark in marks if mark in self._of}
        marks += [mark for mark, known in self._of.items() if id(known) in same]
        for mark in marks:
            self._of[mark] = names

    def by_key(self, key: bytes) -> Person:
        return tuple(self._of.get(key, {}).values())

    def by_name(self, name: str) -> Person:
        return tuple(self._of.get(name.casefold(), {}).values())


def same(one: Person, other: Person) -> bool:
    """Whether two are one. Nobody is nobody's equal."""
    return not {name.casefold() for name in one}.isdisjoint(name.casefold() for name in other)
