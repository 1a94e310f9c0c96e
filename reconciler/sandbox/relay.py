"""Carries connections from the host into the network namespace of a sandbox.

It is separate, and a script of the standard library alone, because it runs inside while those who
connect are outside: a socket belongs to the namespace that it was made in, so that one that was
made on the host and inherited accepts there. Invariant: bytes arrive whole and in order; each
side hears of the other's end of stream, and of a reset, as if it were connected to it.

A slow reader slows its writer down, so that no more than a buffer of a connection is held.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from functools import partial

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End(asyncio.Protocol):
    """One of the two ends of a relayed connection."""

    def __init__(self, other: _End | None = None) -> None:
        self.transport: asyncio.Transport
        self.other = other
        self.has_ended = False
        """Whether it will send no more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.has_ended = True
        if self.other is not None:
            if self.other.has_ended:
                self.other.transport.close()
                return False
            self.other.transport.write_eof()
        return True  # what the other still sends is wanted

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is None:
            return
        if error is not None:
            self.other.reset()
        else:
            self.other.transport.close()

    def reset(self) -> None:
        connection = self.transport.get_extra_info("socket")
        if not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


class _Accepted(_End):
    """The end on the host's side, which connects the end inside."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._early: list[bytes] = []
        """What came before the end inside was connected."""
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        # Here and not when the connection is made, where Python 3.11.2 starts to read in spite.
        self.transport.pause_reading()
        self._early.append(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        inside = _End(self)
        try:
            await loop.create_connection(lambda: inside, "127.0.0.1", self._port)
        except OSError:  # nobody listens there, so that nobody seems to listen here
            self.reset()
            return
        if self.transport.is_closing():
            inside.transport.abort()
            return
        inside.transport.writelines(self._early)
        if self.has_ended:
            inside.transport.write_eof()
        self.other = inside
        self.transport.resume_reading()


async def relay(listening: dict[int, int]) -> None:
    """Serves until it is killed. `listening` has ports inside by inherited descriptors."""
    loop = asyncio.get_running_loop()
    for descriptor, port in listening.items():
        await loop.create_server(
            partial(_Accepted, port), sock=socket.socket(fileno=descriptor), backlog=1024
        )
    await loop.create_future()


def main() -> None:
    """Arguments: DESCRIPTOR=PORT for each listening socket."""
    pairs = (argument.split("=") for argument in sys.argv[1:])
    asyncio.run(relay({int(descriptor): int(port) for descriptor, port in pairs}))


if __name__ == "__main__":
    main()
