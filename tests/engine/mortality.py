"""Ports through which an engine can be killed at any write, and never acts again after that.

The fault hook of the kill tests: every durable write and every write to a cluster is a point,
before its effect and after it. Which point kills is chosen, not left to luck.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.replicas_memory import MemoryReplicas
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.snapshots import key_of


class Killed(BaseException):
    """What kill -9 is to a process: nothing catches it, and nothing runs afterwards."""


class Life:
    """Counts the points that an engine passes; at the chosen one it dies."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.points = 0
        self.dead = False
        self._dies_at = dies_at

    def must_live(self) -> None:
        if self.dead:
            raise Killed

    def point(self) -> None:
        self.must_live()
        if self.points == self._dies_at:
            self.dead = True
            raise Killed
        self.points += 1


class MortalStore:
    """A StateStore whose appends are points."""

    def __init__(self, store: MemoryStateStore, life: Life) -> None:
        self._store = store
        self._life = life

    async def append(self, records, *, updates=(), position=None, pins=()):
        self._life.point()
        indexes = await self._store.append(records, updates=updates, position=position, pins=pins)
        self._life.point()
        return indexes

    def __getattr__(self, name: str) -> object:
        self._life.must_live()
        return getattr(self._store, name)


class MortalCluster:
    """A Cluster whose writes are points, and which insists on an intent before each."""

    def __init__(self, cluster: MemoryCluster, life: Life, store: MemoryStateStore) -> None:
        self._cluster = cluster
        self._life = life
        self._store = store

    @property
    def name(self):
        return self._cluster.name

    async def apply(self, body, *, dry_run, force=False):
        self._life.must_live()
        if dry_run:
            return await self._cluster.apply(body, dry_run=True, force=force)
        await self._require_intent(key_of(body)[0])
        self._life.point()
        stored = await self._cluster.apply(body, dry_run=False, force=force)
        self._life.point()
        return stored

    async def delete(self, key, api_version, *, uid):
        await self._require_intent(key)
        self._life.point()
        found = await self._cluster.delete(key, api_version, uid=uid)
        self._life.point()
        return found

    async def _require_intent(self, key) -> None:
        pending = await self._store.pending()
        intents = [p for p in pending if (p.record.cluster, p.record.object) == (self.name, key)]
        assert intents, f"{key} is written without an intent"
        assert all(intent.record.commit for intent in intents)

    async def watch(self, resource, *, selector) -> AsyncIterator[object]:
        async for event in self._cluster.watch(resource, selector=selector):
            self._life.must_live()
            yield event

    def __getattr__(self, name: str) -> Callable[..., object]:
        self._life.must_live()
        return getattr(self._cluster, name)


class MortalReplicas:
    """Replicas of which every request that changes something is a point."""

    def __init__(self, replicas: MemoryReplicas, life: Life) -> None:
        self._replicas = replicas
        self._life = life

    async def post(self, replica, port, path, body):
        self._life.point()
        answer = await self._replicas.post(replica, port, path, body)
        self._life.point()
        return answer

    def __getattr__(self, name: str) -> object:
        self._life.must_live()
        return getattr(self._replicas, name)
