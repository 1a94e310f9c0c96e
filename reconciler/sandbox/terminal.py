"""Progress on a terminal, or in a log.

Separate from the commands, because whoever builds or starts control planes for people shows it
the same way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from reconciler.sandbox.progress import Progress

QUIET_SECONDS = 15.0
"""Between updates in a log, where each stays as a line."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A live line on a terminal, an occasional one in a log."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _LogProgress(console)
        return
    with console.status("") as live:
        yield _LiveProgress(console, live)


class _LogProgress:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
        self._last = time.monotonic()

    def update(self, text: str) -> None:
        if time.monotonic() - self._last >= QUIET_SECONDS:
            self.line(text)


class _LiveProgress:
    def __init__(self, console: Console, live: Status) -> None:
        self._console = console
        self._live = live

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def update(self, text: str) -> None:
        self._live.update(text)
