"""Requests to GitHub's API: JSON in, JSON out, errors in our words.

Separate from what is asked for. github3.py gives the session; its models are left out, because
they need fields that answers about forks and of GitHub Enterprise lack, and its own addresses,
because it keeps each of them for ever. The invariants: a token goes to the configured server and
to no other, and is held by no exception; nothing is asked while GitHub wants to be left alone; and
a call ends.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

import orjson
import requests
from github3.session import GitHubSession

from reconciler import __version__
from reconciler.adapters.forge_github_access import AppAccess, TokenAccess
from reconciler.adapters.forge_github_errors import error_in, said_in, spent_until, wait_in
from reconciler.adapters.tls_trust import trusting
from reconciler.core.errors import Forbidden, Invalid, Misconfigured, Throttled, Unavailable
from reconciler.core.loopback import LOOPBACK
from reconciler.ports import Clock

Json: TypeAlias = dict[str, Any]

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
CALL_SECONDS = 60.0
LARGEST_ANSWER = 16 * 2**20
PAGE = 100
MOST_PAGES = 100

WRITES_A_MINUTE = 80
WRITES_AN_HOUR = 500
"""What GitHub takes of content from one user, before it asks for patience."""

REMEMBERED_BYTES = 32 * 2**20
"""Answers kept to be asked for by their tag: one that did not change costs nothing of the limit."""


class GitHubCalls:
    """One server, asked from one thread at a time.

    Raises:
        Misconfigured: the token would travel in the clear, or the CA's file is no use.
    """

    def __init__(
        self,
        url: str,
        access: TokenAccess | AppAccess,
        clock: Clock,
        *,
        ca_file: Path | None = None,
        seconds: float = READ_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._access = access
        self._clock = clock
        self._session = _session(ca_file, seconds)
        self._left_alone_until = 0.0
        self._writes: deque[float] = deque(maxlen=WRITES_AN_HOUR)
        self._answers = _Answers()
        parts = urlsplit(self._url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise Misconfigured(
                f"a token for {url} would travel in the clear", hint="use an https:// URL"
            )

    @property
    def app_id(self) -> int | None:
        """None for the holder of a token."""
        return self._access.app_id

    def get(self, path: str, *, doing: str, **query: str | int) -> Any:
        return self._authorised("GET", self._address(path, query), None, doing)[0]

    def pages(self, path: str, *, doing: str, **query: str | int) -> Iterator[Json]:
        """The items of all pages, in GitHub's order."""
        address = self._address(path, {"per_page": PAGE, **query})
        for _ in range(MOST_PAGES):
            content, following = self._authorised("GET", address, None, doing)
            yield from content if isinstance(content, list) else ()
            if not following:
                return
            if not following.startswith(f"{self._url}/"):
                raise Unavailable(f"cannot {doing}: the next page is on another server")
            address = following
        raise Unavailable(f"cannot {doing}: there are more than {MOST_PAGES} pages")

    def write(self, method: str, path: str, body: Mapping[str, Any], *, doing: str) -> Json:
        """Make or change something. Paced, so that GitHub need not say that it is too much."""
        self._pace(doing)
        content, _ = self._authorised(method, self._address(path), body, doing)
        if not isinstance(content, dict):
            raise Unavailable(f"cannot {doing}: GitHub's answer cannot be read")
        return content

    def as_the_app(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, assertion: str
    ) -> Json:
        doing = "speak as the App"
        headers = {"Authorization": f"Bearer {assertion}"}
        content, _ = self._ask(method, self._address(path), body, headers, doing)
        return content if isinstance(content, dict) else {}

    def close(self) -> None:
        self._session.close()

    def whoami(self) -> str:
        """The login under which comments stand; an App is told by itself only."""
        if isinstance(self._access, AppAccess):
            told = self.as_the_app("GET", "app", assertion=self._access.assertion())
            return f"{told.get('slug', '')}[bot]"
        return str(self.get("user", doing="ask who we are")["login"])

    def _authorised(
        self, method: str, address: str, body: Mapping[str, Any] | None, doing: str
    ) -> tuple[Any, str]:
        for again in (True, False):
            token = self._access.token(self.as_the_app)
            headers = {"Authorization": f"Bearer {token}"}
            try:
                return self._ask(method, address, body, headers, doing)
            except _Unauthorised as error:
                # A token of an installation ends early when its key or the App is changed.
                if not (again and self._access.forget()):
                    raise Forbidden(error.message, hint=error.hint) from None
        raise AssertionError("the second refusal is raised")

    def _ask(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        doing: str,
    ) -> tuple[Any, str]:
        """The content of the answer, and the address of the next page."""
        self._leave_alone(doing)
        sent = dict(headers)
        known = self._answers.get(address) if method == "GET" else None
        if known is not None:
            sent["If-None-Match"] = known.tag
        status, told, raw = self._exchange(method, address, body, sent, doing)
        if status == 304 and known is not None:
            return _decoded(known.raw), known.following
        content = _decoded(raw)
        self._heed(status, told, content)
        if not 200 <= status < 300:
            path = address.removeprefix(f"{self._url}/").partition("?")[0]
            now = self._clock.now().timestamp()
            error = error_in(status, told, content, doing=doing, path=path, now=now)
            if status == 401:
                raise _Unauthorised(error.message, hint=error.hint)
            raise error
        if content is None:
            raise Unavailable(f"cannot {doing}: GitHub's answer cannot be read")
        following = _next_page(told.get("link", ""))
        if method == "GET" and "etag" in told:
            self._answers.put(address, _Answer(told["etag"], raw, following))
        return content, following

    def _exchange(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        doing: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. An error of the library holds the request, so none leaves."""
        data = None if body is None else _encoded(body, doing)
        end = self._clock.monotonic() + CALL_SECONDS
        raw = bytearray()
        try:
            with self._session.request(
                method, address, data=data, headers=headers, allow_redirects=False, stream=True
            ) as response:
                for piece in response.iter_content(65536):
                    raw += piece
                    if len(raw) > LARGEST_ANSWER or self._clock.monotonic() > end:
                        break
                else:
                    told = {name.lower(): value for name, value in response.headers.items()}
                    return response.status_code, told, bytes(raw)
            reason = "its answer is too large or too slow"
        except (requests.RequestException, OSError, ValueError) as error:
            reason = type(error).__name__
        raise Unavailable(f"cannot {doing}: {reason}", hint=f"see whether {self._url} answers")

    def _address(self, path: str, query: Mapping[str, str | int] | None = None) -> str:
        return f"{self._url}/{path}" + (f"?{urlencode(query)}" if query else "")

    def _leave_alone(self, doing: str) -> None:
        left = self._left_alone_until - self._clock.monotonic()
        if left > 0:
            raise Throttled(f"cannot {doing}: GitHub asked for patience", retry_after=left)

    def _heed(self, status: int, headers: Mapping[str, str], content: Any) -> None:
        now = self._clock.now().timestamp()
        wait = wait_in(status, headers, said_in(content), now=now)
        if wait is None:
            wait = spent_until(headers, now=now)
        if wait is not None:
            self._left_alone_until = self._clock.monotonic() + wait

    def _pace(self, doing: str) -> None:
        now = self._clock.monotonic()
        for most, span in ((WRITES_A_MINUTE, 60.0), (WRITES_AN_HOUR, 3600.0)):
            if len(self._writes) >= most and now - self._writes[-most] < span:
                raise Throttled(
                    f"cannot {doing}: {most} writes in {span:.0f} s are what GitHub takes",
                    retry_after=span - (now - self._writes[-most]),
                )
        self._writes.append(now)


@dataclass(frozen=True, slots=True)
class _Answer:
    tag: str
    raw: bytes
    following: str


class _Answers:
    """The last answers by their addresses, those asked for least recently dropped first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Answer] = OrderedDict()
        self._bytes = 0

    def get(self, address: str) -> _Answer | None:
        if address in self._kept:
            self._kept.move_to_end(address)
        return self._kept.get(address)

    def put(self, address: str, answer: _Answer) -> None:
        before = self._kept.pop(address, None)
        self._bytes += len(answer.raw) - (len(before.raw) if before else 0)
        self._kept[address] = answer
        while self._bytes > REMEMBERED_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.raw)


class _Unauthorised(Forbidden):
    """401: the token is no good, or not any more."""


def _session(ca_file: Path | None, seconds: float) -> Any:
    trusting(ca_file)
    session = GitHubSession(default_connect_timeout=CONNECT_SECONDS, default_read_timeout=seconds)
    # Or a proxy, a netrc file or other certificates would be taken from the environment.
    session.trust_env = False
    session.verify = str(ca_file) if ca_file else _certificates_of_the_system()
    session.headers.update(
        {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": f"fairlead/{__version__}",
        }
    )
    return session


def _certificates_of_the_system() -> str | bool:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _encoded(body: Mapping[str, Any], doing: str) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # Such as a name of a file that is not in UTF-8.
        raise Invalid(f"cannot {doing}: it holds text that is not Unicode") from None


def _decoded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return None


def _next_page(link: str) -> str:
    for part in requests.utils.parse_header_links(link) if link else ():
        if part.get("rel") == "next":
            return str(part["url"])
    return ""
