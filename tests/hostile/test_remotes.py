"""Servers that hang, lie or send garbage."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from reconciler.adapters.git_remotes import GitSource
from tests.git.builders import answering, serving

from .estate import Origin, besieged


@contextmanager
def silent() -> Iterator[str]:
    """Accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


class Garbage(BaseHTTPRequestHandler):
    """Announces a head, and answers every request for objects with noise."""

    def do_GET(self) -> None:
        line = b"f" * 40 + b" HEAD\0side-band-64k ofs-delta\n"
        ref = b"f" * 40 + b" refs/heads/main\n"
        service = b"# service=git-upload-pack\n"
        body = b"".join([packet(service), b"0000", packet(line), packet(ref), b"0000"])
        self.answer(body, "application/x-git-upload-pack-advertisement")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pack = b"PACK\0\0\0\2\0\0\0\1" + bytes(range(256)) * 4
        body = packet(b"NAK\n") + packet(b"\1" + pack) + b"0000"
        self.answer(body, "application/x-git-upload-pack-result")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Shouting(BaseHTTPRequestHandler):
    """Answers with an error that would redraw the terminal."""

    def do_GET(self) -> None:
        self.send_response(500, "\x1b[2J\x1b[31mowned")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def packet(content: bytes) -> bytes:
    return b"%04x" % (len(content) + 4) + content


@pytest.mark.parametrize("kind", ["silent", "garbage", "shouting"])
async def test_a_server_that_turns_bad_changes_nothing(tmp_path: Path, kind: str) -> None:
    origin = Origin(tmp_path / "served" / "config.git")
    servers = {
        "silent": silent(),
        "garbage": answering(Garbage),
        "shouting": answering(Shouting),
    }
    with serving(origin.directory.parent) as server, servers[kind] as bad:
        source = GitSource(url=f"{server.url}/config.git", silence_seconds=0.3, fetch_seconds=2)
        async with besieged(tmp_path, origin=origin, source=source) as siege:
            remote = siege.mirror._remote
            remote.source = GitSource(url=f"{bad}/config.git", silence_seconds=0.3, fetch_seconds=2)
            siege.engine.branch.hint()
            await siege.until(lambda: bool(siege.engine.branch.trouble))
            await siege.keeps_in_place()
            remote.source = source
            await siege.goes_on()
