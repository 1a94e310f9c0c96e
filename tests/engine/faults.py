"""Ports that are slow, or fail, in ways that the in-memory ones do not."""

from __future__ import annotations

import asyncio
import random

from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.errors import FairleadError


class SlowCluster:
    """A Cluster whose requests take a while before and after their effect, so that others can
    come in between. The same seed gives the same delays."""

    def __init__(self, cluster: MemoryCluster, *, seconds: float, seed: int = 0) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._chance = random.Random(seed)

    @property
    def name(self):
        return self._cluster.name

    async def apply(self, body, *, dry_run, force=False):
        await self._pause()
        stored = await self._cluster.apply(body, dry_run=dry_run, force=force)
        await self._pause()
        return stored

    async def delete(self, key, api_version, *, uid):
        await self._pause()
        found = await self._cluster.delete(key, api_version, uid=uid)
        await self._pause()
        return found

    def __getattr__(self, name: str):
        return getattr(self._cluster, name)

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._seconds))


class FailingStore:
    """A StateStore whose appends fail while `error` is set, or from a chosen one on."""

    def __init__(self, store: MemoryStateStore) -> None:
        self._store = store
        self.error: FairleadError | None = None
        self.appends_until_error: int | None = None
        self.planned: FairleadError | None = None

    async def append(self, records, *, updates=(), position=None, pins=()):
        await asyncio.sleep(0)
        if self.appends_until_error is not None:
            if self.appends_until_error == 0:
                self.error, self.appends_until_error = self.planned, None
            else:
                self.appends_until_error -= 1
        if self.error is not None:
            raise self.error
        return await self._store.append(records, updates=updates, position=position, pins=pins)

    def __getattr__(self, name: str):
        return getattr(self._store, name)


class LeaseLine:
    """One client's way to a shared lease; `error`, while set, cuts only this one."""

    def __init__(self, store: MemoryLeaseStore) -> None:
        self._store = store
        self.error: FairleadError | None = None

    async def read(self):
        if self.error is not None:
            raise self.error
        return await self._store.read()

    async def write(self, record, *, replacing):
        if self.error is not None:
            raise self.error
        return await self._store.write(record, replacing=replacing)
