"""Problems: what is wrong with the input, as values.

Separate from errors because bad input is an ordinary result: it is collected, all of it, and
shown to the person who can mend it. The invariant: a Problem says what is wrong, where, and what
to do, and its text is safe to print on a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.identifiers import DocumentPath

# Cc and Cf hold the C0/C1 controls and the bidirectional and zero-width marks ("Trojan Source",
# CVE-2021-42574); Zl and Zp are line separators some terminals obey; Cs cannot be encoded.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Severity(StrEnum):
    """An error refuses the commit; a warning is shown and refuses nothing."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file. Lines and columns count from 1, columns in code points."""

    line: int
    column: int
    end_line: int = 0
    end_column: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the input.

    `code` is stable and documented; `message` says what and where in words; `hint` says what to
    do, in the imperative. `path` and `span` are absent only where there is no file to point at.
    """

    path: DocumentPath
    span: Span | None
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    @property
    def location(self) -> str:
        """`file:line:column`, the form that editors and terminals turn into a link."""
        where = printable(self.path)
        return f"{where}:{self.span.line}:{self.span.column}" if self.span else where


def printable(text: str, *, limit: int = 300) -> str:
    """`text` with every character that could move a cursor, hide or reorder text written out."""
    shown = "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text[: limit + 1]
    )
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def errors_among(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems that refuse a commit, in order of place."""
    return in_order(problem for problem in problems if problem.severity is Severity.ERROR)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems sorted by file, line, column and code, each once."""
    nowhere = Span(0, 0)
    return tuple(
        sorted(
            set(problems),
            key=lambda p: (p.path, p.span or nowhere, p.code, p.message),
        )
    )
