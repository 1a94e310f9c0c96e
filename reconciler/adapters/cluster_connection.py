"""Requests to one API server: JSON in, JSON out, errors in our words.

Separate because cluster, watch and lease share it, and because it is the hot path: the generated
client of the kubernetes package costs 0.7 ms of CPU a request and decodes into models that
nobody here needs. The invariant: every request ends, with an answer or with an error of
core/errors.py, after a bounded time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlencode

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from reconciler import __version__
from reconciler.adapters.cluster_credentials import ClusterAccess, Credentials, credentials_of
from reconciler.adapters.cluster_errors import error_of
from reconciler.core.authorship import Author
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.manifests import JsonObject
from reconciler.core.problems import printable
from reconciler.ports import Clock

APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply. JSON is YAML, so the body is JSON."""

AGGREGATED_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
POOLED_CONNECTIONS = 64
KEEP_ALIVE_SECONDS = 45.0
"""API servers close idle connections after 90 s, load balancers before them often after 60 s;
closing first avoids sending into a closed one."""

_USER_AGENT = f"fairlead/{__version__}"


class Broken(Unavailable):
    """A stream that had begun broke off: what came before it is complete."""


class ApiConnection:
    """Opens itself at the first request, on the event loop that makes it."""

    def __init__(self, access: ClusterAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._opening = asyncio.Lock()
        self._credentials: Credentials | None = None
        self._requests: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        author: Author | None = None,
    ) -> JsonObject:
        """One request and its whole answer, in the name of `author` if there is one.

        `doing` begins the message of an error.
        """
        session = await self._session(streaming=False)
        headers = _in_the_name_of(author, await self._headers(accept))
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = content_type
        try:
            async with session.request(
                method,
                self._url(path, query),
                data=data,
                headers=headers,
                allow_redirects=False,
                server_hostname=self._server_name(),
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error
        if response.status >= 300:
            raise error_of(
                response.status,
                content,
                doing=doing,
                retry_after=response.headers.get("Retry-After"),
            )
        return _decoded(content, doing=doing)

    @asynccontextmanager
    async def stream(
        self, path: str, *, doing: str, query: Mapping[str, str], silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """An answer that goes on, in pieces of any size; Broken after `silence` seconds."""
        session = await self._session(streaming=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        try:
            async with session.get(
                self._url(path, query),
                headers=await self._headers("application/json"),
                allow_redirects=False,
                timeout=timeout,
                server_hostname=self._server_name(),
            ) as response:
                if response.status >= 300:
                    raise error_of(
                        response.status,
                        await response.read(),
                        doing=doing,
                        retry_after=response.headers.get("Retry-After"),
                    )
                yield _pieces(response, doing=doing)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error

    async def exchange(
        self, method: str, path: str, *, doing: str, seconds: float, limit: int, body: bytes = b""
    ) -> tuple[int, bytes]:
        """One request, and status and bytes of the answer, whatever they are. A body is JSON.

        Unavailable when there is no answer in time, or one of more than `limit` bytes.
        """
        session = await self._session(streaming=False)
        headers = await self._headers("*/*")
        if body:
            headers["Content-Type"] = "application/json"
        try:
            async with session.request(
                method,
                self._url(path, None),
                data=body or None,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
                server_hostname=self._server_name(),
            ) as response:
                return response.status, await read_up_to(limit, response, doing=doing)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error

    async def close(self) -> None:
        for session in (self._requests, self._streams):
            if session is not None:
                await session.close()
        self._requests = self._streams = self._credentials = None

    async def _session(self, *, streaming: bool) -> aiohttp.ClientSession:
        session = self._streams if streaming else self._requests
        if session is None:
            await self._open()
            session = self._streams if streaming else self._requests
            assert session is not None
        return session

    async def _open(self) -> None:
        async with self._opening:
            if self._credentials is not None:
                return
            credentials = await credentials_of(self._access, self._clock)
            total = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
            self._requests = _session_for(credentials, POOLED_CONNECTIONS, total)
            # A pool that watches share with requests would let twenty watches starve the writes.
            self._streams = _session_for(credentials, 0, total)
            self._credentials = credentials

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        assert self._credentials is not None
        suffix = f"?{urlencode(query)}" if query else ""
        return URL(f"{self._credentials.host}{path}{suffix}", encoded=True)

    def _server_name(self) -> str | None:
        assert self._credentials is not None
        return self._credentials.server_name

    async def _headers(self, accept: str) -> dict[str, str]:
        assert self._credentials is not None
        # Uncompressed: gzip costs the API server more CPU than the bytes cost a local network.
        headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
        if authorization := await self._credentials.authorization():
            headers["Authorization"] = authorization
        return headers


def _in_the_name_of(author: Author | None, headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = CIMultiDict(headers)
    if author is not None:
        named.add("Impersonate-User", author.user)
        for group in author.groups:
            named.add("Impersonate-Group", group)
    return named


def _session_for(
    credentials: Credentials, limit: int, timeout: aiohttp.ClientTimeout
) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=limit, ssl=credentials.trust, keepalive_timeout=KEEP_ALIVE_SECONDS
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        proxy=credentials.proxy,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _pieces(response: aiohttp.ClientResponse, *, doing: str) -> AsyncIterator[bytes]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Broken(unavailable(error, doing=doing).message) from error


async def read_up_to(limit: int, response: aiohttp.ClientResponse, *, doing: str) -> bytes:
    """The body of an answer. Unavailable when it has more than `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise Unavailable(f"{doing}: the answer has more than {limit:,} bytes")
    return b"".join(pieces)


def unavailable(error: Exception, *, doing: str) -> FairleadError:
    """Why nobody answered, of what the client raises."""
    if isinstance(error, TimeoutError):
        return Unavailable(f"{doing}: no answer in time")
    said = printable(str(error) or type(error).__name__)
    return Unavailable(
        f"{doing}: {said}", hint="check the address, the network and the certificates"
    )


def _decoded(content: bytes, *, doing: str) -> JsonObject:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unavailable(f"{doing}: the answer is not JSON") from error
    if not isinstance(value, dict):
        raise Unavailable(f"{doing}: the answer is not a JSON object")
    return cast(JsonObject, value)
