"""No object is declared twice in a cluster.

Separate because it is the one rule that looks across all units, and must not cost that much: an
index of every object is carried from commit to commit. The invariant: the index of a cluster has
exactly the objects of its units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.manifests import Manifest
from reconciler.core.plain_units import declared_twice
from reconciler.core.problems import Problem

Owners: TypeAlias = "Mapping[ClusterName, Mapping[ObjectKey, Manifest]]"


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A unit of one cluster before and after; either may be absent."""

    before: Unit | None
    after: Unit | None

    @property
    def cluster(self) -> ClusterName:
        unit = self.before or self.after
        assert unit is not None, "a change has a unit before or after"
        return unit.cluster


def reindex(owners: Owners, changes: Iterable[UnitChange]) -> tuple[Owners, tuple[Problem, ...]]:
    """The index after the changes. Copies the indexes of the clusters that change, no others."""
    changes = tuple(changes)
    clusters = {change.cluster for change in changes}
    fresh = {cluster: dict(owners.get(cluster, {})) for cluster in clusters}
    for change in changes:
        for key in change.before.manifests if change.before else ():
            del fresh[change.cluster][key]
    problems: dict[ObjectKey, Problem] = {}
    for change in changes:
        for key, manifest in change.after.manifests.items() if change.after else ():
            first = fresh[change.cluster].setdefault(key, manifest)
            if first is not manifest:
                where = f" in cluster {change.cluster}"
                problems.setdefault(key, declared_twice(first, manifest, where=where))
    return {**owners, **fresh}, tuple(problems.values())
