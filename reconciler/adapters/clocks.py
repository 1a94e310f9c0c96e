"""Clocks: the system's, and a virtual one for tests and simulation.

Separate because nothing else may read the time. The invariant: `monotonic` never goes back, and
`sleep` takes as long on `monotonic` as it says.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """The time of the running event loop, counted from a chosen moment.

    On a loop with virtual time (looptime) hours pass at once and in the right order, timeouts
    of asyncio included; on an ordinary loop it runs as fast as any clock.
    """

    def __init__(self, start: datetime = datetime(2027, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._origin: float | None = None

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since this clock was first asked."""
        at = asyncio.get_running_loop().time()
        if self._origin is None:
            self._origin = at
        return at - self._origin

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
