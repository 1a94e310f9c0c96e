"""The paths of Vault's HTTP API that the adapters ask for, in memory, with every request kept.

It has the manners that were seen of a real server: policies in any text, roles with null for empty
lists, 404 without data, and 204 for what was written. Whatever is written below `kv/data` is a new
version of a secret, whose metadata is below `kv/metadata`; values are not kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class MemoryVault:
    """The state, and what a test may do to it."""

    def __init__(self) -> None:
        self.contents: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, str]] = []
        self.capabilities: dict[str, list[str]] = {}
        self.sealed = False
        self.token = "a-token"
        self.address = ""

    def read(self, path: str) -> dict[str, Any] | None:
        return self.contents.get(path)

    def write(self, path: str, body: dict[str, Any]) -> None:
        self.contents[path] = dict(body)

    def remove(self, path: str) -> None:
        self.contents.pop(path, None)

    def asked(self) -> list[tuple[str, str]]:
        """What the adapter asked for since `forget`."""
        return list(self.requests)

    def forget(self) -> None:
        self.requests.clear()

    def daemon_token(self) -> str:
        return self.token

    def answer(self, verb: str, path: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
        self.requests.append((verb, path))
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        if path == "sys/capabilities-self":
            paths = {name: self.capabilities.get(name, ["deny"]) for name in body["paths"]}
            return 200, {"data": paths}
        if path.startswith("kv/"):
            return self._key_value(verb, path)
        if verb == "LIST":
            keys = [n.removeprefix(f"{path}/") for n in self.contents if n.startswith(f"{path}/")]
            return (200, {"data": {"keys": sorted(keys)}}) if keys else (404, {"errors": []})
        if verb == "DELETE":
            self.contents.pop(path, None)
            return 204, None
        if verb == "GET":
            found = self.contents.get(path)
            return (200, {"data": found}) if found else (404, {"errors": []})
        self.contents[path] = {key: value or None for key, value in body.items()}
        return 204, None

    def _key_value(self, verb: str, path: str) -> tuple[int, Any]:
        _, part, name = path.split("/", 2)
        versions = self.versions.setdefault(name, [])
        if verb == "POST":
            versions.append({"deletion_time": "", "destroyed": False})
            return 200, {"data": {"version": len(versions)}}
        if verb == "DELETE":
            versions[-1]["deletion_time"] = "2026-01-01T00:00:00.123456789Z"
            return 204, None
        if part != "metadata" or not versions:
            return 404, {"errors": []}
        numbered = {str(number): one for number, one in enumerate(versions, 1)}
        return 200, {"data": {"current_version": len(versions), "versions": numbered}}


@contextmanager
def memory_vault() -> Iterator[MemoryVault]:
    vault = MemoryVault()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"{}")
            path, _, query = self.path.removeprefix("/v1/").partition("?")
            verb = "LIST" if query == "list=True" else self.command
            token = self.headers.get("X-Vault-Token") or ""
            status, answer = vault.answer(verb, path, body, token)
            self.send_response(status)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Not on the terminal: `requests` has it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vault.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
