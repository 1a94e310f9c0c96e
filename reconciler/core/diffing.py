"""The difference between two states of an object, as a list of fields.

Separate from ownership, which says which fields may appear at all: a plan shows what we would
change and only counts what the server or other managers add. The invariant: `field_changes` is
empty exactly when both states agree in every field that we own in either of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias, cast

from reconciler.core.fields import ABSENT, Absent, FieldChange
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, canonical_json
from reconciler.core.ownership import (
    NOTHING_OWNED,
    PROVENANCE,
    FieldSet,
    Trail,
    foreign_fields,
    is_shared,
    item_key,
    list_items,
    names_fields,
    owned_digest,
    owned_fields,
    rendered,
    steps,
)
from reconciler.core.redaction import redacted

__all__ = [
    "ABSENT",
    "NOTHING_OWNED",
    "Absent",
    "FieldChange",
    "FieldSet",
    "field_changes",
    "intent_changes",
    "owned_digest",
    "owned_fields",
    "redacted",
    "restarts",
]


Value: TypeAlias = "JsonValue | Absent"

# What names the object, and what the server writes into every object by itself.
_UNCOUNTED: Final = frozenset({"apiVersion", "kind", "status"})
_UNCOUNTED_METADATA: Final = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


def field_changes(
    before: JsonObject | None, after: JsonObject, *, fields: FieldSet | None = None
) -> tuple[tuple[FieldChange, ...], int]:
    """What differs in the fields we own, and how many other fields differ or were defaulted.

    `after` is usually the answer of a dry run. The fields are those we own in either state,
    so that a field we stop to set shows as removed; `fields` replaces that choice. Without
    `before` the changes are the fields we set and the count is of the server's additions.
    """
    if fields is None:
        fields = _union((before and owned_fields(before)) or {}, owned_fields(after) or {})
    others = foreign_fields(after) + (foreign_fields(before) if before else [])
    walk = _Walk(others)
    walk.compare(fields, _comparable(before), _comparable(after), ())
    return tuple(sorted(walk.changes, key=lambda change: change.path)), walk.hidden


def _comparable(body: JsonObject | None) -> JsonObject | Absent:
    """The object without what never counts as a difference."""
    if body is None:
        return ABSENT
    metadata = cast(JsonObject, body.get("metadata") or {})
    kept = {name: part for name, part in metadata.items() if name not in _UNCOUNTED_METADATA}
    annotations = cast(JsonObject, kept.pop("annotations", None) or {})
    if foreign := {name: v for name, v in annotations.items() if name not in PROVENANCE}:
        kept["annotations"] = foreign
    rest = {name: part for name, part in body.items() if name not in _UNCOUNTED}
    return {**rest, "metadata": kept}


def _union(one: FieldSet, two: FieldSet) -> FieldSet:
    merged = {**one, **two}
    for key in one.keys() & two.keys():
        merged[key] = _union(one[key], two[key])
    return merged


class _Walk:
    """Two states compared along one field set."""

    __slots__ = ("_others", "changes", "hidden")

    def __init__(self, others: list[FieldSet]) -> None:
        self._others = others
        self.changes: list[FieldChange] = []
        self.hidden = 0

    def compare(self, fields: FieldSet, before: Value, after: Value, trail: Trail) -> None:
        """Compare containers of which we own the parts that `fields` names."""
        old, new = _parts(fields, before), _parts(fields, after)
        if old is None or new is None:
            self.changes += _differences(before, after, trail)
            return
        named = _named(trail)
        if named and not fields.keys() - named.keys() - {"."}:
            self._existence(before, after, trail, shown=_unprefixed(named))
        for key in {**old, **new}:
            left, right = old.get(key, ABSENT), new.get(key, ABSENT)
            if key in named:
                continue
            inner = fields.get(key)
            if inner is None:
                self.hidden += _count(left, right)
            elif inner:
                self.compare(inner, left, right, (trail, key))
            else:
                self._leaf(left, right, (trail, key))

    def _leaf(self, left: Value, right: Value, trail: Trail) -> None:
        containers = isinstance(left, (dict, list)) or isinstance(right, (dict, list))
        if containers and is_shared(self._others, trail):
            # Granular, and what is in it belongs to somebody else: we own that it exists.
            empty: JsonValue = [] if isinstance(left, list) or isinstance(right, list) else {}
            self._existence(left, right, trail, shown=empty)
            self.hidden += _count(left, right)
        else:
            self.changes += _differences(left, right, trail)

    def _existence(self, left: Value, right: Value, trail: Trail, *, shown: JsonValue) -> None:
        if (left is ABSENT) is not (right is ABSENT):
            old, new = (ABSENT, shown) if left is ABSENT else (shown, ABSENT)
            self.changes.append(FieldChange(rendered(steps(trail)), old, new))


def _named(trail: Trail) -> dict[str, JsonValue]:
    """Fields that name a list item: the path already shows them."""
    if not trail or not trail[1].startswith("k:"):
        return {}
    names, values = item_key(trail[1])
    return {f"f:{name}": value for name, value in zip(names, values, strict=True)}


def _unprefixed(parts: dict[str, JsonValue]) -> JsonObject:
    return {key[2:]: value for key, value in parts.items()}


def _parts(fields: FieldSet, value: Value) -> dict[str, JsonValue] | None:
    """What a container holds, by keys as in a field set; None when it is no container."""
    if value is ABSENT:
        return {}
    if isinstance(value, dict):
        return {f"f:{name}": part for name, part in value.items()}
    return _items(fields, value) if isinstance(value, list) and not names_fields(fields) else None


def _items(fields: FieldSet, items: list[JsonValue]) -> dict[str, JsonValue]:
    """The items of a list: ours by the keys of `fields`, others by keys made alike."""
    parts = list_items(fields, items)
    names = next((item_key(key)[0] for key in fields if key.startswith("k:")), ())
    known = {item_key(key)[1] for key in parts if key.startswith("k:")}
    is_set = any(key.startswith("v:") for key in fields)
    for position, item in enumerate(items):
        if names and isinstance(item, dict):
            values = tuple([item.get(name) for name in names])
            if values not in known:
                parts[_item_key(dict(zip(names, values, strict=True)))] = item
        elif is_set:
            parts.setdefault(f"v:{_text(item)}", item)
        else:
            parts.setdefault(f"i:{position}", item)
    return parts


def _text(value: JsonValue) -> str:
    return canonical_json(value).decode()


def _item_key(named: JsonObject) -> str:
    return f"k:{_text(named)}"


def _count(left: Value, right: Value) -> int:
    """How many leaves differ."""
    if _same(left, right):
        return 0
    old, new = _structure(left), _structure(right)
    if old is None or new is None:
        return 1
    differing = (_count(old.get(key, ABSENT), new.get(key, ABSENT)) for key in {**old, **new})
    return max(1, sum(differing))


def _structure(value: Value) -> dict[str, JsonValue] | None:
    if value is ABSENT:
        return {}
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(position): item for position, item in enumerate(value)}
    return None


def _same(left: Value, right: Value) -> bool:
    if left is ABSENT or right is ABSENT:
        return left is right
    # Python holds 1, 1.0 and True for equal; JSON and the digest do not.
    return left == right and canonical_json(left) == canonical_json(right)


def _differences(left: Value, right: Value, trail: Trail) -> Iterator[FieldChange]:
    """Where two values differ, as deep as both are objects or lists whose items can be paired."""
    if _same(left, right):
        return
    pairs = _pairs(left, right)
    if pairs is None:
        yield FieldChange(rendered(steps(trail)), left, right)
        return
    named = _named(trail)
    inner = {key: pair for key, pair in pairs.items() if key not in named}
    if not inner:
        yield FieldChange(rendered(steps(trail)), left, right)
    for key, (old, new) in inner.items():
        yield from _differences(old, new, (trail, key))


def _pairs(left: Value, right: Value) -> dict[str, tuple[Value, Value]] | None:
    """What corresponds in two containers; None when they are shown whole."""
    old, new = _paired_by(left, right), _paired_by(right, left)
    if (not old and not new) or old is None or new is None:
        return None
    return {key: (old.get(key, ABSENT), new.get(key, ABSENT)) for key in {**old, **new}}


def _paired_by(value: Value, other: Value) -> dict[str, JsonValue] | None:
    """Parts of `value` by the keys under which `other` can be expected to have the same."""
    if value is ABSENT:
        return {}
    if isinstance(value, dict):
        return {f"f:{name}": part for name, part in value.items()}
    if not isinstance(value, list):
        return None
    theirs = other if isinstance(other, list) else []
    mine, others = _by_name(value), _by_name(theirs)
    if mine is None or others is None:
        aligned = len(value) == len(theirs) and _all_objects(value) and _all_objects(theirs)
        return {f"i:{n}": item for n, item in enumerate(value)} if aligned else None
    # The order of a list may matter: another order of the same items is a difference.
    common = [key for key in mine if key in others] == [key for key in others if key in mine]
    return mine if common else None


def _all_objects(items: list[JsonValue]) -> bool:
    return all(isinstance(item, dict) for item in items)


def _by_name(items: list[JsonValue]) -> dict[str, JsonValue] | None:
    """Items by their `name`; None when some have none or share one."""
    named: dict[str, JsonValue] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return None
        named[_item_key({"name": item["name"]})] = item
    return named if len(named) == len(items) else None


def intent_changes(before: Manifest | None, after: Manifest | None) -> tuple[FieldChange, ...]:
    """The difference of two declarations of one object, made without asking a server.

    Items of lists are paired by `name` where all have one, else by position where the lengths
    agree; other lists are shown whole.
    """
    versioned = bool(before and after and before.type.version != after.type.version)
    left = _declared(before, versioned=versioned)
    right = _declared(after, versioned=versioned)
    return tuple(sorted(_differences(left, right, ()), key=lambda change: change.path))


def _declared(manifest: Manifest | None, *, versioned: bool) -> JsonObject | Absent:
    """What a manifest says of its object, apart from which object it is."""
    if manifest is None:
        return ABSENT
    body = manifest.body
    metadata = cast(JsonObject, body.pop("metadata"))
    for name in ("name", "namespace"):
        metadata.pop(name, None)
    del body["kind"]
    if not versioned:
        del body["apiVersion"]
    return {**body, "metadata": metadata} if metadata else body


def restarts(changes: Iterable[FieldChange]) -> bool:
    """Does the pod template change, so that running pods are replaced?"""
    return any(_TEMPLATE.match(change.path) for change in changes)


_TEMPLATE: Final = re.compile(r"\.spec\.template(?![A-Za-z0-9_-])")
