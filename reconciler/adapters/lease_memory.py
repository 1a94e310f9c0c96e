"""A lease in memory: the record that a Lease object would hold.

Separate so that engine tests and simulations elect leaders in virtual time, with the very
algorithm that runs on a real cluster.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from reconciler.adapters.cluster_lease import LeaseRecord
from reconciler.core.errors import FairleadError, Transient


class MemoryLeaseStore:
    """One record, shared by all who compete for it. `error`, while set, fails every call."""

    def __init__(self) -> None:
        self.error: FairleadError | None = None
        self._record: LeaseRecord | None = None
        self._version = 0

    async def read(self) -> LeaseRecord | None:
        await self._answer()
        return self._record

    async def write(self, record: LeaseRecord, *, replacing: LeaseRecord | None) -> LeaseRecord:
        await self._answer()
        if replacing != self._record:
            raise Transient("write lease: the object has been modified")
        self._version += 1
        self._record = replace(record, version=str(self._version))
        return self._record

    def forget(self) -> None:
        """Somebody deletes the Lease object."""
        self._record = None

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
