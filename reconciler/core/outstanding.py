"""What is not yet as declared: the units to work on, and the objects in them to ask about.

Separate from planning.py, because this part needs no server: it compares declarations with the
ledger and the watches, and names the few objects for which a dry run is worth a request. The
invariant: an object that is as declared, and as we left it, is never named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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

ORPHANS = UnitName("orphans")
"""Unit of objects that carry our label and our fields, but that no ledger entry explains."""


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
) -> tuple[Outstanding, ...]:
    """Compare the declarations with every cluster.

    Settled units are passed over, since the watches report their drift, unless `every_object`.
    """
    by_cluster = _units_by_cluster(desired)
    blocked = _blocked_units(by_cluster, views)
    stale = _first_stale_stage(by_cluster, views)
    return tuple(
        _outstanding_in(view, by_cluster.get(view.cluster, {}), blocked, stale, every_object)
        for view in views
    )


def wanted_digest(unit: Unit | None) -> Digest:
    return unit.digest if unit else NO_OBJECTS


def _units_by_cluster(desired: DesiredState) -> dict[ClusterName, dict[UnitName, Unit]]:
    by_cluster: dict[ClusterName, dict[UnitName, Unit]] = defaultdict(dict)
    for (cluster, name), unit in desired.units.items():
        by_cluster[cluster][name] = unit
    return by_cluster


def _blocked_units(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]], views: Iterable[ClusterView]
) -> Mapping[CommitSha, UnitState]:
    """Commits of which some unit is still as it was when it was refused, with that unit."""
    blocked: dict[CommitSha, UnitState] = {}
    for view in views:
        units = by_cluster.get(view.cluster, {})
        for state in view.ledger.units.values():
            if state.standing is Standing.HELD and state.refused_commit:
                if wanted_digest(units.get(state.unit)) == state.refused:
                    blocked[state.refused_commit] = state
    return blocked


def _first_stale_stage(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]], views: Iterable[ClusterView]
) -> Mapping[UnitName, tuple[int, ClusterName]]:
    """Per unit, the earliest stage that sits in a cluster we cannot see."""
    stale: dict[UnitName, tuple[int, ClusterName]] = {}
    for view in views:
        if view.snapshot.stale:
            for name, unit in by_cluster.get(view.cluster, {}).items():
                here = (unit.stage, view.cluster)
                stale[name] = min(stale.get(name, here), here)
    return stale


def _outstanding_in(
    view: ClusterView,
    units: Mapping[UnitName, Unit],
    blocked: Mapping[CommitSha, UnitState],
    stale: Mapping[UnitName, tuple[int, ClusterName]],
    every_object: bool,
) -> Outstanding:
    entries = _entries_by_unit(view.ledger)
    names = sorted({*units, *view.ledger.units, *entries})
    todo: dict[UnitName, Digest] = {}
    waiting: list[Waiting] = []
    candidates: list[Candidate] = []
    for name in names:
        unit, state = units.get(name), view.ledger.units.get(name)
        if _is_settled(unit, state) and not (every_object and unit):
            continue
        wait = _why_wait(name, unit, state, view, blocked, stale)
        if wait:
            waiting.append(wait)
            continue
        if not _is_settled(unit, state):
            todo[name] = wanted_digest(unit)
        candidates.extend(_candidates_of(name, unit, entries.get(name, ()), view, units))
    if not view.snapshot.stale:
        candidates.extend(_orphans(view, units))
    return Outstanding(view.cluster, todo, tuple(candidates), tuple(waiting))


def _entries_by_unit(ledger: Ledger) -> Mapping[UnitName, list[Entry]]:
    entries: dict[UnitName, list[Entry]] = defaultdict(list)
    for entry in ledger.entries.values():
        entries[entry.unit].append(entry)
    return entries


def _is_settled(unit: Unit | None, state: UnitState | None) -> bool:
    if state is None:
        return False
    return state.standing is Standing.SETTLED and state.digest == wanted_digest(unit)


def _why_wait(
    name: UnitName,
    unit: Unit | None,
    state: UnitState | None,
    view: ClusterView,
    blocked: Mapping[CommitSha, UnitState],
    stale: Mapping[UnitName, tuple[int, ClusterName]],
) -> Waiting | None:
    if view.snapshot.stale:
        return Waiting(name, WaitReason.CLUSTER_STALE, view.snapshot.stale)
    if unit and name in stale and stale[name][0] < unit.stage:
        cluster = stale[name][1]
        return Waiting(
            name, WaitReason.EARLIER_STAGE, f"cluster {cluster} comes first and cannot be seen"
        )
    if state is None or state.refused != wanted_digest(unit):
        return None
    if state.standing is Standing.HELD:
        return Waiting(name, WaitReason.REFUSED_BEFORE, state.explanation)
    if state.standing is Standing.WAITING and state.refused_commit in blocked:
        culprit = blocked[state.refused_commit]
        return Waiting(
            name,
            WaitReason.REFUSED_TOGETHER,
            f"the same commit changes {culprit.unit}, which is held: {culprit.explanation}",
        )
    return None


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
        if not _as_left(manifest, entry, live):
            yield Candidate(name, stage, key, manifest, entry, live)
    for entry in entries:
        # Found in another unit's manifests, the object has moved: that unit's candidate updates it.
        if entry.key not in manifests and not _declared(entry.key, units):
            yield Candidate(name, stage, entry.key, None, entry, view.snapshot.get(entry.key))


def _as_left(manifest: Manifest, entry: Entry | None, live: LiveObject | None) -> bool:
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
