"""One writer per cluster, by a Lease object in that cluster.

Separate from the leader election of the kubernetes package, which compares wall clocks of
different machines and goes on renewing when the work it guards has died. The invariants: two
tenures never overlap, whatever the wall clocks say, because a candidate waits the whole duration
after the last change that it saw itself, and a holder stops a third of the duration earlier;
and a lease is renewed only while the block that holds it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol, cast
from urllib.parse import quote

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.core.errors import FairleadError, LeadershipLost, Missing, Transient
from reconciler.core.manifests import FIELD_MANAGER, JsonObject
from reconciler.ports import Clock, Tenure

DURATION = timedelta(seconds=15)

RENEWALS_PER_DURATION = 3
RETRIES_PER_DURATION = 15

TENURE_SHARE = 2 / 3
"""Part of the duration for which a renewal is trusted. The rest is for requests that were sent
while the tenure lasted and for clocks that run at different speeds."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What the Lease object says. `version` changes with every write by anybody."""

    holder: str
    duration_seconds: int
    transitions: int
    version: str = ""


class LeaseStore(Protocol):
    """Where the record is kept. A write succeeds only on the version that was read."""

    async def read(self) -> LeaseRecord | None: ...

    async def write(self, record: LeaseRecord, *, replacing: LeaseRecord | None) -> LeaseRecord:
        """Raises Transient when the stored record is not `replacing` any more."""
        ...


class _HeldTenure:
    def __init__(self, clock: Clock, *, epoch: int, until: float) -> None:
        self._clock = clock
        self._epoch = epoch
        self._ended = asyncio.Event()
        self.until = until

    @property
    def epoch(self) -> int:
        return self._epoch

    def require(self) -> None:
        if self._ended.is_set() or self._clock.monotonic() >= self.until:
            raise LeadershipLost(
                "this process may not write to the cluster any more",
                hint="another one has taken over, or the API server could not be reached in time",
            )

    async def lost(self) -> None:
        await self._ended.wait()

    def end(self) -> None:
        self._ended.set()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()


