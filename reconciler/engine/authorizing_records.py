"""The log of decisions on the request path, written many at a time.

Separate from the decisions, so that one transaction serves all that wait. The invariants: a denial
is durable before it is answered, so that nobody can try a door without leaving a mark; a grant is
durable within a second, and none is given while the log cannot be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from reconciler.core.audit.records import AuditRecord
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.engine.concurrency import first_of
from reconciler.ports import Clock, StateStore

GRANTS_WAIT_SECONDS = 0.5
RETRY_SECONDS = 0.5
MOST_WAITING = 10_000
LARGEST_BATCH = 500

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    record: AuditRecord
    done: asyncio.Future[None] | None = None


@dataclass(slots=True)
class DecisionLog:
    """`share` of the grants is written, chosen by `chance`, a number from 0 up to 1."""

    store: StateStore
    clock: Clock
    share: float
    chance: Callable[[], float]
    _queue: list[_Waiting] = field(default_factory=list)
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _any: asyncio.Event = field(default_factory=asyncio.Event)
    _failing: bool = False

    def require_room(self) -> None:
        """Raises Unavailable while a grant could not be recorded."""
        if self._failing or len(self._queue) >= MOST_WAITING:
            raise Unavailable("the audit log cannot be written")

    def granted(self, record: AuditRecord) -> None:
        if self.chance() < self.share:
            self._put(_Waiting(record))

    async def denied(self, record: AuditRecord) -> None:
        """Returns when it is durable. Raises what kept it from that."""
        if len(self._queue) >= MOST_WAITING:
            raise Unavailable("the audit log cannot be written")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(record, done))
        self._urgent.set()
        await done

    async def run(self) -> None:
        while True:
            await self._any.wait()
            await first_of(self.clock.sleep(GRANTS_WAIT_SECONDS), self._urgent.wait())
            await self._write()

    async def close(self) -> None:
        """Write what waits, once more."""
        while self._queue and not await self._write():
            if self._failing:
                return

    def _put(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._any.set()

    async def _write(self) -> bool:
        """Whether nothing is left."""
        batch, self._queue = self._queue[:LARGEST_BATCH], self._queue[LARGEST_BATCH:]
        try:
            await self.store.append([waiting.record for waiting in batch])
        except FairleadError as error:
            self._failing = True
            log.warning("authorizer.not_recorded", code=error.code, reason=error.message)
            self._give_up(batch, error)
            await self.clock.sleep(RETRY_SECONDS)
        else:
            self._failing = False
            for waiting in batch:
                if waiting.done is not None and not waiting.done.done():
                    waiting.done.set_result(None)
        self._urgent.clear()
        if not self._queue:
            self._any.clear()
            return True
        if any(waiting.done is not None for waiting in self._queue):
            self._urgent.set()
        return False

    def _give_up(self, batch: list[_Waiting], error: FairleadError) -> None:
        """Who waits is told; the records stay, to be written when that can be done again."""
        for waiting in batch:
            if waiting.done is not None and not waiting.done.done():
                waiting.done.set_exception(error)
        self._queue = [_Waiting(waiting.record) for waiting in batch] + self._queue
