"""The mirror under servers that hang, refuse, redirect and go away."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme

from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_remotes import GitCredentials, GitSource
from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Missing,
    Transient,
    Unavailable,
    Untrusted,
)

from .builders import TOKEN, SourceRepository, answering, serving


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/config.git"


async def test_a_server_that_hangs_is_unavailable_in_time_and_blocks_nobody(
    remote: SourceRepository, mirror: GitMirror, directory: Path
) -> None:
    head = remote.push({"a": b"1"})
    await mirror.fetch()
    with silent_server() as url:
        hanging = GitMirror(GitSource(url=url, silence_seconds=0.5), directory)
        started = time.monotonic()
        fetching = asyncio.create_task(hanging.fetch())
        await asyncio.sleep(0)
        assert (await hanging.commit(head)).sha == head
        assert not fetching.done()
        with pytest.raises(Unavailable, match="cannot be fetched"):
            await fetching
        assert time.monotonic() - started < 5
        hanging.close()


async def test_a_fetch_that_drips_on_ends_at_its_limit(directory: Path) -> None:
    class Drip(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"0")
                    time.sleep(0.05)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            pass

    with answering(Drip) as url:
        source = GitSource(url=f"{url}/config.git", silence_seconds=5, fetch_seconds=0.5)
        mirror = GitMirror(source, directory)
        with pytest.raises(Transient):
            await mirror.fetch()
        mirror.close()


def failing(status: int, headers: dict[str, str]) -> type[BaseHTTPRequestHandler]:
    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status, "s3cret-token-of-the-daemon")
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Failing


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, Forbidden), (403, Forbidden), (404, Missing), (500, Unavailable), (502, Unavailable)],
)
async def test_a_status_of_the_server_is_told_without_the_token(
    directory: Path, token_file: Path, status: int, expected: type[FairleadError]
) -> None:
    headers = {"WWW-Authenticate": "Basic"} if status == 401 else {}
    with answering(failing(status, headers)) as url:
        source = GitSource(f"{url}/c.git", credentials=GitCredentials(token_file=token_file))
        mirror = GitMirror(source, directory)
        with pytest.raises(expected) as caught:
            await mirror.fetch()
        assert TOKEN not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
        assert url in caught.value.message
        mirror.close()


async def test_credentials_do_not_follow_a_redirect(
    remote: SourceRepository, directory: Path, token_file: Path
) -> None:
    remote.push({"a": b"1"})
    with serving(remote.directory.parent, token=TOKEN) as elsewhere:
        target = f"{elsewhere.url}/config.git/info/refs?service=git-upload-pack"
        with answering(failing(302, {"Location": target})) as url:
            source = GitSource(
                f"{url}/config.git", credentials=GitCredentials(token_file=token_file)
            )
            mirror = GitMirror(source, directory)
            with pytest.raises(Untrusted, match="gets no credentials"):
                await mirror.fetch()
            # One request without credentials, to learn that some are wanted.
            assert len(elsewhere.requests) == 1
            mirror.close()


def renew(token_file: Path) -> None:
    token_file.write_text("renewed\n")


async def test_a_wrong_token_is_forbidden_and_a_renewed_one_is_read(
    remote: SourceRepository, directory: Path, token_file: Path
) -> None:
    head = remote.push({"a": b"1"})
    with serving(remote.directory.parent, token="renewed") as server:
        source = GitSource(
            f"{server.url}/config.git", credentials=GitCredentials(token_file=token_file)
        )
        mirror = GitMirror(source, directory)
        with pytest.raises(Forbidden, match="does not accept the credentials"):
            await mirror.fetch()
        renew(token_file)
        assert await mirror.fetch() == head
        mirror.close()


async def test_a_server_that_asks_for_unset_credentials_is_forbidden(
    remote: SourceRepository, directory: Path
) -> None:
    remote.push({"a": b"1"})
    with serving(remote.directory.parent, token=TOKEN) as server:
        mirror = GitMirror(GitSource(f"{server.url}/config.git"), directory)
        with pytest.raises(Forbidden, match="none that fit are set"):
            await mirror.fetch()
        mirror.close()


async def test_a_server_that_went_away_leaves_the_mirror_readable(
    remote: SourceRepository, directory: Path
) -> None:
    head = remote.push({"a": b"1"})
    with serving(remote.directory.parent) as server:
        mirror = GitMirror(GitSource(f"{server.url}/config.git"), directory)
        await mirror.fetch()
    with pytest.raises(Unavailable):
        await mirror.fetch()
    assert (await mirror.commit("main")).sha == head
    mirror.close()


async def test_a_certificate_of_an_unknown_authority_is_untrusted(directory: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with answering(failing(404, {}), tls=context) as url:
        mirror = GitMirror(GitSource(f"{url}/config.git"), directory)
        with pytest.raises(Untrusted, match="not who it should be"):
            await mirror.fetch()
        mirror.close()


async def test_a_missing_local_repository_is_missing(tmp_path: Path, directory: Path) -> None:
    mirror = GitMirror(GitSource(url=str(tmp_path / "nowhere.git")), directory)
    with pytest.raises(Missing, match="nowhere"):
        await mirror.fetch()
    mirror.close()
