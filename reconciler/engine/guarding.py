"""Guarding: no lease, and so no write, before the daemon's own rights were looked at.

Separate from the lease, which any process may hold, and asked anew at every tenure, because rights
change while the daemon waits. The invariant: a daemon that is told to have least rights never
writes with more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.core.rights import excessive_rights
from reconciler.ports import Cluster, Lease, Tenure

log = structlog.get_logger()


class GuardedLease:
    """A Lease whose block is entered only with rights that are not excessive.

    With `tolerant`, excessive rights are only logged. `hold` raises Misconfigured otherwise.
    `answered` is told when the cluster gave its answer, and the wait for the lease begins.
    """

    def __init__(
        self,
        lease: Lease,
        cluster: Cluster,
        *,
        tolerant: bool,
        answered: Callable[[ClusterName], None],
    ) -> None:
        self._lease = lease
        self._cluster = cluster
        self._tolerant = tolerant
        self._answered = answered

    def hold(self) -> AbstractAsyncContextManager[Tenure]:
        return self._hold()

    @asynccontextmanager
    async def _hold(self) -> AsyncIterator[Tenure]:
        excessive = excessive_rights(await self._cluster.rights(""))
        name = self._cluster.name
        if excessive and not self._tolerant:
            raise Misconfigured(
                f"the daemon may do too much in {name}: {'; '.join(excessive)}",
                hint="give it a role of its own; rights: unrestricted-for-development runs anyway",
            )
        if excessive:
            log.warning("rights.excessive", cluster=name, rights=excessive)
        self._answered(name)
        async with self._lease.hold() as tenure:
            yield tenure
