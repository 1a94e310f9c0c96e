"""Views of all the clusters, led by us or not.

Separate because a cluster that cannot be seen still has units, and they must be told to wait
rather than be forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.desired import DesiredState
from reconciler.core.errors import Transient
from reconciler.core.identifiers import ClusterName, GroupVersionKind
from reconciler.core.ledger import Ledger
from reconciler.core.outstanding import ClusterView
from reconciler.core.snapshots import FrozenSnapshot
from reconciler.engine.books import Books
from reconciler.engine.leading import Leader
from reconciler.ports import Clock


async def views_of(
    desired: DesiredState, leader: Leader, books: Books, clock: Clock
) -> Sequence[ClusterView]:
    """A view of every cluster that this repository has, or should have, anything in."""
    names = sorted({cluster for cluster, _ in desired.units} | books.clusters)
    unseen: dict[ClusterName, str] = {}
    for name in names:
        if name in leader.sessions:
            try:
                await leader.sessions[name].observer.watch_types(_types_in(desired, name))
            except Transient as error:
                # Not even what it serves is known. That is no reason to keep the others waiting.
                unseen[name] = error.message
    return [
        _stale(name, unseen[name], books) if name in unseen else _view(name, leader, books, clock)
        for name in names
    ]


def _types_in(desired: DesiredState, name: ClusterName) -> frozenset[GroupVersionKind]:
    units = (unit for (cluster, _), unit in desired.units.items() if cluster == name)
    return frozenset[GroupVersionKind]().union(*(unit.types for unit in units))


def _view(name: ClusterName, leader: Leader, books: Books, clock: Clock) -> ClusterView:
    session = leader.sessions.get(name)
    if session is not None:
        return session.view(clock.monotonic())
    trouble = leader.troubles.get(name, "the daemon has no settings for this cluster")
    return _stale(name, trouble, books)


def _stale(name: ClusterName, trouble: str, books: Books) -> ClusterView:
    ledger = books.ledger(name) if name in books.clusters else Ledger(name)
    return ClusterView(ledger, FrozenSnapshot(name, stale=trouble))
