"""StateStore and AuditLog in memory.

Separate from the SQL one so that simulations and tests need no disk. The invariant: it answers
every call as the SQL store does, atomicity included, and forgets everything with the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import decode, encode
from reconciler.core.audit.pairing import paired
from reconciler.core.audit.records import AuditRecord
from reconciler.core.change_requests import ReviewRecord
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.ledger import Entry, Ledger, LedgerUpdate, Position, UnitState
from reconciler.core.secret_versions import Pin
from reconciler.ports import Head, Logged


@dataclass(slots=True)
class MemoryStateStore:
    """Every method runs to its end without awaiting, so each is a transaction."""

    _leaves: list[bytes] = field(default_factory=list)
    _levels: list[list[bytes]] = field(default_factory=lambda: [[]])
    _frontier: merkle.Frontier = field(default_factory=merkle.Frontier)
    _opened: dict[int, str] = field(default_factory=dict)
    _entries: dict[ClusterName, dict[ObjectKey, Entry]] = field(default_factory=dict)
    _units: dict[ClusterName, dict[UnitName, UnitState]] = field(default_factory=dict)
    _position: Position = field(default_factory=Position)
    _checkpoints: dict[int, bytes] = field(default_factory=dict)
    _reviews: dict[int, ReviewRecord] = field(default_factory=dict)
    _pins: dict[tuple[str, str, str], Pin] = field(default_factory=dict)

    async def append(
        self,
        records: Sequence[AuditRecord],
        *,
        updates: Sequence[LedgerUpdate] = (),
        position: Position | None = None,
        pins: Sequence[Pin] = (),
    ) -> Sequence[int]:
        start = len(self._leaves)
        leaves = [encode(record) for record in records]
        opening, closing = paired(records, start=start, opened=self._opened)
        # Nothing below can fail, so a call that fails has changed nothing.
        self._grow(leaves)
        for index in closing:
            del self._opened[index]
        self._opened.update(opening)
        for update in updates:
            self._update(update)
        self._position = self._position if position is None else position
        for pin in pins:
            self._pins.setdefault((pin.owner, pin.store, pin.reference), pin)
        return range(start, start + len(leaves))

    def _grow(self, leaves: Sequence[bytes]) -> None:
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        self._frontier, filled = self._frontier.extended(hashes)
        self._leaves.extend(leaves)
        self._levels[0].extend(hashes)
        for tile in filled:
            if tile.level == len(self._levels):
                self._levels.append([])
            self._levels[tile.level].append(tile.hash)

    def _update(self, update: LedgerUpdate) -> None:
        entries = self._entries.setdefault(update.cluster, {})
        entries.update((entry.key, entry) for entry in update.put)
        for key in update.drop:
            entries.pop(key, None)
        units = self._units.setdefault(update.cluster, {})
        units.update((state.unit, state) for state in update.units)
        for unit in update.forget_units:
            units.pop(unit, None)

    async def ledger(self, cluster: ClusterName) -> Ledger:
        entries, units = self._entries.get(cluster, {}), self._units.get(cluster, {})
        return Ledger(cluster, entries=dict(entries), units=dict(units))

    async def position(self) -> Position:
        return self._position

    async def pins(self) -> Sequence[Pin]:
        return sorted(self._pins.values())

    async def records(self, start: int = 0, limit: int = 1000) -> Sequence[Logged]:
        return tuple(
            Logged(index, decode(leaf))
            for index, leaf in enumerate(self._leaves[start : start + limit], start)
        )

    async def pending(self) -> Sequence[Logged]:
        return tuple(Logged(index, decode(self._leaves[index])) for index in sorted(self._opened))

    async def head(self) -> Head:
        return Head(self._frontier.size, self._frontier.root)

    async def leaves(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        return tuple(self._leaves[start : start + limit])

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        return self._read(level, start, stop)

    def _read(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        return tuple(self._levels[level][start:stop]) if level < len(self._levels) else ()

    async def inclusion(self, *, index: int, size: int) -> Sequence[bytes]:
        return merkle.inclusion_proof(self._read, index=index, size=size)

    async def consistency(self, *, old: int, new: int) -> Sequence[bytes]:
        return merkle.consistency_proof(self._read, old=old, new=new)

    async def checkpoints(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        sizes = sorted(size for size in self._checkpoints if size >= start)
        return tuple(self._checkpoints[size] for size in sizes[:limit])

    async def latest_checkpoint(self) -> bytes | None:
        return self._checkpoints[max(self._checkpoints)] if self._checkpoints else None

    async def keep_checkpoint(self, size: int, note: bytes) -> None:
        self._checkpoints.setdefault(size, note)

    async def reviews(self) -> Mapping[int, ReviewRecord]:
        return dict(self._reviews)

    async def keep_review(self, record: ReviewRecord) -> None:
        self._reviews[record.number] = record

    async def close(self) -> None:
        """Nothing to let go of: what was written stays readable."""
