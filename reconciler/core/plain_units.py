"""Files of plain manifests to units, one for each directory that the policy names.

Separate from placing them in clusters, because what a unit holds changes with files and where it
goes changes with the policy. The invariant: only units with a changed file are built again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from reconciler.core.access.bypasses import could_open
from reconciler.core.identifiers import DocumentPath, ObjectKey, UnitName
from reconciler.core.kinds.repository import ManifestSource
from reconciler.core.manifests import Manifest
from reconciler.core.problems import Problem
from reconciler.core.reading import PlainFile


@dataclass(frozen=True)
class PlainUnit:
    """The plain manifests of one directory, before it is known which clusters get them."""

    source: ManifestSource
    manifests: Mapping[ObjectKey, Manifest]

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Those that it declares."""
        keys = self.manifests
        return frozenset(k.name for k in keys if (k.group, k.kind) == ("", "Namespace"))

    @cached_property
    def openings(self) -> tuple[Manifest, ...]:
        """Those that could lead to model servers."""
        return tuple(m for m in self.manifests.values() if could_open(m))


@dataclass(frozen=True, slots=True)
class PlainUnits:
    """All of them; `changed` are those that are not as before, gone ones included."""

    units: Mapping[UnitName, PlainUnit]
    changed: frozenset[UnitName]
    problems: tuple[Problem, ...]


def regroup(
    units: Mapping[UnitName, PlainUnit],
    *,
    before: Mapping[DocumentPath, PlainFile],
    after: Mapping[DocumentPath, PlainFile],
    touched: Iterable[DocumentPath],
) -> PlainUnits:
    """The units after the files at the paths `touched` changed."""
    removed: dict[UnitName, list[PlainFile]] = defaultdict(list)
    added: dict[UnitName, list[PlainFile]] = defaultdict(list)
    for path in touched:
        if old := before.get(path):
            removed[old.place.unit].append(old)
        if new := after.get(path):
            added[new.place.unit].append(new)
    result, problems = dict(units), list[Problem]()
    changed = frozenset({*removed, *added})
    for name in sorted(changed):
        manifests = dict(units[name].manifests) if name in units else {}
        for file in removed[name]:
            for manifest in file.manifests:
                manifests.pop(manifest.key, None)
        for file in added[name]:
            problems.extend(_add(manifests, file))
        result.pop(name, None)
        if manifests:
            result[name] = PlainUnit((added[name] or removed[name])[0].place.source, manifests)
    return PlainUnits(result, changed, tuple(problems))


def declared_twice(one: Manifest, other: Manifest, *, where: str = "") -> Problem:
    """Two documents declare the same object: a Problem at the later, naming the earlier."""
    first, second = sorted((one, other), key=lambda m: (m.source.path, m.source.span))
    return Problem(
        second.source.path,
        second.source.span,
        "duplicate-object",
        f"{second.key} is declared already{where}, at {first.source}",
        "remove or rename one of the two",
    )


def _add(manifests: dict[ObjectKey, Manifest], file: PlainFile) -> Iterable[Problem]:
    for manifest in file.manifests:
        first = manifests.setdefault(manifest.key, manifest)
        if first is not manifest:
            yield declared_twice(first, manifest)
