"""How long work tells what it is doing.

Separate so that the library can report without knowing whether a terminal, a log or nobody
listens.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives a person's view of long work."""

    def line(self, text: str) -> None:
        """Something was begun or finished; worth keeping."""

    def update(self, text: str) -> None:
        """Where the current work stands; the next update replaces it."""


class Silent:
    """For callers who only want the result."""

    def line(self, text: str) -> None: ...

    def update(self, text: str) -> None: ...


def duration(seconds: float) -> str:
    """`4.2 s` or `2 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
