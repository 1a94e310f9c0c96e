"""Models as people see them: versions, where each runs, who may use it, and what became of it.

Separate from the registry record, which declares, and from the ledgers, which say what was applied.
The invariant: a version runs where the ledger or the position says so, and never because it is
declared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from reconciler.core.chronicle import Note, Telling
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds import Model, Rollout
from reconciler.core.kinds.model import ModelVersion
from reconciler.core.ledger import Ledger
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.presenting.page_marks import CLUSTERS, Mark
from reconciler.core.presenting.page_rollout import standing_of
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.placing import Placement, placement
from reconciler.core.rollouts.reporting import RolloutStatus
from reconciler.core.rollouts.states import RolloutState
from reconciler.core.rollouts.traffic import percent
from reconciler.core.samples import Traffic
from reconciler.core.sight import Sight
from reconciler.core.standing import ClusterState, ClusterStatus, Status

SERVES = Mark("good", "check", "serves")
SHARES = Mark("active", "dots", "gets a part")
WARM = Mark("quiet", "dot", "loaded, no requests")


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """One rollout of a model in one line."""

    name: str
    version: str
    mark: Mark
    words: str
    namespace: str
    clusters: tuple[ClusterName, ...]


@dataclass(frozen=True, slots=True)
class ModelRow:
    model: Model
    team: str
    rollouts: tuple[RolloutLine, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A version in a cluster, as one rollout brought it there."""

    cluster: ClusterName
    rollout: str
    mark: Mark
    words: str


@dataclass(frozen=True, slots=True)
class VersionView:
    version: ModelVersion
    places: tuple[Place, ...]
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    model: Model
    team: str
    versions: tuple[VersionView, ...]
    rollouts: tuple[RolloutLine, ...]
    moves: tuple[Note, ...]
    tellings: tuple[Telling, ...]


@dataclass(frozen=True, slots=True)
class Standpoint:
    """What is known now of all rollouts: statuses, positions and what was applied where."""

    status: Status
    states: Mapping[str, RolloutState]
    ledgers: Mapping[ClusterName, Ledger]

    def status_of(self, rollout: str) -> RolloutStatus | None:
        return next((r for r in self.status.rollouts if r.rollout == rollout), None)


def rollout_lines(
    rollouts: Iterable[Rollout], desired: DesiredState, now: Standpoint
) -> tuple[RolloutLine, ...]:
    return tuple(_line(rollout, desired, now) for rollout in rollouts)


def _line(rollout: Rollout, desired: DesiredState, now: Standpoint) -> RolloutLine:
    mark, words = standing_of(rollout, now.status_of(rollout.name))
    clusters = tuple(cluster for (cluster, _), _ in desired.places_of(rollout.name))
    spec = rollout.spec
    return RolloutLine(rollout.name, spec.version, mark, words, spec.namespace, clusters)


def model_rows(desired: DesiredState, now: Standpoint, sight: Sight) -> tuple[ModelRow, ...]:
    """By name."""
    rollouts: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in desired.rollouts.values():
        rollouts[rollout.spec.model].append(rollout)
    return tuple(
        ModelRow(
            model,
            model.metadata.labels.get("team", ""),
            rollout_lines(rollouts.get(name, ()), desired, now),
        )
        for name, model in sorted(desired.models.items())
        if sight.model(name)
    )


def model_view(
    model: Model,
    desired: DesiredState,
    now: Standpoint,
    *,
    moves: Sequence[Note],
    tellings: Sequence[Telling],
) -> ModelView:
    rollouts = [r for r in desired.rollouts.values() if r.spec.model == model.name]
    places: dict[str, list[Place]] = defaultdict(list)
    for rollout in rollouts:
        for version, place in _places(rollout, desired, now):
            places[version].append(place)
    return ModelView(
        model=model,
        team=model.metadata.labels.get("team", ""),
        versions=tuple(
            VersionView(version, tuple(places[version.name]), tuple(metadata_rows(version)))
            for version in reversed(model.spec.versions)
        ),
        rollouts=rollout_lines(rollouts, desired, now),
        moves=tuple(moves),
        tellings=tuple(tellings),
    )


def metadata_rows(version: ModelVersion) -> Iterator[tuple[str, str]]:
    """Free-form metadata as paths and values, in its own order."""
    for key, value in version.metadata.items():
        yield from _flat(key, value)


def _flat(path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}", inner)
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)


def _places(
    rollout: Rollout, desired: DesiredState, now: Standpoint
) -> Iterator[tuple[str, Place]]:
    """Versions with the clusters that have them."""
    state = now.states.get(rollout.name)
    statuses = {cluster.cluster: cluster for cluster in now.status.clusters}
    for (cluster, unit), declared in desired.places_of(rollout.name):
        applied = applied_versions(now.ledgers.get(cluster), unit)
        if state is not None and state.stable is not None:
            placed = placement(state, rollout.spec, wave=declared.stage)
            found = [(t.version, *_part(placed, t.version)) for t in placed.loaded]
        else:
            found = [(version, SERVES, "all requests") for version in sorted(applied)]
        for version, mark, words in found:
            if version in applied:
                shown = _seen(statuses.get(cluster), mark)
                yield version, Place(cluster, rollout.name, shown, words)


def _seen(cluster: ClusterStatus | None, mark: Mark) -> Mark:
    """What was so before the cluster went out of sight is not known to be so now."""
    if cluster is None or cluster.state is ClusterState.STALE:
        return CLUSTERS[ClusterState.STALE]
    return mark


def _part(placed: Placement, version: str) -> tuple[Mark, str]:
    split = placed.split
    random_part = split.traffic in (Traffic.WEIGHT, Traffic.FULL)
    given = split.share if random_part else 0.0
    if placed.candidate is not None and version == placed.candidate.version:
        if given >= 1:
            return SERVES, "all requests"
        return (SHARES, split.words) if split.traffic else (WARM, "starts, no requests yet")
    if version != placed.base.version or given >= 1:
        return WARM, "warm, no requests"
    if given:
        return SHARES, f"{percent(1 - given)} of the requests"
    return SERVES, "all requests"


def applied_versions(ledger: Ledger | None, unit: UnitName) -> frozenset[str]:
    """Versions of which the ledger has an object in that unit."""
    entries = ledger.entries.values() if ledger else ()
    found = (_version_of(e.applied.manifest.body) for e in entries if e.unit == unit and e.applied)
    return frozenset(version for version in found if version)


def _version_of(body: JsonObject) -> str:
    metadata = cast(JsonObject, body.get("metadata") or {})
    labels = cast("dict[str, str]", metadata.get("labels") or {})
    return labels.get(VERSION_LABEL, "")
