"""What is not yet as declared: the units to work on, and the objects in them to ask about.

Separate from planning.py, because this part needs no server: it compares declarations with the
ledger and the watches, and names the few objects for which a dry run is worth a request. The
invariant: an object that is as declared, and as we left it, is never named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.audit.records import Reason
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.diffing import NOTHING_OWNED
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.ledger import Entry, Ledger, Standing, UnitState
from reconciler.core.manifests import Manifest, digest_of
from reconciler.core.plans import Waiting, WaitReason
from reconciler.core.snapshots import ClusterSnapshot, LiveObject

NO_OBJECTS = digest_of(b"[]")
"""Digest of a unit that the repository no longer declares."""

Place: TypeAlias = tuple[ClusterName, UnitName]
"""A unit in one cluster."""

ORPHANS = UnitName("orphans")
"""Unit of objects that carry our label and our fields, but that no ledger entry explains."""

BLOCKING = frozenset({Standing.REFUSED, Standing.HELD})
"""A unit that stands so keeps itself, and the units of the same commit, as they were."""

NOT_SETTLED = BLOCKING | {Standing.WAITING}


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What is known of one cluster when a plan is made."""

    ledger: Ledger
    snapshot: ClusterSnapshot
    contested: frozenset[ObjectKey] = frozenset()

    @property
    def cluster(self) -> ClusterName:
        return self.ledger.cluster


