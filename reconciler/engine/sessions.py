"""ClusterSession: all that the engine holds of one cluster while it may write to it.

Separate so that executing, correcting and reconciling share one view of who is writing what. The
invariant: an object is in flight from before its intent is recorded until after its outcome is,
and nobody else writes it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reconciler.core.audit.records import AuditRecord
from reconciler.core.fights import Corrections
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.ledger import LedgerUpdate, Standing
from reconciler.core.outstanding import ClusterView
from reconciler.engine.books import Books
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.previewing import CONCURRENCY
from reconciler.ports import Cluster, Tenure


@dataclass(eq=False)
class ClusterSession:
    """One cluster during one tenure."""

    cluster: Cluster
    observer: ClusterObserver
    tenure: Tenure
    books: Books
    in_flight: set[ObjectKey] = field(default_factory=set)
    corrections: dict[ObjectKey, Corrections] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENCY))
    """Writes that may be on their way at once, whoever writes them."""
    owed: list[tuple[Sequence[AuditRecord], LedgerUpdate]] = field(default_factory=list)
    """Outcomes that the books could not take, with what they mean for the ledger."""
    _landed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> ClusterName:
        return self.cluster.name

    @asynccontextmanager
    async def flight(self, keys: AbstractSet[ObjectKey]) -> AsyncIterator[None]:
        """Let these objects be written by the block alone: wait for whoever writes one now.

        All are taken at once, so no two blocks can wait for each other.
        """
        while not self.in_flight.isdisjoint(keys):
            self._landed.clear()
            await self._landed.wait()
        self.in_flight |= keys
        try:
            yield
        finally:
            self.in_flight -= keys
            self._landed.set()

    def corrects(self, unit: UnitName) -> bool:
        """Whether drift in this unit is put back: not while a plan is changing the unit."""
        state = self.books.ledger(self.name).units.get(unit)
        return state is not None and state.standing is not Standing.PROGRESSING

    def view(self, now: float) -> ClusterView:
        contested = [key for key, past in self.corrections.items() if past.contested(now)]
        return ClusterView(self.books.ledger(self.name), self.observer, frozenset(contested))
