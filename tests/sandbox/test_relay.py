"""The relay between host and namespace. It relays within one network here: it can't tell."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from reconciler.sandbox.data_plane import relay_command

MEGABYTE = 2**20
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Relayed:
    """A server that the test writes, behind a relay."""

    def __init__(self) -> None:
        self.serve: Serve = echo
        self.port = 0
        self.behind = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.serve(reader, writer)
        finally:
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while received := await reader.read(65536):
        writer.write(received)
        await writer.drain()


async def answer_at_end_of_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(hashlib.sha256(await reader.read()).digest())
    await writer.drain()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.fixture
async def relayed() -> AsyncIterator[Relayed]:
    made = Relayed()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.behind = server.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        made.port = listening.getsockname()[1]
        relay = await asyncio.create_subprocess_exec(
            *relay_command({listening.fileno(): made.behind}), pass_fds=[listening.fileno()]
        )
        try:
            yield made
        finally:
            relay.kill()
            await relay.wait()
            server.close()


async def test_bytes_arrive_whole_and_in_order(relayed: Relayed) -> None:
    sent = os.urandom(16 * MEGABYTE)
    reader, writer = await relayed.connect()

    async def send() -> None:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    assert await reader.read() == sent
    await sending
    writer.close()


async def test_a_client_that_has_sent_all_still_gets_its_answer(relayed: Relayed) -> None:
    relayed.serve = answer_at_end_of_stream
    reader, writer = await relayed.connect()
    writer.write(b"all of it")
    writer.write_eof()
    assert await reader.read() == hashlib.sha256(b"all of it").digest()
    writer.close()


async def test_a_client_that_says_all_at_once_and_leaves_no_pause_is_heard(
    relayed: Relayed,
) -> None:
    """Its words and their end are there before the relay has connected to anybody."""
    relayed.serve = answer_at_end_of_stream

    def ask(number: int) -> bytes:
        with socket.create_connection(("127.0.0.1", relayed.port), timeout=10) as client:
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
            return client.recv(1024)

    for number in range(50):
        answer = await asyncio.to_thread(ask, number)
        assert answer == hashlib.sha256(b"%d" % number).digest()


async def test_a_server_that_speaks_first_is_heard(relayed: Relayed) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await writer.drain()

    relayed.serve = greet
    for _ in range(50):
        reader, writer = await relayed.connect()
        assert await reader.read() == b"welcome"
        writer.close()


async def test_a_reset_is_passed_on(relayed: Relayed) -> None:
    relayed.serve = reset
    reader, writer = await relayed.connect()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


async def test_where_nobody_listens_inside_the_connection_is_reset() -> None:
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as listening:
        unused.bind(("127.0.0.1", 0))
        ports = {listening.fileno(): unused.getsockname()[1]}
        relay = await asyncio.create_subprocess_exec(
            *relay_command(ports), pass_fds=[listening.fileno()]
        )
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        relay.kill()
        await relay.wait()


async def test_hundreds_of_connections_at_once_do_not_mix(relayed: Relayed) -> None:
    async def talk(number: int) -> int:
        reader, writer = await relayed.connect()
        for round_ in range(20):
            said = f"{number}:{round_}".encode() * (1 + number * 7)
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
        writer.close()
        return number

    answered = await asyncio.gather(*map(talk, range(300)))
    assert answered == list(range(300))


async def test_a_reader_that_does_not_read_holds_its_writer_up(relayed: Relayed) -> None:
    """Else the relay would keep in memory what a slow client was sent."""
    resume = asyncio.Event()
    written = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        for _number in range(256):
            writer.write(bytes(MEGABYTE))
            await writer.drain()
            written += MEGABYTE
        resume.set()

    relayed.serve = pour
    reader, writer = await relayed.connect()
    await reader.readexactly(1)
    await held_up(lambda: written)
    assert written < 64 * MEGABYTE
    assert len(await reader.read()) == 256 * MEGABYTE - 1
    assert resume.is_set()
    writer.close()


async def held_up(progress: Callable[[], int]) -> None:
    """Returns when it has not moved for a while."""
    last, still = -1, 0
    while still < 20:
        await asyncio.sleep(0.02)
        still = still + 1 if progress() == last else 0
        last = progress()


def test_it_needs_nothing_that_is_installed() -> None:
    assert relay_command({})[:3] == [sys.executable, "-I", "-S"]
