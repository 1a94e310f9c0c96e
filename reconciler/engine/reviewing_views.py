"""Views of the clusters for plans of what was not merged, and marks that tell when they changed.

Separate from viewing.py, whose watches are the engine's own: what a pull request declares must not
make the engine watch anything, or find a cluster stale. The invariant: nothing of a running engine
is changed here, and no cluster is asked but for types that the engine does not watch.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain

from reconciler.core.desired import DesiredState
from reconciler.core.errors import Transient
from reconciler.core.identifiers import ClusterName, Digest, GroupVersionKind, ObjectKey
from reconciler.core.ledger import Ledger
from reconciler.core.outstanding import ClusterView
from reconciler.core.snapshots import ClusterSnapshot, FrozenSnapshot, LiveObject
from reconciler.engine.driving import Engine
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock

NO_SETTINGS = "the daemon has no settings for this cluster"


class _Joined:
    """Two snapshots of one cluster, of different types."""

    def __init__(self, one: ClusterSnapshot, other: ClusterSnapshot) -> None:
        self.cluster = one.cluster
        self._both = (one, other)

    @property
    def stale(self) -> str:
        return self._both[0].stale or self._both[1].stale

    def get(self, key: ObjectKey) -> LiveObject | None:
        return self._both[0].get(key) or self._both[1].get(key)

    def __iter__(self) -> Iterator[LiveObject]:
        return chain(*self._both)


@asynccontextmanager
async def views_aside(
    desired: DesiredState, engine: Engine, clock: Clock, *, repository: str
) -> AsyncIterator[Sequence[ClusterView]]:
    """A view of every cluster that the commit, or what was applied, has anything in."""
    names = sorted({cluster for cluster, _ in desired.units} | engine.books.clusters)
    async with AsyncExitStack() as watches:
        yield [
            await _view(name, desired, engine, clock, watches, repository=repository)
            for name in names
        ]


async def _view(
    name: ClusterName,
    desired: DesiredState,
    engine: Engine,
    clock: Clock,
    watches: AsyncExitStack,
    *,
    repository: str,
) -> ClusterView:
    session = engine.leader.sessions.get(name)
    if session is None:
        return _stale(name, engine, engine.leader.troubles.get(name, NO_SETTINGS))
    view = session.view(clock.monotonic())
    units = (unit for (cluster, _), unit in desired.units.items() if cluster == name)
    types = frozenset[GroupVersionKind]().union(*(unit.types for unit in units))
    if not (unwatched := session.observer.unwatched(types)):
        return view
    observer = ClusterObserver(session.cluster, repository=repository)
    watches.push_async_callback(observer.stop)
    try:
        await observer.watch_types(unwatched)
    except Transient as error:
        return _stale(name, engine, error.message)
    return ClusterView(view.ledger, _Joined(view.snapshot, observer), view.contested)


def _stale(name: ClusterName, engine: Engine, trouble: str) -> ClusterView:
    known = name in engine.books.clusters
    ledger = engine.books.ledger(name) if known else Ledger(name)
    return ClusterView(ledger, FrozenSnapshot(name, stale=trouble))


def marks(engine: Engine, clock: Clock) -> Mapping[ClusterName, Digest]:
    """What plans rest on in each cluster, in a few bytes. Reads memory only."""
    positions = repr(sorted((n, s.place) for n, s in engine.reconciler.positions.states().items()))
    found = {}
    for name in sorted(engine.books.clusters):
        session = engine.leader.sessions.get(name)
        mark = hashlib.sha256(positions.encode())
        if session is None:
            mark.update(engine.leader.troubles.get(name, NO_SETTINGS).encode())
        else:
            _add(mark, session, clock.monotonic())
        found[name] = Digest(f"sha256:{mark.hexdigest()}")
    return found


def _add(mark: hashlib._Hash, session: ClusterSession, now: float) -> None:
    view = session.view(now)
    mark.update(view.snapshot.stale.encode())
    # One text for each object, for there may be ten thousand: 15 ms, and a sorted list of tuples,
    # keys among them, takes 200.
    lines = [
        f"{key.group}/{key.kind}/{key.namespace}/{key.name} {live.uid} {live.owned}"
        for live in view.snapshot
        for key in (live.key,)
    ]
    lines.sort()
    mark.update("\n".join(lines).encode())
    units = sorted(
        (s.unit, s.standing, s.digest or "", s.refused or "") for s in view.ledger.units.values()
    )
    mark.update(repr((units, sorted(view.contested), len(view.ledger.entries))).encode())
