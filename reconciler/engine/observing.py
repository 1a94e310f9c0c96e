"""Observers: one per cluster, turning watch events into a ClusterSnapshot and news.

Separate from the watches themselves (a port) and from what is done about the news (correcting.py,
executing.py). The invariant: an object in the snapshot is never older than the newest state that
was seen of it, in an event or in the answer to a write; and a snapshot whose stream is broken
says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import structlog

from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import REPOSITORY_LABEL, JsonObject, label_value
from reconciler.core.snapshots import LiveObject, key_of, live_object, version_of
from reconciler.ports import ApiResource, Cluster, Gone, Interrupted, Listed, Seen

log = structlog.get_logger()

RETRY_SECONDS = 10.0
"""Pause before a type that could not be watched is tried again."""

Type: TypeAlias = tuple[str, str]
"""Group and kind: what is watched, whatever the version."""

Listener: TypeAlias = Callable[[ObjectKey], None]


class ClusterObserver:
    """The live objects of one cluster that carry our label. Implements ClusterSnapshot.

    Listeners are called with the key of every object that changed or went, after the snapshot
    holds the new state. They must not block.
    """

    def __init__(self, cluster: Cluster, *, repository: str) -> None:
        self._cluster = cluster
        self._selector = f"{REPOSITORY_LABEL}={label_value(repository)}"
        self._listeners: list[Listener] = []
        self._objects: dict[ObjectKey, LiveObject] = {}
        self._streams: dict[Type, _Stream] = {}
        self._crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def cluster(self) -> ClusterName:
        return self._cluster.name

    @property
    def stale(self) -> str:
        for stream in self._streams.values():
            if stream.trouble:
                return stream.trouble
        return ""

    def get(self, key: ObjectKey) -> LiveObject | None:
        return self._objects.get(key)

    def __iter__(self) -> Iterator[LiveObject]:
        return iter(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def unwatched(self, types: Iterable[GroupVersionKind]) -> frozenset[GroupVersionKind]:
        """Those of the types of which nothing is known here."""
        return frozenset(kind for kind in types if (kind.group, kind.kind) not in self._streams)

    async def watch_types(self, types: Iterable[GroupVersionKind]) -> None:
        """Make sure that these types are watched, and wait until each was listed or failed to be.

        Types that the server does not serve (yet) are passed over: their dry run will say so. A
        type that cannot be listed makes the snapshot stale.
        """
        wanted = {(kind.group, kind.kind): kind for kind in types}
        missing = {name: kind for name, kind in wanted.items() if name not in self._streams}
        if missing:
            served = await self._served(missing)
            for name, resource in served.items():
                stream = _Stream(f"{resource.type.kind} of {self.cluster} is not listed yet")
                self._streams[name] = stream
                stream.task = asyncio.create_task(self._keep_following(resource, stream))
                stream.task.add_done_callback(self._ended)
        for name in wanted:
            if name in self._streams:
                await self._streams[name].answered.wait()

    async def _served(self, types: dict[Type, GroupVersionKind]) -> dict[Type, ApiResource]:
        served: dict[Type, ApiResource] = {}
        for refresh in (False, True):
            resources = await self._cluster.resources(refresh=refresh)
            for name, kind in types.items():
                if kind in resources:
                    served[name] = resources[kind]
            if len(served) == len(types):
                break
        return served

    async def _keep_following(self, resource: ApiResource, stream: _Stream) -> None:
        while True:
            try:
                await self._follow(resource, stream)
            except FairleadError as error:
                # Such as a right to list that is missing: somebody may grant it any time.
                stream.interrupted(error.message)
                log.warning("watch.refused", cluster=self.cluster, reason=error.message)
                await asyncio.sleep(RETRY_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not self._crash.done() and (bug := task.exception()):
            self._crash.set_exception(bug)

    async def crashed(self) -> None:
        """Raise what a watch died of, if it ever does: nothing may go on without its eyes."""
        await asyncio.shield(self._crash)

    async def _follow(self, resource: ApiResource, stream: _Stream) -> None:
        async for event in self._cluster.watch(resource, selector=self._selector):
            match event:
                case Seen(body):
                    key = self._see(body)
                    if stream.trouble:
                        stream.seen.add(key)
                case Gone(body):
                    self._lose(body)
                case Listed():
                    self._drop_unseen(resource, stream)
                    stream.trouble = ""
                    stream.answered.set()
                case Interrupted(explanation):
                    stream.interrupted(explanation)
                    log.warning("watch.interrupted", cluster=self.cluster, reason=explanation)

    async def stop(self) -> None:
        """End all watches. What is known grows stale from here on."""
        tasks = [stream.task for stream in self._streams.values() if stream.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def absorb(self, body: JsonObject) -> LiveObject:
        """Take the answer to a write into the snapshot, without waiting for its event."""
        live = live_object(body)
        known = self._objects.get(live.key)
        if known is None or known.uid != live.uid or known.version <= live.version:
            self._objects[live.key] = live
        return live

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _tell(self, key: ObjectKey) -> None:
        for listener in self._listeners:
            listener(key)

    def _see(self, body: JsonObject) -> ObjectKey:
        key, _ = key_of(body)
        known = self._objects.get(key)
        # Our own write comes back as an event: nothing to parse a second time.
        if known is None or known.version < version_of(body):
            self._objects[key] = live_object(body)
            self._tell(key)
        return key

    def _lose(self, body: JsonObject) -> None:
        key, _ = key_of(body)
        known = self._objects.get(key)
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        if known is not None and known.uid == metadata["uid"]:
            del self._objects[key]
            self._tell(key)

    def _drop_unseen(self, resource: ApiResource, stream: _Stream) -> None:
        """What a list did not hold is gone; nobody sends an event for what went meanwhile."""
        mine = [
            key
            for key in self._objects
            if (key.group, key.kind) == (resource.type.group, resource.type.kind)
            and key not in stream.seen
        ]
        for key in mine:
            del self._objects[key]
            self._tell(key)
        stream.seen = set()


class _Stream:
    """One watched type. `trouble` says why what is known of it may be old; empty when it is not."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble
        self.answered = asyncio.Event()
        self.seen: set[ObjectKey] = set()
        self.task: asyncio.Task[None] | None = None

    def interrupted(self, explanation: str) -> None:
        self.trouble = explanation
        self.seen = set()
        self.answered.set()
