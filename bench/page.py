"""The status page at the size of an estate: first bytes, weights, and how far behind viewers are.

Separate from the estates, whose daemon it looks at. Everything is asked over real sockets, as a
browser would: compressed, and with as many streams open at once as the design has viewers.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.process import cpu_seconds, peak_mebibytes, percentile
from reconciler.demo.daemon_process import DaemonProcess

VIEWERS = 500
REQUESTS = 30
PATHS = ("/", "/clusters/bench", "/commits", "/models", "/audit", "/search?q=object-0001")
POLL_SECONDS = 0.005

Commit = Callable[[int], Awaitable[str]]
"""Makes a commit, tells the daemon of it, and returns its SHA."""


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Seconds, kB, shares of one core and MiB. `lag` is from true in the daemon to read."""

    first_byte: float
    slowest: str
    heaviest: float
    lag: tuple[float, float]
    viewers: int
    cpu: float
    peak: float


class PageBench:
    """Looks at the page of one daemon."""

    def __init__(self, daemon: DaemonProcess, commit: Commit) -> None:
        self._daemon = daemon
        self._commit = commit
        self._host, _, port = daemon.address.rpartition(":")
        self._port = int(port)

    async def measure(self, *, rounds: int) -> PageFigures:
        seconds: dict[str, list[float]] = {path: [] for path in PATHS}
        weights: dict[str, float] = {}
        for path in PATHS * REQUESTS:
            first, size = await self._load(path)
            seconds[path].append(first)
            weights[path] = size / 1000
        assets = await self._assets()
        slowest = max(PATHS, key=lambda path: percentile(seconds[path], 0.95))
        lags, cpu = await self._look_on(rounds)
        return PageFigures(
            first_byte=percentile(seconds[slowest], 0.95),
            slowest=slowest,
            heaviest=max(weights.values()) + assets,
            lag=(percentile(lags, 0.5), percentile(lags, 0.95)),
            viewers=VIEWERS,
            cpu=cpu,
            peak=peak_mebibytes(self._daemon.pid),
        )

    async def _load(self, path: str) -> tuple[float, int]:
        """Seconds to the first byte, and bytes in all, of one compressed answer."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        began = time.perf_counter()
        writer.write(self._request(path, "Accept-Encoding: gzip\r\nConnection: close\r\n"))
        start = await reader.read(1)
        first = time.perf_counter() - began
        rest = await reader.read()
        writer.close()
        assert (start + rest).startswith(b"HTTP/1.1 200"), path
        return first, 1 + len(rest)

    async def _assets(self) -> float:
        """kB of the style sheet and the script, once for each browser."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(self._request("/", "Connection: close\r\n"))
        html = (await reader.read()).decode()
        writer.close()
        paths = set(re.findall(r'"(/static/[^"]+\.(?:css|js))"', html))
        return sum([(await self._load(path))[1] for path in paths]) / 1000

    async def _look_on(self, rounds: int) -> tuple[list[float], float]:
        """Lags of every viewer at every change, and the part of a core that they cost."""
        async with AsyncExitStack() as opened:
            viewers = [await opened.enter_async_context(self._viewer()) for _ in range(VIEWERS)]
            cpu, began = cpu_seconds(self._daemon.pid), time.perf_counter()
            lags: list[float] = []
            for number in range(rounds):
                head = await self._commit(number)
                # As the overview says it, once everything is as this commit declares.
                marks = (head[:10].encode(), b"Everything is as declared")
                reading = [asyncio.create_task(viewer.until(marks)) for viewer in viewers]
                true_at = await self._until_applied(head)
                moments = await asyncio.wait_for(asyncio.gather(*reading), 60)
                lags += [max(0.0, moment - true_at) for moment in moments]
            spent = cpu_seconds(self._daemon.pid) - cpu
            return lags, spent / (time.perf_counter() - began)

    async def _until_applied(self, head: str) -> float:
        while True:
            status = await asyncio.to_thread(self._daemon.status)
            if status and status["asDeclared"] and status["accepted"] == head:
                return time.perf_counter()
            await asyncio.sleep(POLL_SECONDS)

    @asynccontextmanager
    async def _viewer(self) -> AsyncIterator[_Viewer]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(self._request("/live?page=/", "Accept: text/event-stream\r\n"))
        try:
            yield _Viewer(reader)
        finally:
            writer.close()

    def _request(self, path: str, headers: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n".encode()


class _Viewer:
    """One open stream."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def until(self, marks: tuple[bytes, ...]) -> float:
        """When an event came that has all the marks."""
        event = b""
        while True:
            piece = await self._reader.read(65536)
            assert piece, "the stream has ended"
            event += piece
            if all(mark in event for mark in marks):
                return time.perf_counter()
            event = event[event.rfind(b"\n\n") + 2 :]


PAGE_ROWS: Sequence[tuple[str, str]] = (
    ("page: first byte of the slowest page, p95", "≤ 100 ms"),
    ("page: heaviest with style and script, compressed", "≤ 60 kB"),
    (f"page: true → read by each of {VIEWERS} viewers, p50 / p95", "p95 ≤ 1 s"),
    ("page: CPU of the daemon meanwhile, commits included", "≤ 1 core"),
    ("page: peak memory with all of them, MiB", ""),
)


def page_cells(found: PageFigures) -> Sequence[str]:
    """What was measured, for the rows."""
    return (
        f"{found.first_byte * 1000:.0f} ms ({found.slowest})",
        f"{found.heaviest:.0f} kB",
        f"{found.lag[0]:.2f} / {found.lag[1]:.2f} s",
        f"{found.cpu:.2f} cores",
        f"{found.peak:.0f}",
    )
