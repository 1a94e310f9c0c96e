"""The users of the demo: requests to a model in every cluster, counted as they are answered.

Separate from the story, which only reads the counts. The invariant: the counts are the users' own;
nothing of the product is asked for them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from reconciler.demo.narration import StepFailed
from reconciler.sandbox.traffic import Counts, Record

REACH_SECONDS = 30.0


class Sender(Protocol):
    """Sends requests to one gateway while it is entered."""

    @property
    def record(self) -> Record: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(self, *error: object) -> None: ...


class Users:
    """Send requests from a thread of their own, while they are entered."""

    def __init__(
        self, gateways: Mapping[str, str], send: Callable[[str], Sender], *, host: str, path: str
    ) -> None:
        """`gateways` are URLs by cluster. They are used once `path` at `host` answers there."""
        self._host = host
        self._path = path
        self._gateways = gateways
        self._traffic = {cluster: send(address) for cluster, address in gateways.items()}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._begun = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="users", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        if self._trouble:
            self._thread.join()
            raise StepFailed(self._trouble)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def counts(self, *, since: float = 0.0) -> Counts:
        """What became of the requests in all clusters since a time (seconds since the epoch)."""
        found = [traffic.record.counts(start=since) for traffic in self._traffic.values()]
        total = found[0]
        for more in found[1:]:
            total = total.plus(more)
        return total

    def wait_for(self, count: int) -> None:
        """Until so many requests more were answered in every cluster."""
        wanted = {name: len(t.record) + count for name, t in self._traffic.items()}
        while any(len(self._traffic[name].record) < enough for name, enough in wanted.items()):
            time.sleep(0.01)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._send())

    async def _send(self) -> None:
        try:
            await asyncio.gather(*map(self._reached, self._gateways.values()))
            async with AsyncExitStack() as running:
                for traffic in self._traffic.values():
                    await running.enter_async_context(traffic)
                self._begun.set()
                await self._stop.wait()
        except TimeoutError:
            self._trouble = f"no gateway answered for {self._host} within {REACH_SECONDS:.0f} s"
        finally:
            self._begun.set()

    async def _reached(self, address: str) -> None:
        """A proxy opens its port with the first route: wait until a request comes through."""
        headers = {"Host": self._host}
        async with aiohttp.ClientSession() as session, asyncio.timeout(REACH_SECONDS):
            while True:
                try:
                    async with session.get(f"{address}{self._path}", headers=headers) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass  # not open yet
                await asyncio.sleep(0.05)
