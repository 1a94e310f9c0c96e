"""A stand-in for GitHub's API: a real HTTP server that holds every request to the description.

Separate from state and answers, which know no HTTP. The invariants: a request that GitHub's
description does not allow is noted as a complaint, and so is an answer of ours; who may not ask
gets GitHub's refusals. Faults are chosen by the test, and happen as often as it says.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from .accounts import Accounts, Refused
from .answers import Answers
from .description import Description, Operation
from .people import People
from .routes import Routes

Json: TypeAlias = Any

PREFIX = "/api/v3"
"""As GitHub Enterprise has it, so that no address can be made without it."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Json
    headers: dict[str, str]


@dataclass
class Fault:
    """What happens instead of an answer to requests whose "METHOD path" contains `where`."""

    where: str
    status: int
    body: Json = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    until: threading.Event | None = None
    """Nothing is answered before; for what is slow."""


class StandIn:
    """One repository of one server. What people do is in `people`."""

    def __init__(self, description: Description, repository: str = "example/ml-platform") -> None:
        self.repository = repository
        self.people = People()
        self.accounts = Accounts()
        self.asked: list[Asked] = []
        self.complaints: list[str] = []
        self.faults: list[Fault] = []
        self.remaining = 5000
        self.resets_in = 1800
        self.tags = True
        self._description = description
        self._answers = Answers(description, self.people, repository)
        self._routes = Routes(self.people, self._answers, self.accounts, repository)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self._answers.url

    def fail(self, where: str, status: int, **more: Any) -> Fault:
        fault = Fault(where, status, **more)
        self.faults.append(fault)
        return fault

    def count(self, method: str, part: str = "") -> int:
        """How many such requests came, whatever became of them."""
        return sum(one.method == method and part in one.path for one in self.asked)

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.answer))
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self._answers.url = f"{scheme}://127.0.0.1:{server.server_address[1]}{PREFIX}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for fault in self.faults:
                if fault.until is not None:
                    fault.until.set()
            server.shutdown()
            server.server_close()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix(PREFIX)
        with self._lock:
            asked = Asked(method, path, query, json.loads(body) if body else None, headers)
            self.asked.append(asked)
            fault = self._fault(f"{method} {path}")
        if fault is not None:
            if fault.until is not None:
                fault.until.wait(30)
            said = fault.body if fault.body is not None else {"message": "Server Error"}
            return fault.status, {**self._limits(), **fault.headers}, json.dumps(said).encode()
        with self._lock:
            return self._regular(asked, body, parts.path.startswith(PREFIX))

    def _regular(
        self, asked: Asked, body: bytes, prefixed: bool
    ) -> tuple[int, dict[str, str], bytes]:
        operation = self._description.operation(asked.method, asked.path) if prefixed else None
        if operation is None:
            self.complaints.append(f"nobody describes {asked.method} {asked.path}")
            return 404, {}, b'{"message": "Not Found"}'
        self.complaints += self._description.wrong_in_request(operation, asked.query, body)
        self.complaints += _wrong_in_headers(asked)
        status, content = self._answered(operation, asked)
        raw = json.dumps(content).encode()
        more = self._more_pages(asked, content) if asked.method == "GET" else {}
        if isinstance(content, list):
            raw = json.dumps(_page(asked, content)).encode()
        self.complaints += self._description.wrong_in_answer(operation, status, raw)
        tag = f'W/"{hashlib.sha256(raw).hexdigest()}"'
        if status == 200 and self.tags:
            more["ETag"] = tag
            if asked.headers.get("if-none-match") == tag:
                return 304, {**more, **self._limits()}, b""
        self.remaining = max(0, self.remaining - 1)
        return status, {**more, **self._limits()}, raw

    def _answered(self, operation: Operation, asked: Asked) -> tuple[int, Json]:
        if self.remaining == 0:
            return 403, {"message": "API rate limit exceeded for installation ID 8."}
        try:
            self.accounts.admit(operation, asked.headers, self.repository)
            return self._routes.answer(operation, asked.query, asked.body)
        except Refused as refused:
            return refused.status, refused.content

    def _fault(self, what: str) -> Fault | None:
        for fault in self.faults:
            if fault.where in what and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _limits(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(int(time.time()) + self.resets_in),
            "x-ratelimit-resource": "core",
        }

    def _more_pages(self, asked: Asked, content: Json) -> dict[str, str]:
        size, page = _paging(asked)
        if not isinstance(content, list) or len(content) <= size * page:
            return {}
        query = urlencode({**asked.query, "page": page + 1})
        return {"Link": f'<{self.url}{asked.path}?{query}>; rel="next"'}


def _page(asked: Asked, content: list[Json]) -> list[Json]:
    size, page = _paging(asked)
    return content[size * (page - 1) : size * page]


def _paging(asked: Asked) -> tuple[int, int]:
    return min(int(asked.query.get("per_page", 30)), 100), int(asked.query.get("page", 1))


def _wrong_in_headers(asked: Asked) -> Iterator[str]:
    if asked.headers.get("accept") != "application/vnd.github+json":
        yield f"{asked.path}: accept is {asked.headers.get('accept')}"
    if asked.headers.get("x-github-api-version") != "2022-11-28":
        yield f"{asked.path}: no version of the API is asked for"
    if not asked.headers.get("user-agent", "").startswith("fairlead/"):
        yield f"{asked.path}: GitHub wants to know who asks"


def _handler(
    answer: Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One segment for each answer, or every second one waits 40 ms.
        wbufsize = 65536
        disable_nagle_algorithm = True

        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, raw = answer(self.command, self.path, headers, body)
            try:
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                self.close_connection = True  # Who asked has given up.

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler
