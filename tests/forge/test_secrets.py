"""S9: no credential in an address, an exception, a log; and none to another server."""

from __future__ import annotations

import base64
import http.server
import logging
import ssl
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.forge_github import GitHubForge
from reconciler.core.change_requests import Check, CheckState
from reconciler.core.errors import FairleadError, Misconfigured, Unavailable
from reconciler.core.identifiers import CommitSha

from .description import github_description
from .github import StandIn
from .worlds import PERSON, TOKEN, as_app

HEAD, BASE = CommitSha("1" * 40), CommitSha("b" * 40)

FAULTS = (
    {"status": 401, "body": {"message": "Bad credentials"}},
    {"status": 403, "body": {"message": "no"}},
    {"status": 404},
    {"status": 422, "body": {"message": "no", "errors": ["no"]}},
    {"status": 500},
    {"status": 200, "body": "nonsense"},
    {"status": 301, "headers": {"Location": "http://127.0.0.1:9/"}},
    {"status": 429},
)


def everything_of(error: BaseException) -> str:
    """What any reporter could show: texts, causes, contexts, and what they hold."""
    seen: list[str] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None:
            seen += [str(one), repr(one), repr(vars(one)), repr(one.args)]
            seen += [repr(getattr(one, name, "")) for name in ("request", "response")]
            headers = getattr(getattr(one, "request", None), "headers", {})
            seen.append(repr(dict(headers)))
            waiting += [one.__cause__, one.__context__]
    return "\n".join([*seen, *traceback.format_exception(error)])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault["status"]))
async def test_s9_no_credential_is_in_an_error_or_a_log(
    server: StandIn,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    person: GitHubForge,
    fault: dict[str, object],
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with capture_logs() as logs:
        async with as_app(server, tmp_path) as app:
            for forge in (person, app):
                server.fail("", **fault, times=1)  # type: ignore[arg-type]
                try:
                    await forge.put_check(Check("fairlead", HEAD, CheckState.SUCCESS, "fine"))
                except FairleadError as error:
                    told.append(everything_of(error))
    assert told
    text = "\n".join([*told, caplog.text, repr(logs)])
    for secret in (TOKEN, "ghs_", "BEGIN RSA", "eyJ", _inside(server.accounts.private_key())):
        assert secret not in text


async def test_s9_no_credential_is_in_an_address(server: StandIn, person: GitHubForge) -> None:
    number = server.people.open(HEAD, base=BASE)
    await person.put_comment(number, "a plan", known=None)
    for asked in server.asked:
        assert TOKEN not in f"{asked.path} {asked.query} {asked.body}"
        assert asked.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Another server, and the headers of all that it is asked."""
    asked: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[]")

        do_CONNECT = do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


async def test_s9_a_next_page_on_another_server_is_not_asked_for(
    server: StandIn, person: GitHubForge, elsewhere: tuple[str, list[dict[str, str]]]
) -> None:
    address, asked = elsewhere
    link = {"Link": f'<{address}/api/v3/x>; rel="next"'}
    server.fail("GET", 200, body=[], headers=link)
    with pytest.raises(Unavailable, match="another server"):
        await person.comments(1)
    assert asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_s9_a_redirect_is_not_followed(
    server: StandIn, person: GitHubForge, elsewhere: tuple[str, list[dict[str, str]]], status: int
) -> None:
    address, asked = elsewhere
    server.fail("", status, headers={"Location": address}, times=2)
    for ask in (person.whoami(), person.put_comment(1, "a plan", known=None)):
        with pytest.raises(FairleadError):
            await ask
    assert asked == []


async def test_nothing_is_taken_from_the_environment(
    server: StandIn,
    person: GitHubForge,
    tmp_path: Path,
    elsewhere: tuple[str, list[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, asked = elsewhere
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NETRC", str(netrc))
    assert await person.whoami() == PERSON
    assert asked == []
    assert server.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"


async def test_only_the_certificates_that_were_given_are_trusted(
    tmp_path: Path, server: StandIn
) -> None:
    ours, others = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(tls)
    (tmp_path / "token").write_text(TOKEN)
    for name, authority in (("ours", ours), ("others", others)):
        authority.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    with StandIn(github_description()).serving(tls) as safe:
        safe.accounts.tokens[TOKEN] = PERSON
        for name in ("ours", "others", None):
            forge = GitHubForge(
                safe.url,
                safe.repository,
                SystemClock(),
                token_file=tmp_path / "token",
                ca_file=None if name is None else tmp_path / f"{name}.pem",
            )
            if name == "ours":
                assert await forge.whoami() == PERSON
            else:
                with pytest.raises(Unavailable, match="SSLError"):
                    await forge.whoami()
            await forge.close()
        assert len(safe.asked) == 1


def test_a_token_that_would_travel_in_the_clear_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with pytest.raises(Misconfigured, match="in the clear"):
        GitHubForge(
            "http://github.example.com/api/v3",
            "example/ml-platform",
            SystemClock(),
            token_file=tmp_path / "token",
        )


def _inside(pem: bytes) -> str:
    """The middle of a key, as it would be recognised anywhere."""
    line = pem.splitlines()[5].decode()
    assert base64.b64decode(line)
    return line
