"""What the replicas of a rollout may read in stores while more than one version runs.

Separate from the versions, whose objects lie in clusters: a store knows the rollout alone. The
invariant: a version that is loaded, or may have to be gone back to, reads what it could read when
it was applied; when the rollout is at rest, a store allows exactly what the commit declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.ledger import Entry
from reconciler.core.manifests import Manifest, manifest_of
from reconciler.core.outstanding import Place
from reconciler.core.rendering.release import secrets_unit
from reconciler.core.rendering.store_rights import POLICY, VAULT_GROUP
from reconciler.core.store_grants import policy_union

_POLICY: Final = (VAULT_GROUP, POLICY)


def reading_rights(
    desired: DesiredState, rollout: str, entries: Mapping[ClusterName, Iterable[Entry]]
) -> Iterator[tuple[Place, Unit]]:
    """The units of stores with what was applied there as well. `entries` are those of the unit."""
    name = secrets_unit(rollout)
    for cluster, known in entries.items():
        applied = {entry.key: entry.applied.manifest for entry in known if entry.applied}
        if not applied or cluster not in desired.clusters:
            continue
        unit = desired.units.get((cluster, name), Unit(name, cluster, 0, {}))
        manifests = _together(applied, unit.manifests)
        if manifests != unit.manifests:
            yield (cluster, name), replace(unit, manifests=manifests)


def _together(
    applied: Mapping[ObjectKey, Manifest], declared: Mapping[ObjectKey, Manifest]
) -> Mapping[ObjectKey, Manifest]:
    found = {**applied, **declared}
    for key in applied.keys() & declared.keys():
        if (key.group, key.kind) == _POLICY:
            body = policy_union(applied[key].body, declared[key].body)
            found[key] = manifest_of(body, declared[key].source)
    return found
