"""Watches of the in-memory cluster.

Separate because a watch has its own life beside the store. The invariant is that of the real
one: after Interrupted comes a whole new listing, ended by Listed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

from reconciler.adapters.cluster_memory_faults import EventFaults
from reconciler.adapters.cluster_memory_fields import copied
from reconciler.adapters.label_selectors import selects
from reconciler.core.errors import Transient
from reconciler.core.manifests import JsonObject
from reconciler.ports import ApiResource, Gone, Interrupted, Listed, Seen, WatchEvent


def labels_of(body: JsonObject) -> dict[str, str]:
    metadata = cast(JsonObject, body["metadata"])
    return cast("dict[str, str]", metadata.get("labels") or {})


class Watch:
    """One client that watches one type."""

    def __init__(self, resource: ApiResource, selector: str, faults: EventFaults) -> None:
        self._resource = resource
        self._selector = selector
        self._faults = faults
        self._events: deque[WatchEvent] = deque()
        self._arrived = asyncio.Event()

    def notice(self, before: JsonObject | None, after: JsonObject | None) -> None:
        """An object changed; None stands for its absence before or after."""
        was = before is not None and selects(self._selector, labels_of(before))
        body = after or before
        assert body is not None
        if self._type_differs(body):
            return
        if after is not None and selects(self._selector, labels_of(after)):
            self._send(Seen(self._shown(after)))
        elif was:
            # Also for an object that lost the label: for this watch it is gone.
            self._send(Gone(self._shown(body)))

    def interrupt(self, explanation: str) -> None:
        """Break the stream: what was under way is lost, and a listing follows."""
        self._events.clear()
        self._events.append(Interrupted(explanation))
        self._arrived.set()

    async def events(
        self,
        listing: Callable[[], Awaitable[tuple[list[JsonObject], str]]],
        *,
        answers_again: Callable[[], Awaitable[object]],
    ) -> AsyncIterator[WatchEvent]:
        """List, then stream, for ever. `listing` gives all objects and their version."""
        while True:
            try:
                bodies, version = await listing()
            except Transient as error:
                yield Interrupted(error.message)
                # A client with backoff tries in vain meanwhile; one attempt stands for all.
                await answers_again()
                continue
            self._events.clear()
            for body in bodies:
                if not self._type_differs(body) and selects(self._selector, labels_of(body)):
                    self._events.append(Seen(self._shown(body)))
            self._events.append(Listed(version))
            while True:
                event = await self._next()
                yield event
                if isinstance(event, Interrupted):
                    break

    async def _next(self) -> WatchEvent:
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def _send(self, event: WatchEvent) -> None:
        self._events.extend(self._faults.passing(event))
        self._arrived.set()

    def _type_differs(self, body: JsonObject) -> bool:
        group, _, _ = str(body["apiVersion"]).rpartition("/")
        wanted = self._resource.type
        return (group, body["kind"]) != (wanted.group, wanted.kind)

    def _shown(self, body: JsonObject) -> JsonObject:
        return {**copied(body), "apiVersion": self._resource.type.api_version}
