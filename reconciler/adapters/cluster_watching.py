"""List, then watch, for ever.

Separate because it is the one long-lived conversation with an API server. Three layers: one
connection (`_connection`), connections that follow each other from the last resource version
(`_streaming`), and the endless rest (`events`). The invariant: after Interrupted comes a whole
new listing, ended by Listed, so whoever listens never has to guess what was missed. A connection
that ends and is resumed at once missed nothing, so it is not told.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import orjson

from reconciler.adapters.cluster_connection import ApiConnection, Broken
from reconciler.adapters.cluster_discovery import collection_path
from reconciler.adapters.cluster_errors import error_of
from reconciler.core.errors import Expired, Throttled, Transient, Unavailable
from reconciler.core.manifests import JsonObject
from reconciler.ports import ApiResource, Clock, Gone, Interrupted, Listed, Seen, WatchEvent

PAGE_SIZE = 500

WATCH_SECONDS = (1800.0, 3600.0)
"""How long one watch connection lives. Drawn for each, so that twenty types do not reconnect
together; long, because every reconnection is a request."""

SILENCE_SECONDS = 150.0
"""Bookmarks come every minute: two missing ones mean that the connection is dead."""

BACKOFF_SECONDS = (0.5, 30.0)

MAXIMUM_EVENT_BYTES = 64 * 2**20
"""An object has at most about 3 MiB; more without an end of line is not an API server."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the stream is, with the event that brought it there; bookmarks bring none."""

    resource_version: str
    event: WatchEvent | None


class Reflector:
    """The objects of one type that match a selector, as events."""

    def __init__(
        self,
        connection: ApiConnection,
        resource: ApiResource,
        *,
        selector: str,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._resource = resource
        self._selector = selector
        self._clock = clock
        self._jitter = jitter
        self._path = collection_path(resource)
        self._failures = 0

    async def events(self) -> AsyncGenerator[WatchEvent, None]:
        """Raises only what is Terminal, such as Forbidden, or Missing for a type that is gone."""
        while True:
            try:
                async with aclosing(self._listing()) as listing:
                    async for event in listing:
                        yield event
                        if isinstance(event, Listed):
                            version = event.resource_version
                async with aclosing(self._streaming(version)) as streaming:
                    async for event in streaming:
                        yield event
            except Transient as error:
                yield Interrupted(error.message)
                await self._pause(error)

    async def _listing(self) -> AsyncGenerator[WatchEvent, None]:
        query = {"limit": str(PAGE_SIZE), "labelSelector": self._selector}
        kind, api_version = self._resource.type.kind, self._resource.type.api_version
        while True:
            page = await self._connection.request(
                "GET", self._path, doing=f"list {self._resource.plural}", query=query
            )
            for body in cast("list[JsonObject]", page.get("items") or []):
                # Items of a list do not repeat what they are; objects of a watch do.
                yield Seen({"apiVersion": api_version, "kind": kind, **body})
            metadata = cast("dict[str, str]", page.get("metadata") or {})
            if not metadata.get("continue"):
                yield Listed(metadata.get("resourceVersion", ""))
                return
            query["continue"] = metadata["continue"]

    async def _streaming(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        """Ends with an error only: Expired, or what kept a connection from being made."""
        while True:
            silent = True
            try:
                async with aclosing(self._one_connection(version)) as progress:
                    async for step in progress:
                        silent = False
                        self._failures = 0
                        version = step.resource_version
                        if step.event is not None:
                            yield step.event
            except Broken:
                pass  # nothing was missed: the next connection begins where this one broke
            if silent:
                # A server that closes connections at once must not be asked without a pause.
                await self._clock.sleep(BACKOFF_SECONDS[0])

    async def _one_connection(self, version: str) -> AsyncGenerator[_Progress, None]:
        shortest, longest = WATCH_SECONDS
        seconds = shortest + self._jitter() * (longest - shortest)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": self._selector,
            "resourceVersion": version,
            "timeoutSeconds": str(int(seconds)),
        }
        doing = f"watch {self._resource.plural}"
        async with (
            self._connection.stream(
                self._path, doing=doing, query=query, silence=SILENCE_SECONDS
            ) as chunks,
            aclosing(lines_of(chunks, doing=doing)) as lines,
        ):
            async for line in lines:
                yield _progress_of(line, doing=doing)

    async def _pause(self, error: Transient) -> None:
        shortest, longest = BACKOFF_SECONDS
        self._failures += 1
        if isinstance(error, Expired) and self._failures == 1:
            return
        backoff = min(longest, shortest * 2 ** min(self._failures - 1, 16))
        jittered = backoff * (0.5 + self._jitter() / 2)
        asked = error.retry_after if isinstance(error, Throttled) else 0.0
        await self._clock.sleep(max(jittered, asked))


async def lines_of(chunks: AsyncIterator[bytes], *, doing: str) -> AsyncGenerator[bytes, None]:
    """Lines of a stream, in linear time whatever the sizes of chunks and lines."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            pieces.append(line)
            whole = b"".join(pieces)
            pieces, size = [], 0
            if whole:
                yield whole
        pieces.append(rest)
        size += len(rest)
        if size > MAXIMUM_EVENT_BYTES:
            raise Unavailable(f"{doing}: an event without end")


def _progress_of(line: bytes, *, doing: str) -> _Progress:
    try:
        event = cast(JsonObject, orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise Unavailable(f"{doing}: the connection broke inside an event") from error
    body = cast(JsonObject, event.get("object") or {})
    if event.get("type") == "ERROR":
        code = body.get("code")
        raise error_of(code if isinstance(code, int) else 500, orjson.dumps(body), doing=doing)
    version = str(cast(JsonObject, body.get("metadata") or {}).get("resourceVersion") or "")
    match event.get("type"):
        case "ADDED" | "MODIFIED":
            return _Progress(version, Seen(body))
        case "DELETED":
            return _Progress(version, Gone(body))
        case "BOOKMARK":
            return _Progress(version, None)
        case other:
            raise Unavailable(f"{doing}: unknown event type {str(other)[:20]!r}")
