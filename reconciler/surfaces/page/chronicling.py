"""Chronicling: the past of the log is read into the chronicle, and what is written from now on.

Separate from the chronicle, which is pure, and from the pages, which are served meanwhile. The
invariant: records are read in order and each once, whoever wrote them; reading the past is bounded,
and leaves the processor to the engine between its parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import structlog

from reconciler.core.chronicle import Chronicle
from reconciler.core.errors import FairleadError
from reconciler.engine.concurrency import first_of
from reconciler.ports import AuditLog, Clock, Logged
from reconciler.surfaces.audit_reading import logged_of

log = structlog.get_logger()

MOST_READ = 50_000
"""Records of the past that are read at the start; older ones are in the audit log alone."""
CHUNK = 200
PAUSE_SECONDS = 0.005
LOOK_SECONDS = 30.0
"""How often is looked for records that another daemon has written to the same log."""

OpenLog: TypeAlias = Callable[[], AbstractAsyncContextManager[AuditLog]]


class Chronicler:
    """Hears of what is appended, as a listener of NotifyingStore, and reads what it missed."""

    def __init__(self) -> None:
        self.chronicle = Chronicle()
        self._behind = asyncio.Event()

    def __call__(self, records: Sequence[Logged]) -> None:
        """Called by whoever writes the log, whom nothing that goes wrong here may concern."""
        try:
            self._hear(records)
        except Exception:
            log.exception("page.bug")
            self._behind.set()

    def _hear(self, records: Sequence[Logged]) -> None:
        for logged in records:
            if logged.index == self.chronicle.size:
                self.chronicle.read(logged.index, logged.record)
            elif logged.index > self.chronicle.size:
                self._behind.set()

    async def run(self, audit: AuditLog, clock: Clock) -> None:
        while True:
            self._behind.clear()
            try:
                await self._catch_up(audit, clock)
            except FairleadError as error:
                log.warning("page.past_not_read", reason=error.message)
            except Exception:
                log.exception("page.bug")
            await first_of(self._behind.wait(), clock.sleep(LOOK_SECONDS))

    async def follow(self, opening: OpenLog, clock: Clock) -> None:
        """Read a log that another process writes, as soon as there is one."""
        told = ""
        while True:
            try:
                async with opening() as audit:
                    await self.run(audit, clock)
            except FairleadError as error:
                if error.message != told:
                    log.warning("page.log_not_read", reason=error.message)
                told = error.message
            await clock.sleep(LOOK_SECONDS)

    async def _catch_up(self, audit: AuditLog, clock: Clock) -> None:
        while (size := (await audit.head()).size) > self.chronicle.size:
            start = max(self.chronicle.size, size - MOST_READ)
            leaves = await audit.leaves(start, min(CHUNK, size - start))
            for index, leaf in enumerate(leaves, start):
                self.chronicle.read(index, logged_of(index, leaf).record)
            await clock.sleep(PAUSE_SECONDS)
