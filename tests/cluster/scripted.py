"""A real HTTPS server that answers what a test tells it, and a clock that does not wait."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme
import yaml
from aiohttp import web

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_watching import Reflector
from reconciler.core.identifiers import GroupVersionKind
from reconciler.ports import ApiResource

TOKEN = "a-very-secret-token"

CONFIG_MAPS = ApiResource(
    GroupVersionKind("", "v1", "ConfigMap"), "configmaps", True, frozenset({"list", "watch"})
)


@dataclass(frozen=True)
class Answer:
    """`pieces` are sent one by one; then the connection ends cleanly, breaks, or stays open."""

    status: int = 200
    pieces: Sequence[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    then: str = "end"


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class ScriptedServer:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.authority = trustme.CA()
        self._answers: deque[Answer] = deque()

    def will_answer(self, *answers: Answer) -> None:
        self._answers.extend(answers)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                await request.read(),
            )
        )
        # A script that has run out keeps the connection open, as an idle watch does.
        answer = self._answers.popleft() if self._answers else Answer(then="hold")
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        for piece in answer.pieces:
            await response.write(piece)
        if answer.then == "hold":
            await asyncio.Event().wait()
        if answer.then == "break":
            assert request.transport is not None
            request.transport.abort()
        return response

    def kubeconfig(self, folder: Path, **user: Any) -> Path:
        authority = base64.b64encode(self.authority.cert_pem.bytes()).decode()
        return write_kubeconfig(
            folder,
            {"server": self.url, "certificate-authority-data": authority},
            user or {"token": TOKEN},
        )


def write_kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.authority.issue_cert("127.0.0.1").configure_cert(tls)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", server.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


class LeapingClock:
    """Sleeping takes no time but moves the clock; `slept` remembers how far."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._at = 1000.0

    def now(self) -> datetime:
        return datetime(2027, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self._at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._at += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def reflector_on(
    server: ScriptedServer, folder: Path, clock: LeapingClock
) -> AsyncIterator[Reflector]:
    connection = ApiConnection(Kubeconfig(server.kubeconfig(folder)), clock)
    try:
        yield Reflector(connection, CONFIG_MAPS, selector="app=x", clock=clock, jitter=lambda: 0.5)
    finally:
        await connection.close()


def page(*names: str, version: str, more: str = "") -> Answer:
    metadata = {"resourceVersion": version} | ({"continue": more} if more else {})
    items = [{"metadata": {"name": name, "resourceVersion": version}} for name in names]
    return Answer(pieces=[json.dumps({"metadata": metadata, "items": items}).encode()])


def change(type_: str, name: str, version: str, **fields: Any) -> bytes:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "resourceVersion": version},
        **fields,
    }
    return json.dumps({"type": type_, "object": body}).encode() + b"\n"


def status(code: int, reason: str = "", message: str = "", **details: Any) -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        }
    ).encode()


def failure(code: int, *, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    return Answer(status=code, pieces=[status(code, **fields)], headers=headers or {})


def stream(*pieces: bytes, then: str = "hold") -> Answer:
    return Answer(pieces=pieces, then=then)


Predicate = Callable[[Any], bool]
