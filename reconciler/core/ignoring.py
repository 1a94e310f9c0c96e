"""Leaving out the fields that the policy says are not ours to manage.

Separate from reading and rendering, which both end here: nothing after them, from the plan to
putting drift back, ever hears of such a field. The invariant: a field is left out of every
manifest or of none, whichever file or kind it comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

from reconciler.core.kinds.repository import IgnoredFields
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, manifest_of

_Steps: TypeAlias = "Sequence[str]"


def without_ignored(manifest: Manifest, rules: Iterable[IgnoredFields]) -> Manifest:
    """The manifest without the fields that `rules` name; the same one when they name none."""
    key = manifest.key
    paths = [
        _steps(pointer)
        for rule in rules
        if rule.match(group=key.group, kind=key.kind, namespace=key.namespace, name=key.name)
        for pointer in rule.fields
    ]
    if not paths:
        return manifest
    return manifest_of(cast(JsonObject, _without(manifest.body, paths)), manifest.source)


def _steps(pointer: str) -> _Steps:
    return [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]


def _without(value: JsonValue, paths: Iterable[_Steps]) -> JsonValue:
    """All at once, so that leaving out one item of a list does not move the others."""
    below: dict[str, list[_Steps]] = defaultdict(list)
    for first, *rest in paths:
        below[first].append(rest)
    gone = {name for name, rests in below.items() if [] in rests}
    if isinstance(value, dict):
        return {
            name: _without(part, below[name]) if name in below else part
            for name, part in value.items()
            if name not in gone
        }
    if isinstance(value, list):
        return [
            _without(part, below[str(place)]) if str(place) in below else part
            for place, part in enumerate(value)
            if str(place) not in gone
        ]
    return value
