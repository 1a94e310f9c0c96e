"""The Replicas port over HTTP: pods by the API server's list, asked through its proxy or directly.

Separate from the cluster, which applies objects: a model server says whatever its authors like.
The invariants: a call ends in its time and takes megabytes at most; the path that a document
names stays below the replica, so that no `..` reaches another part of the API; what the API
server says in a replica's place is an error, never an answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

import aiohttp
import orjson
from yarl import URL

from reconciler.adapters.cluster_connection import ApiConnection, read_up_to, unavailable
from reconciler.adapters.cluster_errors import error_of
from reconciler.adapters.http_sessions import plain_session
from reconciler.core.errors import FairleadError, Invalid, Missing, Unavailable
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.problems import printable
from reconciler.ports import Answer, Replica

ANSWER_SECONDS = 2.0
"""Of a page that a replica has at hand, such as its metrics."""

WORK_SECONDS = 120.0
"""Of what it has to work for: a long answer, or an adapter that it loads."""

FIND_SECONDS = 10.0
LARGEST_ANSWER = 4 * 2**20

_PATH = re.compile(r"/[A-Za-z0-9._~/%+:@!$&'()*,;=-]*")
_DOTS = frozenset({".", ".."})


class _FoundReplicas:
    """What both ways of asking share: finding the pods."""

    def __init__(
        self,
        connection: ApiConnection,
        *,
        seconds: float = ANSWER_SECONDS,
        work_seconds: float = WORK_SECONDS,
    ) -> None:
        """`connection` stays its owner's to close."""
        self._connection = connection
        self._seconds = {"GET": seconds, "POST": work_seconds}

    async def find(
        self, namespace: str, labels: Mapping[str, str], *, starting: bool = False
    ) -> Sequence[Replica]:
        doing = f"list the pods of {namespace}"
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
        try:
            async with asyncio.timeout(FIND_SECONDS):
                answer = await self._connection.request(
                    "GET", path, doing=doing, query={"labelSelector": selector} if selector else {}
                )
        except TimeoutError:
            raise Unavailable(f"{doing}: no answer in time") from None
        pods = cast("list[JsonObject]", answer.get("items") or [])
        found = [one for one in map(_replica, pods) if one is not None and (one.ready or starting)]
        return sorted(found, key=lambda one: one.name)


class ProxiedReplicas(_FoundReplicas):
    """Asked through the API server, which reaches every pod; needs rights on `pods/proxy`."""

    async def get(self, replica: Replica, port: int, path: str) -> Answer:
        return await self._ask("GET", replica, port, path)

    async def post(self, replica: Replica, port: int, path: str, body: JsonValue) -> Answer:
        return await self._ask("POST", replica, port, path, orjson.dumps(body))

    async def close(self) -> None:
        pass

    async def _ask(
        self, method: str, replica: Replica, port: int, path: str, body: bytes = b""
    ) -> Answer:
        doing = _doing(replica, port, path)
        namespace, name = quote(replica.namespace, safe=""), quote(replica.name, safe="")
        status, content = await self._connection.exchange(
            method,
            f"/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{_checked(path)}",
            doing=doing,
            seconds=self._seconds[method],
            limit=LARGEST_ANSWER,
            body=body,
        )
        if status >= 400 and _is_of_the_api_server(content):
            raise _in_its_place(status, content, doing=doing)
        return Answer(status, content)


class DirectReplicas(_FoundReplicas):
    """Asked at their own addresses, for a daemon that runs inside the network of the pods."""

    def __init__(
        self,
        connection: ApiConnection,
        *,
        seconds: float = ANSWER_SECONDS,
        work_seconds: float = WORK_SECONDS,
    ) -> None:
        super().__init__(connection, seconds=seconds, work_seconds=work_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, replica: Replica, port: int, path: str) -> Answer:
        return await self._ask("GET", replica, port, path)

    async def post(self, replica: Replica, port: int, path: str, body: JsonValue) -> Answer:
        return await self._ask("POST", replica, port, path, orjson.dumps(body))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, replica: Replica, port: int, path: str, body: bytes = b""
    ) -> Answer:
        doing = _doing(replica, port, path)
        host = f"[{replica.address}]" if ":" in replica.address else replica.address
        url = URL(f"http://{host}:{port}{_checked(path)}", encoded=True)
        if self._session is None:
            self._session = plain_session()
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers={"Content-Type": "application/json"} if body else {},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._seconds[method]),
            ) as response:
                content = await read_up_to(LARGEST_ANSWER, response, doing=doing)
                return Answer(response.status, content)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error


def _replica(pod: JsonObject) -> Replica | None:
    """None for a pod that does not run, has no address yet, or is about to go."""
    metadata = cast("dict[str, Any]", pod["metadata"])
    status = cast("dict[str, Any]", pod.get("status") or {})
    conditions = status.get("conditions") or []
    is_ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    address = status.get("podIP")
    if metadata.get("deletionTimestamp") or status.get("phase") != "Running" or not address:
        return None
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    return Replica(namespace, name, uid, address, ready=is_ready)


def _doing(replica: Replica, port: int, path: str) -> str:
    return f"ask {replica.namespace}/{replica.name} on port {port} for {printable(path)}"


def _checked(path: str) -> str:
    """Raises Invalid for what could leave the replica, or mean something else on the way."""
    # Decoded twice, as a proxy and the server behind it may do.
    segments = re.split(r"[/\\]", unquote(unquote(path)))
    if not _PATH.fullmatch(path) or _DOTS & set(segments):
        raise Invalid(
            f"{printable(path)!r} is not a path that replicas are asked for",
            hint="start with '/', and use no '..', no '?' and no white space",
        )
    return path


def _is_of_the_api_server(content: bytes) -> bool:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(body, dict) and body.get("kind") == "Status" and "apiVersion" in body


def _in_its_place(status: int, content: bytes, *, doing: str) -> FairleadError:
    error = error_of(status, content, doing=doing)
    # The pod went since it was listed: the next list shows what is there.
    return Unavailable(error.message) if isinstance(error, Missing) else error
