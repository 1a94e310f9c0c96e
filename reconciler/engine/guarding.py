"""Guarding: no lease, and so no write, before the daemon's own rights were looked at.

Separate from the lease, which any process may hold, and asked anew at every tenure, because rights
change while the daemon waits. The invariant: a daemon that is told to have least rights never
writes with more, be it in the whole cluster or in one namespace that it writes to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from reconciler.core.authorship import Author, People
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Misconfigured, Refused
from reconciler.core.identifiers import ClusterName
from reconciler.core.rights import excessive_rights
from reconciler.engine.concurrency import bounded
from reconciler.ports import Clock, Cluster, Lease, Tenure

log = structlog.get_logger()

AGAIN_SECONDS = 3600.0
"""How long an answer counts. Whoever may bind a role to us can do so at any time."""

CONCURRENCY = 8
"""Namespaces that are asked about at once."""

MOST_NAMED = 3

_NEEDED = (
    "it takes Kubernetes 1.36, or 1.35 with the feature gate ConstrainedImpersonation, and the "
    "rights that `fairlead rights` prints; without them, take applyAs out of the settings"
)

WHOLE_CLUSTER = ""
"""The namespace to ask about what holds in all of them."""


class RightsReview:
    """Looks at the daemon's own rights, in each namespace once an hour.

    With `tolerant`, excessive rights are only logged. `people` are those in whose name it has to be
    allowed to write.
    """

    def __init__(
        self,
        clusters: Mapping[ClusterName, Cluster],
        clock: Clock,
        *,
        tolerant: bool,
        people: People | None = None,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._tolerant = tolerant
        self._people = people
        self._asked: dict[tuple[ClusterName, str], float] = {}

    def forget(self, cluster: ClusterName) -> None:
        """Ask about every namespace of the cluster again."""
        self._asked = {place: at for place, at in self._asked.items() if place[0] != cluster}

    async def require_in_all(self, desired: DesiredState, clusters: Iterable[ClusterName]) -> None:
        """Raise Misconfigured where rights in a namespace that `desired` writes to are too many."""
        namespaces: dict[ClusterName, set[str]] = {name: set() for name in clusters}
        for (cluster, _), unit in desired.units.items():
            if cluster in namespaces:
                namespaces[cluster] |= unit.namespaces
        for cluster, concerned in namespaces.items():
            await self.require(cluster, concerned)

    async def require(self, cluster: ClusterName, namespaces: Iterable[str]) -> None:
        """Raise Misconfigured when the rights in the cluster, or in any of these, are too many."""
        now = self._clock.monotonic()
        asked = [
            namespace
            for namespace in sorted({WHOLE_CLUSTER, *namespaces})
            if now - self._asked.get((cluster, namespace), now - AGAIN_SECONDS) >= AGAIN_SECONDS
        ]
        answers = await bounded(asked, self._clusters[cluster].rights, limit=CONCURRENCY)
        places: dict[str, list[str]] = defaultdict(list)
        for namespace, rules in zip(asked, answers, strict=True):
            for reason in excessive_rights(rules):
                places[reason].append(namespace)
        if places:
            self._excessive(cluster, [_told(what, where) for what, where in places.items()])
        self._asked |= {(cluster, namespace): now for namespace in asked}

    async def require_authors(self, cluster: ClusterName) -> None:
        """Raise Misconfigured unless the cluster takes the daemon for each author that it acts for.

        What was asked for is seen from the outside alone: an API server that is too old, or whose
        feature is off, says no as one does that gives no right.
        """
        if self._people is None or cluster not in self._people.clusters:
            return

        async def require(author: Author) -> None:
            try:
                seen = await self._clusters[cluster].on_behalf_of(author).seen_as()
            except Refused as error:
                raise Misconfigured(
                    f"{cluster} does not let the daemon act as {author.user}: {error.message}",
                    hint=_NEEDED,
                ) from error
            if (seen.user, {*seen.groups}) != (author.user, {*author.groups}):
                raise Misconfigured(
                    f"{cluster} takes {author.user} for {seen.user} in {', '.join(seen.groups)}",
                    hint="write under people what the API server knows them by",
                )

        await bounded(list(self._people.authors.values()), require, limit=CONCURRENCY)

    def _excessive(self, cluster: ClusterName, reasons: list[str]) -> None:
        if self._tolerant:
            log.warning("rights.excessive", cluster=cluster, rights=reasons)
            return
        raise Misconfigured(
            f"the daemon may do too much in {cluster}: {'; '.join(sorted(reasons))}",
            hint="give it a role of its own, as `fairlead rights` prints it; "
            "rights: unrestricted-for-development runs anyway",
        )


def _told(reason: str, namespaces: list[str]) -> str:
    if WHOLE_CLUSTER in namespaces:
        return reason
    more = f" and {len(namespaces) - MOST_NAMED} more" if len(namespaces) > MOST_NAMED else ""
    return f"{reason} in {', '.join(namespaces[:MOST_NAMED])}{more}"


class GuardedLease:
    """A Lease whose block is entered only with rights that are not excessive.

    `written` names the namespaces that the daemon has objects in. `hold` raises Misconfigured where
    it may do too much, or may not act for those in whose name it is to write. `answered` is told
    when the cluster gave its answer, and the wait for the lease begins.
    """

    def __init__(
        self,
        lease: Lease,
        cluster: ClusterName,
        review: RightsReview,
        *,
        written: Callable[[], Iterable[str]],
        answered: Callable[[ClusterName], None],
    ) -> None:
        self._lease = lease
        self._cluster = cluster
        self._review = review
        self._written = written
        self._answered = answered

    def hold(self) -> AbstractAsyncContextManager[Tenure]:
        return self._hold()

    @asynccontextmanager
    async def _hold(self) -> AsyncIterator[Tenure]:
        self._review.forget(self._cluster)
        await self._review.require(self._cluster, self._written())
        await self._review.require_authors(self._cluster)
        self._answered(self._cluster)
        async with self._lease.hold() as tenure:
            yield tenure
