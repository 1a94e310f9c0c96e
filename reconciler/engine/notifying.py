"""Notifying: a StateStore that tells others what was appended to it.

Separate so that metrics and checkpoints follow the log without a line in the code that writes it.
The invariant: listeners hear of a record only after it is durable, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from reconciler.core.audit.records import AuditRecord
from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger, LedgerUpdate, Position
from reconciler.core.secret_versions import Pin
from reconciler.ports import Logged, StateStore

Listener: TypeAlias = Callable[[Sequence[Logged]], None]


class NotifyingStore:
    """Passes everything on to `store`. Listeners must not block."""

    def __init__(self, store: StateStore, *listeners: Listener) -> None:
        self._store = store
        self._listeners = listeners

    async def append(
        self,
        records: Sequence[AuditRecord],
        *,
        updates: Sequence[LedgerUpdate] = (),
        position: Position | None = None,
        pins: Sequence[Pin] = (),
    ) -> Sequence[int]:
        indexes = await self._store.append(records, updates=updates, position=position, pins=pins)
        logged = [Logged(*item) for item in zip(indexes, records, strict=True)]
        for listener in self._listeners:
            listener(logged)
        return indexes

    async def ledger(self, cluster: ClusterName) -> Ledger:
        return await self._store.ledger(cluster)

    async def position(self) -> Position:
        return await self._store.position()

    async def pins(self) -> Sequence[Pin]:
        return await self._store.pins()

    async def records(self, start: int = 0, limit: int = 1000) -> Sequence[Logged]:
        return await self._store.records(start, limit)

    async def pending(self) -> Sequence[Logged]:
        return await self._store.pending()

    async def close(self) -> None:
        await self._store.close()
