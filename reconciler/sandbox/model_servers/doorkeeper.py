"""Holds connections to pods to the network policies of the cluster, as a network plug-in would.

Separate from serving: a cluster has a plug-in for this, and a sandbox has none. Invariants: who
connects is known by the address that the connection comes from, as with a plug-in; nobody is let in
before it is known what the policies are; and while the API server does not answer, what it said
last holds.

What comes from the node's own address passes, as the kubelet's probes do in any cluster; that is
also where the API server is, when somebody asks a pod through it.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import aiohttp
import orjson

from reconciler.core.access.connections import Endpoint, admits
from reconciler.core.manifests import JsonObject
from reconciler.sandbox.components import GATEWAY_ADDRESS, GATEWAY_NAMESPACE, NODE_ADDRESS

REMEMBERED_SECONDS = 0.5
"""For how long what the API server said is not asked again."""

Admits: TypeAlias = "Callable[[Endpoint, str, int], Awaitable[bool]]"
"""May somebody at the address connect to the pod's port?"""

_NODE = frozenset({NODE_ADDRESS, "127.0.0.1"})


class Doorkeeper:
    """Asks the API server for policies, and for the pod that an address belongs to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._said: dict[str, tuple[float, list[JsonObject]]] = {}

    async def admits(self, pod: Endpoint, address: str, port: int) -> bool:
        if address in _NODE:
            return True
        policies = await self._items(
            f"/apis/networking.k8s.io/v1/namespaces/{pod.namespace}/networkpolicies"
        )
        return admits(policies, pod, source=await self._source(address), port=port)

    async def _source(self, address: str) -> Endpoint:
        if address == GATEWAY_ADDRESS:
            return Endpoint(GATEWAY_NAMESPACE, address=address)
        for pod in await self._items(f"/api/v1/pods?fieldSelector=status.podIP={address}"):
            return endpoint_of(pod)
        return Endpoint(address=address)

    async def _items(self, path: str) -> list[JsonObject]:
        asked, known = self._said.get(path, (-math.inf, []))
        now = time.monotonic()
        if now - asked < REMEMBERED_SECONDS:
            return known
        try:
            async with self._session.get(path) as response:
                response.raise_for_status()
                found: list[JsonObject] = orjson.loads(await response.read())["items"]
        except (aiohttp.ClientError, TimeoutError):
            if path not in self._said:
                raise
            return known
        self._said[path] = (now, found)
        return found


class Entrance(asyncio.Protocol):
    """A new connection, which waits until it is known whether it may be here."""

    def __init__(
        self, admitted: Callable[[str], Awaitable[bool]], serve: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._admitted = admitted
        self._serve = serve
        self._deciding: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._deciding = asyncio.get_running_loop().create_task(self._decide(transport))

    def connection_lost(self, _error: Exception | None) -> None:
        self._deciding.cancel()

    async def _decide(self, transport: asyncio.Transport) -> None:
        address = transport.get_extra_info("peername")[0]
        try:
            admitted = await self._admitted(address)
        except (aiohttp.ClientError, TimeoutError) as error:
            sys.stderr.write(f"a connection from {address} is refused: {error}\n")
            admitted = False
        if not admitted:
            transport.abort()
            return
        serving = self._serve()
        transport.set_protocol(serving)
        serving.connection_made(transport)
        transport.resume_reading()


def endpoint_of(pod: Mapping[str, Any]) -> Endpoint:
    """The pod as one end of a connection."""
    metadata = pod["metadata"]
    ports = [port for one in pod["spec"]["containers"] for port in one.get("ports", ())]
    return Endpoint(
        metadata["namespace"],
        metadata.get("labels") or {},
        pod["status"].get("podIP", ""),
        port_names={port["name"]: port["containerPort"] for port in ports if "name" in port},
    )
