"""The daemon: the engine, its endpoints and its checkpoints, from the first record to the last.

Separate from the engine, which knows neither a process nor a port to listen on. The invariants:
the log says when a daemon started and how it ended; a stop lets the writes in flight end and
their outcomes be recorded; what was recorded is under a signed checkpoint a minute later.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from reconciler import __version__
from reconciler.core.audit.records import Reason, Verb
from reconciler.core.errors import FairleadError, Misconfigured, Transient
from reconciler.core.identifiers import CommitSha
from reconciler.engine.checkpointing import Checkpointer
from reconciler.engine.concurrency import first_of
from reconciler.engine.driving import Engine
from reconciler.engine.performing import Context
from reconciler.ports import Clock, Logged
from reconciler.surfaces.engine_status import EngineStatus

log = structlog.get_logger()

CHECKPOINT_SECONDS = 60.0
CHECKPOINT_RECORDS = 1000
"""A checkpoint is due after so much time, or so many records, whichever comes first."""


@dataclass(slots=True)
class Backlog:
    """Records that no checkpoint covers yet. Hears of them as a listener of NotifyingStore."""

    count: int = 0
    due: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, records: Sequence[Logged]) -> None:
        self.count += len(records)
        if self.count >= CHECKPOINT_RECORDS:
            self.due.set()

    def clear(self) -> None:
        self.count = 0
        self.due.clear()


@dataclass(frozen=True, slots=True)
class Daemon:
    """Runs until `stop` is set, or until something makes going on impossible."""

    engine: Engine
    status: EngineStatus
    checkpointer: Checkpointer
    backlog: Backlog
    clock: Clock
    context: Context
    stop: asyncio.Event
    beside: tuple[Callable[[], Awaitable[None]], ...] = ()
    """What runs beside the engine until the daemon stops."""

    async def run(self, endpoints: Starlette, listening: socket.socket) -> None:
        """Raises what ended the engine, if it was not `stop`."""
        result = "stopped"
        try:
            async with served(endpoints, listening):
                await self._record(Verb.START, "ok")
                address = listening.getsockname()
                log.info("daemon.started", host=address[0], port=address[1])
                await first_of(
                    self.stop.wait(),
                    self.engine.run(),
                    self.status.sample_for_ever(),
                    self._sign_for_ever(),
                    *(run() for run in self.beside),
                )
        except FairleadError as error:
            result = error.code
            raise
        except Exception:
            result = "bug"
            raise
        finally:
            await self._end(result)

    async def _end(self, result: str) -> None:
        try:
            await self._record(Verb.STOP, result)
            await self._sign()
        except FairleadError as error:
            # The error that ended the daemon, if any, says more than this one.
            log.warning("daemon.end_not_recorded", reason=error.message)
        log.info("daemon.stopped", result=result)

    async def _record(self, verb: Verb, result: str) -> None:
        commit = self.engine.books.position.accepted or CommitSha("")
        record = self.context.decision(
            self.clock.now(),
            commit,
            verb,
            reason=Reason.OPERATION,
            result=result,
            detail={"version": __version__},
        )
        await self.engine.books.write([record])

    async def _sign_for_ever(self) -> None:
        while True:
            await first_of(self.clock.sleep(CHECKPOINT_SECONDS), self.backlog.due.wait())
            try:
                await self._sign()
            except Transient as error:
                log.warning("checkpoint.failed", reason=error.message)
                self.backlog.due.clear()

    async def _sign(self) -> None:
        if self.backlog.count == 0:
            return
        covered = self.backlog.count
        checkpoint = await self.checkpointer.publish()
        if self.backlog.count == covered:
            self.backlog.clear()
        log.debug("checkpoint.signed", size=checkpoint.size)


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Misconfigured when the address cannot be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise Misconfigured(
            f"cannot listen at {host}:{port}: {error.strerror}",
            hint="set `listen` to an address of this machine that nobody else uses",
        ) from error


class _Server(uvicorn.Server):
    """Without signal handlers of its own: the daemon has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(endpoints: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        endpoints,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="http endpoints")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
