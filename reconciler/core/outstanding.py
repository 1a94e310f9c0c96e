"""What is not yet as declared: the units to work on, and the objects in them to ask about.

Separate from planning.py, because this part needs no server: it compares declarations with the
ledger and the watches, and names the few objects for which a dry run is worth a request. The
invariant: an object that is as declared, and as we left it, is never named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.access.subjects import READER_UNITS, ROLLOUT_PREFIX
from reconciler.core.audit.records import Reason
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.diffing import NOTHING_OWNED
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.ledger import Applied, Entry, Ledger, Standing, UnitState
from reconciler.core.manifests import Manifest, digest_of
from reconciler.core.plans import Waiting, WaitReason
from reconciler.core.route_sharing import is_shared, stands
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

_BEFORE_ALL = -1
"""A stage that every stage comes after."""


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
    still_refused: AbstractSet[Place] = frozenset(),
    fallback: bool = False,
) -> tuple[Outstanding, ...]:
    """Compare the declarations with every cluster.

    Settled units are passed over, since the watches report their drift, unless `every_object`.
    Units whose dry run was refused are passed over unless `retry_refused`, and those that are
    `still_refused` even then. With `fallback`, the
    commit is in force only because a newer one was refused: units that the newer one left
    refused, held or waiting stay so.
    """
    by_cluster = _units_by_cluster(desired)
    blocked = {
        state.refused_commit: state
        for place, state in _blocking_units(by_cluster, views)
        if state.standing is Standing.HELD or not retry_refused or place in still_refused
        if state.refused_commit
    }
    waits = _Waits(
        blocked,
        barred=_first_barred_stages(by_cluster, views, blocked),
        leaving=_leaving_stages(by_cluster),
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


def _leaving_stages(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]],
) -> Mapping[UnitName, int]:
    """When a unit leaves a cluster that wants it no more: after it has come to all that do."""
    stages: dict[UnitName, int] = {}
    for units in by_cluster.values():
        for name, unit in units.items():
            stages[name] = max(stages.get(name, 0), unit.stage + 1)
    return stages


def is_news(place: Place, digest: Digest, accepted: DesiredState | None) -> bool:
    """Whether a unit is wanted otherwise than by the commit accepted before; at first, all are."""
    if accepted is None:
        return True
    return place[1] != ORPHANS and wanted_digest(accepted.units.get(place)) != digest


def _blocking_units(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]], views: Iterable[ClusterView]
) -> Iterable[tuple[Place, UnitState]]:
    """Units that are still wanted as they were when they were refused or held."""
    for view in views:
        for name, state in view.ledger.units.items():
            wanted = wanted_digest(by_cluster.get(view.cluster, {}).get(name))
            if state.standing in BLOCKING and state.refused == wanted:
                yield (view.cluster, name), state


def _first_barred_stages(
    by_cluster: Mapping[ClusterName, Mapping[UnitName, Unit]],
    views: Iterable[ClusterView],
    blocked: Mapping[CommitSha, UnitState],
) -> Mapping[UnitName, tuple[int, ClusterName, str]]:
    """Per unit, the earliest stage that cannot be reached now, and why."""
    barred: dict[UnitName, tuple[int, ClusterName, str]] = {}
    waits = _Waits(blocked, barred={}, leaving={})
    for view in views:
        units, states = by_cluster.get(view.cluster, {}), view.ledger.units
        # Unless something is wrong there, no unit of a cluster need be looked at.
        for name in units if view.snapshot.stale else states.keys() & units.keys():
            unit, state = units[name], states.get(name)
            if not view.snapshot.stale and (state is None or state.refused is None):
                continue
            if wait := waits.why(name, unit, state, view.snapshot.stale):
                here = (unit.stage, view.cluster, wait.explanation)
                barred[name] = min(barred.get(name, here), here)
                if name.startswith(READER_UNITS) and not _is_settled(unit, state):
                    # Pods would start without the right to what they have to read.
                    rollout = UnitName(f"{ROLLOUT_PREFIX}{name.removeprefix(READER_UNITS)}")
                    barred[rollout] = (_BEFORE_ALL, view.cluster, wait.explanation)
    return barred


@dataclass(frozen=True, slots=True)
class _Waits:
    """What makes units wait: commits with a blocked unit, and earlier stages that wait."""

    blocked: Mapping[CommitSha, UnitState]
    barred: Mapping[UnitName, tuple[int, ClusterName, str]]
    leaving: Mapping[UnitName, int]

    def stage(self, name: UnitName, unit: Unit | None) -> int:
        return unit.stage if unit else self.leaving.get(name, 0)

    def why(
        self, name: UnitName, unit: Unit | None, state: UnitState | None, stale: str
    ) -> Waiting | None:
        if stale:
            return Waiting(name, WaitReason.CLUSTER_STALE, stale)
        if wait := self._refused(name, unit, state):
            return wait
        if name in self.barred:
            stage, cluster, reason = self.barred[name]
            if stage < self.stage(name, unit):
                return Waiting(
                    name, WaitReason.EARLIER_STAGE, f"cluster {cluster} comes first: {reason}"
                )
        return None

    def _refused(
        self, name: UnitName, unit: Unit | None, state: UnitState | None
    ) -> Waiting | None:
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
        known, stage = entries.get(name, ()), waits.stage(name, unit)
        candidates.extend(_candidates_of(name, unit, known, view, units, stage=stage))
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
    *,
    stage: int,
) -> Iterable[Candidate]:
    manifests = unit.manifests if unit else {}
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
        and stands_as_applied(entry.applied, live)
    )


def stands_as_applied(applied: Applied, live: LiveObject) -> bool:
    """Whether what is ours in the object is as our last write left it."""
    if applied.observed == live.owned:
        return True
    # What others add to the lists of a route takes these from us, and is no drift of ours.
    may_be_shared = live.owned != NOTHING_OWNED and is_shared(applied.manifest)
    return may_be_shared and stands(applied, live.body)


def _declared(key: ObjectKey, units: Mapping[UnitName, Unit]) -> bool:
    return any(key in unit.manifests for unit in units.values())


def is_ours(live: LiveObject) -> bool:
    """Whether we have applied something of it; what another object owns is that one's."""
    return live.owned != NOTHING_OWNED and not live.controlled


def _orphans(view: ClusterView, units: Mapping[UnitName, Unit]) -> Iterable[Candidate]:
    """Objects of ours that the ledger lacks, as after the loss of the state database."""
    for live in view.snapshot:
        if live.key in view.ledger.entries or not is_ours(live) or _declared(live.key, units):
            continue
        yield Candidate(ORPHANS, 0, live.key, None, None, live)
