"""A remote to push to, written with libgit2, and served over smart HTTP by `git http-backend`."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pygit2
from pygit2.enums import FileMode, ObjectType

from reconciler.adapters.git_memory import Content, MemoryFile
from reconciler.core.identifiers import CommitSha

EPOCH = 1_767_225_600
TOKEN = "s3cret-token-of-the-daemon"


class SourceRepository:
    """A bare repository whose branch is pushed to and rewritten as MemoryRepository's is."""

    def __init__(self, directory: Path, *, branch: str = "main") -> None:
        self.directory = directory
        self.repository = pygit2.init_repository(str(directory), bare=True)
        self.reference = f"refs/heads/{branch}"
        self._time = EPOCH

    @property
    def head(self) -> CommitSha | None:
        found = self.repository.references.get(self.reference)
        return CommitSha(str(found.target)) if found else None

    def push(
        self,
        changes: Mapping[str, Content | None],
        *,
        message: str = "change",
        author: str = "Ada",
        email: str = "ada@example.com",
    ) -> CommitSha:
        index = pygit2.Index()
        if self.head:
            index.read_tree(self.repository[self.head].tree)
        for path, content in changes.items():
            if content is None:
                index.remove(path)
                continue
            file = content if isinstance(content, MemoryFile) else MemoryFile(content)
            oid = self.repository.create_blob(file.content)
            if file.mode == FileMode.COMMIT:
                oid = pygit2.Oid(hex="1" * 40)
            index.add(pygit2.IndexEntry(path, oid, FileMode(file.mode)))
        tree = index.write_tree(self.repository)
        return self.push_tree(tree, message=message, author=author, email=email)

    def push_tree(
        self,
        tree: pygit2.Oid,
        *,
        message: str = "change",
        author: str = "Ada",
        email: str = "ada@example.com",
        parents: list[str] | None = None,
    ) -> CommitSha:
        self._time += 60
        who = pygit2.Signature(author, email, self._time, 0)
        parents = parents if parents is not None else ([self.head] if self.head else [])
        sha = self.repository.create_commit(None, who, who, message, tree, parents)
        self.rewrite(CommitSha(str(sha)))
        return CommitSha(str(sha))

    def raw_tree(self, *entries: tuple[bytes, bytes, pygit2.Oid]) -> pygit2.Oid:
        """A tree of exactly these (mode, name, id), however wrong."""
        content = b"".join(mode + b" " + name + b"\0" + oid.raw for mode, name, oid in entries)
        return self.repository.odb.write(ObjectType.TREE, content)

    def blob(self, content: bytes) -> pygit2.Oid:
        return self.repository.create_blob(content)

    def protect(self, branch: str, *, reason: str = "protected branch") -> None:
        """Let the server refuse pushes to a branch, as forges do."""
        hook = self.directory / "hooks" / "update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            f'#!/bin/sh\n[ "$1" != refs/heads/{branch} ] || {{ echo {reason}; exit 1; }}\n'
        )
        hook.chmod(0o755)

    def rewrite(self, sha: CommitSha) -> None:
        self.repository.references.create(self.reference, pygit2.Oid(hex=sha), force=True)


@dataclass
class GitServer:
    """Smart HTTP on loopback. With a token, only Basic authentication with it gets in."""

    url: str
    token: str = ""
    requests: list[str] = field(default_factory=list)


def _nothing(_: str) -> None:
    pass


@contextmanager
def serving(
    root: Path,
    *,
    token: str = "",
    before: Callable[[str], None] = _nothing,
    after: Callable[[str], None] = _nothing,
) -> Iterator[GitServer]:
    """Serve every repository below `root`. `before` and `after` see each request, and may meddle
    before git does what it asks and before its answer is sent."""

    class Backend(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            request = f"{self.command} {self.path}"
            served.requests.append(request)
            before(request)
            expected = "Basic " + base64.b64encode(f"git:{token}".encode()).decode()
            if token and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                ["git", "http-backend"],
                input=self._body(),
                stdout=subprocess.PIPE,
                check=True,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                },
            )
            after(request)
            self._pass_on(done.stdout)

        def _pass_on(self, response: bytes) -> None:
            head, _, content = response.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
            status = next((value for name, value in fields if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    with answering(Backend) as url:
        served = GitServer(url, token)
        yield served


@contextmanager
def answering(
    handler: type[BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """An HTTP server with this handler on a free port; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
