"""Leading: one ClusterSession per cluster, for as long as its lease is held.

Separate from reconciling.py, which uses whatever sessions there are. The invariant: a session is
offered only after the ledger was read anew, what a predecessor left open was closed in the log,
and the cluster was listed; and it is withdrawn before its tenure can end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.errors import FairleadError, Misconfigured
from reconciler.core.identifiers import ClusterName, CommitSha, GroupVersionKind
from reconciler.core.manifests import JsonObject
from reconciler.engine.books import Books
from reconciler.engine.concurrency import first_of
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.performing import Context
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock, Cluster, Lease, StateStore, Tenure

log = structlog.get_logger()

RETRY_SECONDS = 5.0

NOT_CONNECTED = "not connected yet"
"""The trouble of a cluster that nobody has spoken to since the start."""

WAITING = "waiting for the lease of the cluster, which another daemon may hold"

LOST = (
    "the lease of the cluster was lost: another daemon took it, or no renewal was answered in time"
)


class Leader:
    """Keeps the sessions. `on_ready` is told of each new one; it must not block."""

    def __init__(
        self,
        *,
        clusters: Mapping[ClusterName, Cluster],
        leases: Mapping[ClusterName, Lease],
        books: Books,
        store: StateStore,
        clock: Clock,
        on_ready: Callable[[ClusterSession], None],
        on_end: Callable[[ClusterSession], None],
    ) -> None:
        self._clusters = clusters
        self._leases = leases
        self._books = books
        self._store = store
        self._clock = clock
        self._on_ready = on_ready
        self._on_end = on_end
        self.sessions: dict[ClusterName, ClusterSession] = {}
        self.troubles: dict[ClusterName, str] = dict.fromkeys(clusters, NOT_CONNECTED)

    async def lead(self, cluster: ClusterName, context: Context) -> None:
        """Hold the lease of one cluster for ever, a session per tenure."""
        while True:
            try:
                async with self._leases[cluster].hold() as tenure:
                    await self._serve(self._clusters[cluster], tenure, context)
            except Misconfigured:
                raise
            except FairleadError as error:
                # Terminal ones as well: a namespace or a right that is missing here is no reason
                # to leave the other clusters alone.
                self._troubled(cluster, error)
                await self._clock.sleep(RETRY_SECONDS)

    def answered(self, cluster: ClusterName) -> None:
        """The cluster was spoken to; what is missing now is its lease."""
        self.troubles[cluster] = WAITING

    def _troubled(self, cluster: ClusterName, error: FairleadError) -> None:
        self.troubles[cluster] = error.message
        log.warning("cluster.trouble", cluster=cluster, reason=error.message)

    async def _serve(self, cluster: Cluster, tenure: Tenure, context: Context) -> None:
        await self._books.reload(cluster.name)
        await self._close_open_intents(cluster.name, tenure, context)
        observer = ClusterObserver(cluster, repository=context.repository)
        session = ClusterSession(cluster, observer, tenure, self._books)
        entries = self._books.ledger(cluster.name).entries
        try:
            await observer.watch_types(
                {GroupVersionKind.of(e.api_version, e.key.kind) for e in entries.values()}
            )
            self.sessions[cluster.name] = session
            self.troubles.pop(cluster.name, None)
            self._on_ready(session)
            await first_of(tenure.lost(), observer.crashed())
            self.troubles[cluster.name] = LOST
        finally:
            self.sessions.pop(cluster.name, None)
            self._on_end(session)
            await observer.stop()

    async def _close_open_intents(
        self, cluster: ClusterName, tenure: Tenure, context: Context
    ) -> None:
        """Give every intent that a dead process left open its outcome: unknown.

        What really happened shows in the cluster, and the next plan starts from there.
        """
        left = [item for item in await self._store.pending() if item.record.cluster == cluster]
        records = [
            AuditRecord(
                time=self._clock.now(),
                repository=context.repository,
                commit=item.record.commit,
                actor=context.actor,
                verb=item.record.verb,
                phase=Phase.OUTCOME,
                reason=item.record.reason,
                cluster=cluster,
                unit=item.record.unit,
                object=item.record.object,
                before=item.record.before,
                after=item.record.after,
                plan=item.record.plan,
                result="interrupted",
                intent=item.index,
                detail={"epoch": tenure.epoch},
            )
            for item in left
        ]
        head = self._books.position.accepted
        if head is not None:
            records.append(self._lead_record(cluster, tenure, context, head))
        if records:
            await self._books.write(records)

    def _lead_record(
        self, cluster: ClusterName, tenure: Tenure, context: Context, commit: CommitSha
    ) -> AuditRecord:
        detail: JsonObject = {"epoch": tenure.epoch}
        return context.decision(
            self._clock.now(), commit, Verb.LEAD, cluster=cluster, result="ok", detail=detail
        )
