"""Sheets: a page before it is drawn, and what was asked for to get it.

Separate so that the same function makes a page and what is sent when it changes. The invariant: a
sheet depends on the ask and on what is so now, and on nothing of the request besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.core.sight import Sight


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
