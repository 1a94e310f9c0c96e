"""Sheets: a page before it is drawn, and what was asked for to get it.

Separate so that the same function makes a page and what is sent when it changes. The invariant: a
sheet depends on the ask and on what is so now, and on nothing of the request besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar
from urllib.parse import urlencode

from reconciler.core.sight import Sight

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to see: the parts of the path, the query, and what they may see."""

    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    sight: Sight

    def number(self, name: str, default: int = 0) -> int:
        """A number of the query; `default` for anything that is none."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else default


@dataclass(frozen=True, slots=True)
class Sheet:
    """A template with its facts. `section` is the part of the page that it belongs to."""

    template: str
    title: str
    section: str
    facts: Mapping[str, object] = field(default_factory=dict)
    status: int = 200


Make: TypeAlias = Callable[[Ask], Awaitable[Sheet]]


@dataclass(frozen=True, slots=True)
class Paged(Generic[_Row]):
    """One page of a list."""

    rows: Sequence[_Row]
    total: int
    page: int
    pages: int
    query: str

    @property
    def facts(self) -> dict[str, object]:
        """As the templates name them. `kept` is the query that other pages of the list have."""
        return {
            "rows": self.rows,
            "total": self.total,
            "page": self.page,
            "pages": self.pages,
            "kept": self.query,
        }


def paged(rows: Sequence[_Row], ask: Ask, size: int) -> Paged[_Row]:
    """The page that the query asks for, of `size` rows."""
    page = max(1, ask.number("page", 1))
    shown = rows[(page - 1) * size : page * size]
    kept = urlencode({name: text for name, text in ask.query.items() if text and name != "page"})
    return Paged(shown, len(rows), page, -(-len(rows) // size), f"{kept}&" if kept else "")