@dataclass(frozen=True, slots=True)
class Candidate:
    """One object that may have to be written. `desired` is None for what must go."""

    unit: UnitName
    stage: int
    key: ObjectKey
    desired: Manifest | None
    entry: Entry | None
    live: LiveObject | None

    @property
    def previous(self) -> Manifest | None:
        return self.entry.applied.manifest if self.entry and self.entry.applied else None

    @property
    def reason(self) -> Reason:
        """DRIFT when what we want is what we applied last; else the commit asks for it."""
        return Reason.DRIFT if self.desired and self.desired == self.previous else Reason.COMMIT

    def commit(self, head: CommitSha) -> CommitSha:
        """The commit that the object will name: what only restores keeps its own."""
        if self.reason is Reason.DRIFT and self.entry and self.entry.applied:
            return self.entry.applied.commit
        return head


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The work in one cluster: units by name with their stage, candidates, and what waits."""

    cluster: ClusterName
    units: Mapping[UnitName, Digest]
    candidates: tuple[Candidate, ...]
    waiting: tuple[Waiting, ...]


def outstanding(
    desired: DesiredState,
    views: Sequence[ClusterView],
    *,
    every_object: bool = False,
    retry_refused: bool = False,
    fallback: bool = False,
) -> tuple[Outstanding, ...]:
    """Compare the declarations with every cluster.

    Settled units are passed over, since the watches report their drift, unless `every_object`.
    Units whose dry run was refused are passed over unless `retry_refused`. With `fallback`, the
    commit is in force only because a newer one was refused: units that the newer one left
    refused, held or waiting stay so.
    """
    by_cluster = _units_by_cluster(desired)
    blocking = BLOCKING - ({Standing.REFUSED} if retry_refused else set())
    waits = _Waits(
        blocked=_blocked_commits(by_cluster, views, blocking),
        unseen=_first_unseen_stages(by_cluster, views),
    )
    return tuple(
        _outstanding_in(
            view,
            by_cluster.get(view.cluster, {}),
            waits,
            every_object=every_object,
            passed_over=NOT_SETTLED if fallback else frozenset(),
        )
        for view in views
    )


def wanted_digest(unit: Unit | None) -> Digest:
    return unit.digest if unit else NO_OBJECTS


def _units_by_cluster(desired: DesiredState) -> dict[ClusterName, dict[UnitName, Unit]]:
    by_cluster: dict[ClusterName, dict[UnitName, Unit]] = defaultdict(dict)
    for (cluster, name), unit in desired.units.items():
        by_cluster[cluster][name] = unit
    return by_cluster


def _blocked_commits(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]],
    views: Iterable[ClusterView],
    blocking: frozenset[Standing],
) -> Mapping[CommitSha, UnitState]:
    """Commits of which some unit is still as it was when it was refused, with that unit."""
    return {
        state.refused_commit: state
        for view in views
        for state in view.ledger.units.values()
        if state.standing in blocking
        and state.refused_commit
        and state.refused == wanted_digest(by_cluster.get(view.cluster, {}).get(state.unit))
    }


def _first_unseen_stages(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]], views: Iterable[ClusterView]
) -> Mapping[UnitName, tuple[int, ClusterName]]:
    """Per unit, the earliest stage that sits in a cluster we cannot see."""
    unseen: dict[UnitName, tuple[int, ClusterName]] = {}
    for view in views:
        if view.snapshot.stale:
            for name, unit in by_cluster.get(view.cluster, {}).items():
                here = (unit.stage, view.cluster)
                unseen[name] = min(unseen.get(name, here), here)
    return unseen


@dataclass(frozen=True, slots=True)
class _Waits:
    """What makes units wait: commits with a blocked unit, and stages in unseen clusters."""

    blocked: Mapping[CommitSha, UnitState]
    unseen: Mapping[UnitName, tuple[int, ClusterName]]

    def why(
        self, name: UnitName, unit: Unit | None, state: UnitState | None, stale: str
    ) -> Waiting | None:
        if stale:
            return Waiting(name, WaitReason.CLUSTER_STALE, stale)
        stage, cluster = self.unseen.get(name, (0, ""))
        if unit and stage < unit.stage and cluster:
            return Waiting(
                name, WaitReason.EARLIER_STAGE, f"cluster {cluster} comes first and cannot be seen"
            )
        if state is None or state.refused != wanted_digest(unit):
            return None
        culprit = self.blocked.get(state.refused_commit) if state.refused_commit else None
        if culprit and state.standing in BLOCKING:
            return Waiting(name, WaitReason.REFUSED_BEFORE, state.explanation)
        if culprit and state.standing is Standing.WAITING:
            return Waiting(
                name,
                WaitReason.REFUSED_TOGETHER,
                f"the same commit changes {culprit.unit}, which waits: {culprit.explanation}",
            )
        return None


def _outstanding_in(
    view: ClusterView,
    units: Mapping[UnitName, Unit],
    waits: _Waits,
    *,
    every_object: bool,
    passed_over: frozenset[Standing],
) -> Outstanding:
    entries = entries_by_unit(view.ledger)
    todo: dict[UnitName, Digest] = {}
    waiting: list[Waiting] = []
    candidates: list[Candidate] = []
    for name in sorted({*units, *view.ledger.units, *entries}):
        unit, state = units.get(name), view.ledger.units.get(name)
        settled = _is_settled(unit, state)
        if (settled and not every_object) or (state and state.standing in passed_over):
            continue
        if wait := waits.why(name, unit, state, view.snapshot.stale):
            waiting.append(wait)
            continue
        if not settled:
            todo[name] = wanted_digest(unit)
        candidates.extend(_candidates_of(name, unit, entries.get(name, ()), view, units))
    if not view.snapshot.stale:
        candidates.extend(_orphans(view, units))
    return Outstanding(view.cluster, todo, tuple(candidates), tuple(waiting))


def entries_by_unit(ledger: Ledger) -> Mapping[UnitName, list[Entry]]:
    entries: dict[UnitName, list[Entry]] = defaultdict(list)
    for entry in ledger.entries.values():
        entries[entry.unit].append(entry)
    return entries


def _is_settled(unit: Unit | None, state: UnitState | None) -> bool:
    if state is None:
        return False
    return state.standing is Standing.SETTLED and state.digest == wanted_digest(unit)


def _candidates_of(
    name: UnitName,
    unit: Unit | None,
    entries: Iterable[Entry],
    view: ClusterView,
    units: Mapping[UnitName, Unit],
) -> Iterable[Candidate]:
    manifests = unit.manifests if unit else {}
    stage = unit.stage if unit else 0
    for key, manifest in manifests.items():
        entry, live = view.ledger.entries.get(key), view.snapshot.get(key)
        if not as_left(manifest, entry, live):
            yield Candidate(name, stage, key, manifest, entry, live)
    for entry in entries:
        # Found in another unit's manifests, the object has moved: that unit's candidate updates it.
        if entry.key not in manifests and not _declared(entry.key, units):
            yield Candidate(name, stage, entry.key, None, entry, view.snapshot.get(entry.key))


def as_left(manifest: Manifest, entry: Entry | None, live: LiveObject | None) -> bool:
    """Whether the object is as `manifest` says and as our last write left it."""
    return (
        entry is not None
        and entry.applied is not None
        and live is not None
        and entry.applied.manifest.digest == manifest.digest
        and entry.applied.observed == live.owned
    )


def _declared(key: ObjectKey, units: Mapping[UnitName, Unit]) -> bool:
    return any(key in unit.manifests for unit in units.values())


def _orphans(view: ClusterView, units: Mapping[UnitName, Unit]) -> Iterable[Candidate]:
    """Objects of ours that the ledger lacks, as after the loss of the state database."""
    for live in view.snapshot:
        known = live.key in view.ledger.entries or live.controlled
        if known or live.owned == NOTHING_OWNED or _declared(live.key, units):
            continue
        yield Candidate(ORPHANS, 0, live.key, None, None, live)
