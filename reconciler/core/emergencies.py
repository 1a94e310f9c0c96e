"""Emergencies: what a BreakGlass gives, as units.

Separate from the units of roles, of which these are made. The invariant: whoever breaks the glass
gets what the Role has in each namespace, and nothing of their own. When they have it is known where
the commit is applied (access/expiring.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from reconciler.core.access.authentication import names_prefix
from reconciler.core.access.subjects import glass_unit
from reconciler.core.access_units import Subjects, role_unit
from reconciler.core.declared import Declared
from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds import BreakGlass
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, Source, manifest_of
from reconciler.core.rendering.rbac import RBAC_GROUP
from reconciler.core.rendering.release import unit_labels


def emergency_units(
    declared: Declared, subjects: Subjects
) -> Mapping[tuple[ClusterName, UnitName], Unit]:
    """The units of every BreakGlass, in each cluster where its Role may do anything."""
    found: dict[tuple[ClusterName, UnitName], Unit] = {}
    for document, glass in declared.emergencies:
        rendered = subjects.get(role_unit(glass.spec.role))
        name = UnitName(glass_unit(glass.name))
        for cluster, unit in rendered.units.items() if rendered else ():
            prefix = names_prefix(declared.environment.estate.clusters[cluster])
            labels = unit_labels(declared.environment.repository, name)
            bindings = _bindings(unit, glass, prefix, labels, document.source)
            manifests = {manifest.key: manifest for manifest in bindings}
            if manifests:
                found[cluster, name] = Unit(name, cluster, 0, manifests)
    return found


def _bindings(
    role: Unit, glass: BreakGlass, prefix: str, labels: JsonObject, source: Source
) -> Iterator[Manifest]:
    """The bindings of the Role, to people instead of its groups."""
    people: list[JsonValue] = [
        {"apiGroup": RBAC_GROUP, "kind": "User", "name": f"{prefix}{name}"}
        for name in glass.spec.people
    ]
    for key, manifest in role.manifests.items():
        if key.kind != "RoleBinding":
            continue
        metadata: JsonObject = {
            "name": f"fairlead:break-glass:{glass.name}",
            "namespace": key.namespace,
            "labels": {
                **cast(JsonObject, cast(JsonObject, manifest.body["metadata"])["labels"]),
                **labels,
                "app.kubernetes.io/name": glass.name,
            },
        }
        yield manifest_of({**manifest.body, "metadata": metadata, "subjects": people}, source)
