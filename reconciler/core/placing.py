"""Put units into clusters, as far as anything about them changed.

Separate from making them. The invariant: `units` has every unit of every cluster, and `changes`
exactly those that are other objects than before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.access.subjects import GLASS_UNITS, agent_namespace
from reconciler.core.access_units import Namespaces, Subjects, render_subjects
from reconciler.core.declared import Declared
from reconciler.core.desired import Unit
from reconciler.core.emergencies import emergency_units
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.plain_units import PlainUnit
from reconciler.core.rendering.release import rollout_unit
from reconciler.core.request_path import ACCESS_UNIT, access_units
from reconciler.core.secret_stores import store_units
from reconciler.core.uniqueness import UnitChange

UnitKey: TypeAlias = "tuple[ClusterName, UnitName]"


@dataclass(frozen=True, slots=True)
class Placed:
    """Units by cluster and name, and what changed.

    `subjects` are the roles and agent scopes as they were rendered for `namespaces`.
    """

    units: Mapping[UnitKey, Unit]
    changes: tuple[UnitChange, ...]
    namespaces: Namespaces
    subjects: Subjects


def place(
    units: Mapping[UnitKey, Unit],
    *,
    declared: tuple[Declared | None, Declared],
    plain: tuple[Mapping[UnitName, PlainUnit], Mapping[UnitName, PlainUnit]],
    changed: frozenset[UnitName],
    subjects: Subjects,
) -> Placed:
    """`units` after a change. `declared` and `plain` are pairs of before and after; `subjects` are
    those that are among `units`."""
    before, after = declared
    names = changed if _same_places(before, after) else frozenset({*plain[0], *plain[1]})
    namespaces = _namespaces(after, plain[1])
    if before is after and namespaces == _namespaces(after, plain[0]):
        rendered = subjects
    else:
        rendered = render_subjects(after, namespaces, previous=subjects)
    same = before is after and rendered is subjects
    derived = None if same else _derived(after, rendered)
    stale = {
        *(key for name in names for key in _plain_keys(before, plain[0].get(name), name)),
        *_stale_rollout_keys(before, after),
        *_stale_store_keys(before, after),
        *_subject_units(subjects, unlike=rendered),
        *_derived_keys(units, derived),
    }
    fresh = dict(
        (
            *_plain_units(after, plain[1], names),
            *_rollout_units(before, after),
            *_store_units(before, after),
            *_subject_units(rendered, unlike=subjects).items(),
            *_derived_units(units, derived),
        )
    )
    result = {**units, **fresh}
    for key in stale - fresh.keys():
        del result[key]
    changes = tuple(
        UnitChange(units.get(key), fresh.get(key)) for key in sorted(stale | fresh.keys())
    )
    return Placed(result, changes, namespaces, rendered)


def _namespaces(declared: Declared, plain: Mapping[UnitName, PlainUnit]) -> Namespaces:
    """Those of manifests, of rollouts and of agents."""
    agents = frozenset(agent_namespace(name) for name in declared.agents)
    allowed = declared.environment.estate.allowed_by(declared.policy)
    found: dict[ClusterName, set[str]] = {cluster: set(agents) for cluster in allowed}
    for unit in plain.values():
        for cluster in declared.clusters_of(unit.source) if unit.namespaces else ():
            found.setdefault(cluster, set()).update(unit.namespaces)
    for name, rendered in declared.rendered.items():
        for cluster in rendered.units:
            found.setdefault(cluster, set()).add(declared.rollouts[name].spec.namespace)
    return {cluster: frozenset(names) for cluster, names in found.items()}


def _subject_units(subjects: Subjects, *, unlike: Subjects) -> Mapping[UnitKey, Unit]:
    """The units of those that are not the very same among the others."""
    return {
        (cluster, unit.name): unit
        for name, rendered in subjects.items()
        if unlike.get(name) is not rendered
        for cluster, unit in rendered.units.items()
    }


def _same_places(before: Declared | None, after: Declared) -> bool:
    """Whether the same selectors still mean the same clusters."""
    return before is after or (
        before is not None
        and before.environment is after.environment
        and before.policy.own.clusters == after.policy.own.clusters
    )


def _plain_keys(
    declared: Declared | None, unit: PlainUnit | None, name: UnitName
) -> Iterator[UnitKey]:
    if declared is not None and unit is not None:
        for cluster in declared.clusters_of(unit.source):
            yield cluster, name


def _plain_units(
    declared: Declared, plain: Mapping[UnitName, PlainUnit], names: frozenset[UnitName]
) -> Iterator[tuple[UnitKey, Unit]]:
    for name in names:
        if unit := plain.get(name):
            for cluster in declared.clusters_of(unit.source):
                yield (cluster, name), Unit(name, cluster, 0, unit.manifests)


def _stale_rollout_keys(before: Declared | None, after: Declared) -> Iterator[UnitKey]:
    if before is None or before is after:
        return
    for name, rendered in before.rendered.items():
        if after.rendered.get(name) is not rendered:
            for cluster in rendered.units:
                yield cluster, rollout_unit(name)


def _rollout_units(before: Declared | None, after: Declared) -> Iterator[tuple[UnitKey, Unit]]:
    if before is after:
        return
    known = before.rendered if before is not None else {}
    for name, rendered in after.rendered.items():
        if known.get(name) is not rendered:
            for cluster, unit in rendered.units.items():
                yield (cluster, unit.name), unit


def _stale_store_keys(before: Declared | None, after: Declared) -> Iterator[UnitKey]:
    if before is None or before is after:
        return
    for name, rendered in before.rendered.items():
        if after.rendered.get(name) is not rendered:
            for unit in store_units(name, rendered):
                yield unit.cluster, unit.name


def _store_units(before: Declared | None, after: Declared) -> Iterator[tuple[UnitKey, Unit]]:
    if before is after:
        return
    known = before.rendered if before is not None else {}
    for name, rendered in after.rendered.items():
        if known.get(name) is not rendered:
            for unit in store_units(name, rendered):
                yield (unit.cluster, unit.name), unit


def _derived_keys(
    units: Mapping[UnitKey, Unit], now: Mapping[UnitKey, Unit] | None
) -> Iterator[UnitKey]:
    """Those that went, or are made of something else now."""
    if now is None:
        return
    for key, unit in units.items():
        is_derived = unit.name == ACCESS_UNIT or unit.name.startswith(GLASS_UNITS)
        if is_derived and not _is_same(unit, now.get(key)):
            yield key


def _derived_units(
    units: Mapping[UnitKey, Unit], now: Mapping[UnitKey, Unit] | None
) -> Iterator[tuple[UnitKey, Unit]]:
    for key, unit in now.items() if now is not None else ():
        if not _is_same(unit, units.get(key)):
            yield key, unit


def _derived(declared: Declared, subjects: Subjects) -> Mapping[UnitKey, Unit]:
    """What follows from all documents of a commit together."""
    found = {(cluster, unit.name): unit for cluster, unit in access_units(declared).items()}
    return {**found, **emergency_units(declared, subjects)}


def _is_same(unit: Unit, other: Unit | None) -> bool:
    return other is not None and unit.digest == other.digest
