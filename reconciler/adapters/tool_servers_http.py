"""Tool servers over MCP's streamable HTTP: only to see which tools they list.

Separate because it is the one place where the authorizer asks somebody other than the API server.
The invariants: only the addresses of the settings are asked, whatever a request or an answer says;
no redirect is followed, no link-local address is connected to whatever a name resolves to, and no
caller's token is passed on.

https://modelcontextprotocol.io/specification/2025-06-18/basic/transports
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from reconciler import __version__
from reconciler.adapters.cluster_connection import read_up_to, unavailable
from reconciler.core.authorizing.tools import digests_of, result_of
from reconciler.core.errors import Misconfigured, Missing, Unavailable
from reconciler.core.manifests import JsonObject

ANSWER_SECONDS = 1.5
LARGEST_ANSWER = 2**20
MOST_PAGES = 20
PROTOCOL = "2025-06-18"

_SESSION = "Mcp-Session-Id"


class HttpToolServers:
    """`urls` by the names that AgentScopes use."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """Raises Misconfigured for a link-local address: no resolver is asked about a literal."""
        for name, url in urls.items():
            if _is_link_local(URL(url).host or ""):
                raise Misconfigured(
                    f"the tool server {name} is at a link-local address",
                    hint="give it an address of its own; metadata services live at these",
                )
        self._urls = urls
        self._session: aiohttp.ClientSession | None = None
        self._conversations: dict[str, str] = {}

    async def digests(self, server: str) -> Mapping[str, str]:
        url = self._urls.get(server)
        if url is None:
            raise Missing(
                f"no tool server {server} is in the settings",
                hint="start the authorizer with --tool-server NAME=URL",
            )
        found: dict[str, str] = {}
        cursor = ""
        for page in range(MOST_PAGES):
            params: JsonObject = {"cursor": cursor} if cursor else {}
            result = await self._result(server, url, "tools/list", params, page + 2)
            if found.keys() & (listed := digests_of(result)).keys():
                raise Unavailable(f"the tool server {server} lists a tool twice")
            found |= listed
            cursor = str(result.get("nextCursor") or "")
            if not cursor:
                return found
        raise Unavailable(f"the tool server {server} lists tools without end")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _result(
        self, server: str, url: str, method: str, params: JsonObject, identifier: int
    ) -> JsonObject:
        if server not in self._conversations:
            await self._begin(server, url)
        body: JsonObject = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        try:
            content, kind, _ = await self._post(server, url, body)
        except Unavailable:
            # A server that was started anew knows nothing of the conversation.
            self._conversations.pop(server, None)
            raise
        return result_of(content, kind, identifier)

    async def _begin(self, server: str, url: str) -> None:
        params: JsonObject = {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "fairlead-authorize", "version": __version__},
        }
        body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        content, kind, session = await self._post(server, url, body)
        result_of(content, kind, 1)
        self._conversations[server] = session
        told: JsonObject = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self._post(server, url, told)

    async def _post(self, server: str, url: str, body: JsonObject) -> tuple[bytes, str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": PROTOCOL,
        }
        if conversation := self._conversations.get(server):
            headers[_SESSION] = conversation
        doing = f"ask the tool server {server}"
        try:
            async with self._opened().post(
                url, data=orjson.dumps(body), headers=headers, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    raise Unavailable(f"cannot {doing}: it answers {response.status}")
                content = await read_up_to(LARGEST_ANSWER, response, doing=doing)
                kind = response.headers.get("Content-Type", "")
                return content, kind, response.headers.get(_SESSION, "")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=GuardedResolver()),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class GuardedResolver(AbstractResolver):
    """Asked for every connection, so that a name that changes its address is seen to."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        found: list[ResolveResult] = []
        for at, _, proto, _, address in infos:
            if _is_link_local(str(address[0])):
                raise OSError(f"{host} is at a link-local address")
            found.append(
                ResolveResult(
                    hostname=host,
                    host=str(address[0]),
                    port=int(address[1]),
                    family=at,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return found

    async def close(self) -> None:
        """Nothing was opened."""


def _is_link_local(host: str) -> bool:
    """False for a name, about which the resolver is asked."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_link_local
