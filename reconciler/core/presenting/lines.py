"""Lines of text whose parts have a tone, and no colour.

Separate so that wording is decided once and a surface only chooses how a tone looks. The
invariant: every piece is safe to print, whoever wrote what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from reconciler.core.problems import printable


class Tone(StrEnum):
    """What a piece of text is, for whoever gives it a colour. Text says it without one, too."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Piece:
    """Text in one tone. Made by `piece`."""

    text: str
    tone: Tone = Tone.PLAIN


Line: TypeAlias = tuple[Piece, ...]


def piece(text: str, tone: Tone = Tone.PLAIN, *, limit: int = 2000) -> Piece:
    return Piece(printable(text, limit=limit), tone)


def line(*parts: Piece | str, indent: int = 0) -> Line:
    """A line of pieces and plain texts."""
    margin = (Piece("  " * indent),) if indent else ()
    return (*margin, *(part if isinstance(part, Piece) else piece(part) for part in parts))


def plain_text(lines: Iterable[Line]) -> str:
    """The lines without tones, each ended."""
    return "".join("".join(part.text for part in found).rstrip() + "\n" for found in lines)


def plural(count: int, word: str, many: str = "") -> str:
    return f"{count:,} {word if count == 1 else many or f'{word}s'}"


def all_of(names: Iterable[str], *, last: str = "and", most: int = 0) -> str:
    """`a, b and c`; with `most`, the first of them and how many more there are."""
    found = list(names)
    if most and len(found) > most + 1:
        return f"{', '.join(found[:most])} and {len(found) - most:,} more"
    return f" {last} ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))
