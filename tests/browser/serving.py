"""Serves the page of a world on the loopback, in the loop that the world runs in.

Separate from the worlds, which need no socket. The invariant: a server that is left has ended, and
so has whatever kept its page live.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import uvicorn

from reconciler.surfaces.page.application import Page

Cut: TypeAlias = Callable[[], Coroutine[None, None, None]]


class _Server(uvicorn.Server):
    """Without signal handlers: it runs in a thread."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def a_socket() -> tuple[socket.socket, str]:
    """One that listens, and the address that leads to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def served(page: Page, listening: socket.socket) -> AsyncIterator[Cut]:
    """Yields what cuts everybody off who is connected."""
    config = uvicorn.Config(
        page.application(),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    running = asyncio.create_task(page.run())

    async def cut() -> None:
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    try:
        yield cut
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.should_exit = True
        await serving