class ClusterLease:
    """The Lease port over a LeaseStore. `identity` must be unique to this process."""

    def __init__(
        self, store: LeaseStore, *, identity: str, clock: Clock, duration: timedelta = DURATION
    ) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._duration = duration.total_seconds()

    def hold(self) -> AbstractAsyncContextManager[Tenure]:
        return self._hold()

    @asynccontextmanager
    async def _hold(self) -> AsyncIterator[Tenure]:
        record, tenure = await self._acquired()
        renewal = asyncio.create_task(self._renew(tenure, record), name="renew lease")
        try:
            yield tenure
        finally:
            released = not tenure.has_ended
            renewal.cancel()
            await asyncio.wait({renewal})
            if released:
                await self._release()
        if not renewal.cancelled() and (error := renewal.exception()) is not None:
            raise error

    async def _acquired(self) -> tuple[LeaseRecord, _HeldTenure]:
        """Wait until nobody holds the lease, then take it. Raises what is Terminal."""
        seen: LeaseRecord | None = None
        seen_at = self._clock.monotonic()
        while True:
            pause = self._duration / RENEWALS_PER_DURATION
            try:
                current = await self._store.read()
                now = self._clock.monotonic()
                if current != seen:
                    seen, seen_at = current, now
                free_in = self._free_in(current, now - seen_at)
                if free_in <= 0:
                    return await self._take(current, at=now)
                pause = min(pause, free_in)
            except Transient:
                # Somebody was faster, or the server is away: the next look tells.
                pause = self._duration / RETRIES_PER_DURATION
            await self._clock.sleep(pause)

    def _free_in(self, record: LeaseRecord | None, unchanged_for: float) -> float:
        if record is None or not record.holder:
            return 0.0
        return record.duration_seconds - unchanged_for

    async def _take(
        self, current: LeaseRecord | None, *, at: float
    ) -> tuple[LeaseRecord, _HeldTenure]:
        wanted = LeaseRecord(
            holder=self._identity,
            duration_seconds=max(1, round(self._duration)),
            transitions=current.transitions + 1 if current else 1,
        )
        record = await self._store.write(wanted, replacing=current)
        until = at + self._duration * TENURE_SHARE
        return record, _HeldTenure(self._clock, epoch=record.transitions, until=until)

    async def _renew(self, tenure: _HeldTenure, record: LeaseRecord) -> None:
        """Renew until cancelled, or until the tenure cannot be trusted any more."""
        pause = self._duration / RENEWALS_PER_DURATION
        try:
            while True:
                await self._clock.sleep(min(pause, tenure.until - self._clock.monotonic()))
                started = self._clock.monotonic()
                if started >= tenure.until:
                    return
                try:
                    async with asyncio.timeout(tenure.until - started):
                        record = await self._renewed(record)
                except LeadershipLost:
                    return
                except (FairleadError, TimeoutError):
                    # Also what is Terminal, such as Forbidden, may be over before the deadline.
                    pause = self._duration / RETRIES_PER_DURATION
                    continue
                tenure.until = started + self._duration * TENURE_SHARE
                pause = self._duration / RENEWALS_PER_DURATION
        finally:
            tenure.end()

    async def _renewed(self, record: LeaseRecord) -> LeaseRecord:
        try:
            return await self._store.write(record, replacing=record)
        except Transient:
            # Our own write may have arrived though its answer did not, or somebody labelled
            # the object: what counts is who holds it now.
            current = await self._store.read()
            if not self._is_ours(current, record.transitions):
                raise LeadershipLost("the lease has another holder") from None
            assert current is not None
            return await self._store.write(current, replacing=current)

    def _is_ours(self, record: LeaseRecord | None, epoch: int) -> bool:
        return (
            record is not None and record.holder == self._identity and record.transitions == epoch
        )

    async def _release(self) -> None:
        """Let the next one in at once. When this fails the lease runs out by itself."""
        try:
            async with asyncio.timeout(self._duration / RENEWALS_PER_DURATION):
                current = await self._store.read()
                if current is not None and current.holder == self._identity:
                    await self._store.write(replace(current, holder=""), replacing=current)
        except (FairleadError, TimeoutError):
            return


class KubernetesLeaseStore:
    """A coordination.k8s.io/v1 Lease. Labels and annotations of others stay."""

    def __init__(
        self, connection: ApiConnection, *, namespace: str, name: str, clock: Clock
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._collection = (
            f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
        )
        self._path = f"{self._collection}/{quote(name, safe='')}"
        self._last: JsonObject = {}

    async def read(self) -> LeaseRecord | None:
        try:
            self._last = await self._connection.request("GET", self._path, doing="read lease")
        except Missing:
            return None
        return _record(self._last)

    async def write(self, record: LeaseRecord, *, replacing: LeaseRecord | None) -> LeaseRecord:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = self._blank() if replacing is None else self._last
        metadata = cast(JsonObject, body["metadata"])
        spec = cast(JsonObject, body.get("spec") or {})
        took_over = replacing is None or replacing.transitions != record.transitions
        wanted: JsonObject = {
            **body,
            "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}
            | ({"resourceVersion": replacing.version} if replacing else {}),
            "spec": {
                **spec,
                "holderIdentity": record.holder,
                "leaseDurationSeconds": record.duration_seconds,
                "leaseTransitions": record.transitions,
                "acquireTime": now if took_over else spec.get("acquireTime"),
                "renewTime": now,
            },
        }
        self._last = await self._connection.request(
            "POST" if replacing is None else "PUT",
            self._collection if replacing is None else self._path,
            doing="write lease",
            query={"fieldManager": FIELD_MANAGER},
            body=wanted,
        )
        return _record(self._last)

    def _blank(self) -> JsonObject:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
        }


def _record(body: JsonObject) -> LeaseRecord:
    spec = cast(JsonObject, body.get("spec") or {})
    metadata = cast(JsonObject, body["metadata"])
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        duration_seconds=cast(int, spec.get("leaseDurationSeconds") or 0),
        transitions=cast(int, spec.get("leaseTransitions") or 0),
        version=str(metadata["resourceVersion"]),
    )
