"""The books: ledgers, position and pins in memory, always equal to what is durable.

Separate from the store, because every pass reads them and only a few lines write them. The
invariant: memory changes after the transaction and never before, so a reader sees nothing that a
crash could take back; and no record, no change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.core.audit.records import AuditRecord
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.ledger import Entry, Ledger, LedgerUpdate, Position, UnitState
from reconciler.core.manifests import JsonObject
from reconciler.core.secret_versions import Pin, PinBook
from reconciler.ports import StateStore


class _ClusterBooks:
    def __init__(self, ledger: Ledger) -> None:
        self.entries: dict[ObjectKey, Entry] = dict(ledger.entries)
        self.units: dict[UnitName, UnitState] = dict(ledger.units)
        # Shares the dictionaries: a view that is always current, at no cost per pass.
        self.ledger = Ledger(ledger.cluster, self.entries, self.units)

    def update(self, update: LedgerUpdate) -> None:
        self.entries.update((entry.key, entry) for entry in update.put)
        for key in update.drop:
            self.entries.pop(key, None)
        self.units.update((state.unit, state) for state in update.units)
        for unit in update.forget_units:
            self.units.pop(unit, None)


class Books:
    """Reads once at the start, then follows its own writes."""

    def __init__(
        self,
        store: StateStore,
        ledgers: Mapping[ClusterName, Ledger],
        position: Position,
        pins: PinBook,
    ) -> None:
        self._store = store
        self.pins = pins
        """Versions of secrets that were decided for good."""
        self._clusters = {name: _ClusterBooks(ledger) for name, ledger in ledgers.items()}
        self._position = position
        self._positioning = asyncio.Lock()

    @classmethod
    async def open(cls, store: StateStore, clusters: Sequence[ClusterName]) -> Books:
        ledgers = {name: await store.ledger(name) for name in clusters}
        pins = PinBook().with_(await store.pins())
        return cls(store, ledgers, await store.position(), pins)

    async def reload(self, cluster: ClusterName) -> None:
        """Read all but the other ledgers again: another daemon may have written it."""
        self._clusters[cluster] = _ClusterBooks(await self._store.ledger(cluster))
        self._position = await self._store.position()
        self.pins = PinBook().with_(await self._store.pins())

    @property
    def clusters(self) -> AbstractSet[ClusterName]:
        return self._clusters.keys()

    @property
    def position(self) -> Position:
        return self._position

    def ledger(self, cluster: ClusterName) -> Ledger:
        return self._clusters[cluster].ledger

    async def write(
        self,
        records: Sequence[AuditRecord],
        *,
        updates: Sequence[LedgerUpdate] = (),
        position: Position | None = None,
        journal: Mapping[str, JsonObject | None] | None = None,
        pins: Sequence[Pin] = (),
    ) -> Sequence[int]:
        """Append records and make the updates, durably and together; returns record indexes.

        The journal is not taken from `position`, which may have been made a while ago, but is the
        one of now with the rollouts of `journal` put in; None takes one out.

        Once the transaction has begun it is seen through even when the caller is cancelled:
        otherwise memory could miss what the database has.
        """
        writing = asyncio.ensure_future(
            self._write(records, updates, position, journal or {}, pins)
        )
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            raise

    async def _write(
        self,
        records: Sequence[AuditRecord],
        updates: Sequence[LedgerUpdate],
        position: Position | None,
        journal: Mapping[str, JsonObject | None],
        pins: Sequence[Pin],
    ) -> Sequence[int]:
        if position is None and not journal:
            return await self._append(records, updates, None, pins)
        # Passes and rollouts both write the position: one at a time, or one would undo the other.
        async with self._positioning:
            now = self._position
            entries = {**now.journal, **journal}
            kept = {name: body for name, body in entries.items() if body is not None}
            merged = replace(position or now, journal=kept)
            indexes = await self._append(records, updates, merged, pins)
            self._position = merged
            return indexes

    async def _append(
        self,
        records: Sequence[AuditRecord],
        updates: Sequence[LedgerUpdate],
        position: Position | None,
        pins: Sequence[Pin],
    ) -> Sequence[int]:
        indexes = await self._store.append(records, updates=updates, position=position, pins=pins)
        self.pins = self.pins.with_(pins) if pins else self.pins
        for update in updates:
            self._clusters[update.cluster].update(update)
        return indexes
