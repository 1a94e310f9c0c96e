"""Field ownership: which fields of a live object are ours, and one digest over them.

Separate from the difference of two objects, because this is asked for every watch event and every
answer of an apply, while a difference is made only for what changed. The invariant: the digest of
an object stays the same exactly as long as the fields that we own and their values stay the same;
what other managers own, the status and our own provenance annotations never move it.

The notation read here is FieldsV1: `f:` a field, `k:` a list item by its associative key, `v:` an
item of a set, `i:` an index, `.` the item itself; an empty set is a leaf.
https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/fieldpath/serialize.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias, cast

import orjson

from reconciler.core.identifiers import Digest
from reconciler.core.manifests import (
    BACKENDS_ANNOTATION,
    COMMIT_ANNOTATION,
    FIELD_MANAGER,
    SOURCE_ANNOTATION,
    JsonObject,
    JsonValue,
    canonical_json,
    digest_of,
)

FieldSet: TypeAlias = "dict[str, FieldSet]"
"""A parsed FieldsV1. Treat as read-only: it is a part of the object it was read from."""

Trail: TypeAlias = "tuple[()] | tuple[Trail, str]"
"""Keys of nested field sets from the innermost to the root: cheap to extend, seldom read."""

NOTHING_OWNED: Final = digest_of(b"fairlead.dev: no field of this object is ours")

PROVENANCE: Final = frozenset({BACKENDS_ANNOTATION, COMMIT_ANNOTATION, SOURCE_ANNOTATION})
"""Annotations that say what we wrote and whence; they follow a change and never are one."""

_PROVENANCE_FIELDS: Final = frozenset(f"f:{name}" for name in PROVENANCE)

# What an owned path stands for when it has no value of its own. Keys of a field set start with
# `f:`, `k:`, `v:`, `i:` or are `.`, so neither can be mistaken for a set of fields.
_EXISTS: Final[JsonObject] = {}
_MISSING: Final[JsonObject] = {"-": None}


def _entries(body: JsonObject) -> list[JsonObject]:
    metadata = cast(JsonObject, body.get("metadata") or {})
    return cast("list[JsonObject]", metadata.get("managedFields") or [])


def owned_fields(body: JsonObject, *, manager: str = FIELD_MANAGER) -> FieldSet | None:
    """The fields that `manager` applied, or None when it owns nothing.

    Updates under the same name and subresources do not count: only an apply declares intent. The
    server keeps one such entry per manager, whatever the API version.
    """
    for entry in _entries(body):
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            return cast(FieldSet, entry.get("fieldsV1")) or None
    return None


def foreign_fields(body: JsonObject, *, manager: str = FIELD_MANAGER) -> list[FieldSet]:
    """The field sets of everybody else, subresources and updates under our name included."""
    ours = owned_fields(body, manager=manager)
    sets = (cast(FieldSet, entry.get("fieldsV1") or {}) for entry in _entries(body))
    return [fields for fields in sets if fields is not ours]


def without_provenance(fields: FieldSet) -> FieldSet:
    """The same set without our provenance annotations, and without what held only them."""
    metadata = fields.get("f:metadata") or {}
    annotations = metadata.get("f:annotations") or {}
    if _PROVENANCE_FIELDS.isdisjoint(annotations):
        return fields
    kept = {key: inner for key, inner in annotations.items() if key not in _PROVENANCE_FIELDS}
    rest = {**metadata, "f:annotations": kept}
    if kept.keys() <= {"."}:
        del rest["f:annotations"]
    if rest.keys() <= {"."}:
        return {key: inner for key, inner in fields.items() if key != "f:metadata"}
    return {**fields, "f:metadata": rest}


def owned_digest(body: JsonObject) -> Digest:
    """Digest of the fields we own and of their values as the server stored them.

    It runs for each watch event and each apply, so the walk below makes no call for a scalar and
    only one tuple for an inner set.
    """
    ours = owned_fields(body)
    fields = without_provenance(ours) if ours else None
    if not fields:
        return NOTHING_OWNED
    view = _Projection(foreign_fields(body)).of_fields(fields, body, ())
    return digest_of(canonical_json(view))


class _Projection:
    """An object reduced to the fields of one set, in a form that is hashed."""

    __slots__ = ("_others",)

    def __init__(self, others: list[FieldSet]) -> None:
        self._others = others

    def of_fields(self, fields: FieldSet, value: JsonValue, trail: Trail) -> JsonObject:
        if isinstance(value, dict):
            found = value
            start = 2
        elif isinstance(value, list) and not names_fields(fields):
            found = list_items(fields, value)
            start = 0
        else:
            # Not the shape that the set says, such as items that share one key: keep both.
            return {"fields": cast(JsonValue, fields), "value": value}
        view: JsonObject = {}
        for key, inner in fields.items():
            part = found.get(key[start:], _MISSING)
            if part is _MISSING or key == ".":
                view[key] = _EXISTS if key == "." else _MISSING
            elif inner:
                view[key] = self.of_fields(inner, part, (trail, key))
            elif isinstance(part, (dict, list)):
                view[key] = self._of_leaf(part, (trail, key))
            else:
                view[key] = part
        return view

    def _of_leaf(self, value: JsonValue, trail: Trail) -> JsonValue:
        """An owned container: whole when it is atomic, else no more than that it exists.

        The set does not say which. But nobody can own a part of something atomic, so whoever
        does shows that it is not.
        """
        if value and not is_shared(self._others, trail):
            return {"=": value}
        return [] if isinstance(value, list) else _EXISTS


def is_shared(others: list[FieldSet], trail: Trail) -> bool:
    """Does any of these field sets own something below the trail?"""
    keys = list(steps(trail))
    for fields in others:
        inner: FieldSet | None = fields
        for key in keys:
            inner = inner.get(key) if inner else None
        if inner and any(key != "." for key in inner):
            return True
    return False


def steps(trail: Trail) -> tuple[str, ...]:
    """The keys of a trail, outermost first."""
    keys: list[str] = []
    while trail:
        trail, key = trail
        keys.append(key)
    return tuple(reversed(keys))


def names_fields(fields: FieldSet) -> bool:
    """Is it a set of an object's fields, and not of a list's items?"""
    return any(key.startswith("f:") for key in fields)


def list_items(fields: Mapping[str, object], items: list[JsonValue]) -> dict[str, JsonValue]:
    """The items that the keys of a field set mean, by these keys. Absent ones are left out.

    Items that share one associative key are returned together as a list.
    """
    found: dict[str, JsonValue] = {}
    indexes: dict[tuple[str, ...], dict[tuple[JsonValue, ...], JsonValue]] = {}
    for key in fields:
        if key.startswith("k:"):
            names, values = item_key(key)
            index = indexes.get(names)
            if index is None:
                index = indexes[names] = _index(names, items)
            if values in index:
                found[key] = index[values]
        elif key.startswith("v:"):
            value = set_value(key)
            if value in items:
                found[key] = value
        elif key.startswith("i:") and int(key[2:]) < len(items):
            found[key] = items[int(key[2:])]
    return found


def _index(
    names: tuple[str, ...], items: list[JsonValue]
) -> dict[tuple[JsonValue, ...], JsonValue]:
    index: dict[tuple[JsonValue, ...], JsonValue] = {}
    repeated: dict[tuple[JsonValue, ...], list[JsonValue]] = {}
    for item in items:
        if isinstance(item, dict):
            values = tuple([item.get(name) for name in names])
            if values in index:
                repeated.setdefault(values, [index[values]]).append(item)
            index[values] = item
    index.update(repeated)
    return index


@lru_cache(maxsize=8192)
def item_key(key: str) -> tuple[tuple[str, ...], tuple[JsonValue, ...]]:
    """The names and values of an associative key such as `k:{"name":"model"}`.

    Cached because the same few hundred names come back with every object.
    """
    associative = cast(JsonObject, orjson.loads(key[2:]))
    return tuple(associative), tuple(associative.values())


@lru_cache(maxsize=1024)
def set_value(key: str) -> JsonValue:
    """The item that a key such as `v:"example.com/finalizer"` stands for."""
    return cast(JsonValue, orjson.loads(key[2:]))


_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9._:/-]+")


def rendered(keys: Iterable[str]) -> str:
    """A path for people: `.spec.template.spec.containers[name=model].image`.

    Anything unusual is quoted as JSON, so that a path cannot be mistaken for another one and
    holds no control characters.
    """
    return "".join(_rendered(key) for key in keys if key != ".")


def _rendered(key: str) -> str:
    kind, rest = key[:2], key[2:]
    if kind == "f:":
        return f".{rest}" if _PLAIN.fullmatch(rest) else f"[{_quoted(rest)}]"
    if kind == "k:":
        pairs = zip(*item_key(key), strict=True)
        return f"[{','.join(f'{name}={_plain(value)}' for name, value in pairs)}]"
    if kind == "v:":
        return f"[={_plain(set_value(key))}]"
    return f"[{rest}]"


def _plain(value: JsonValue) -> str:
    if isinstance(value, str) and _PLAIN_VALUE.fullmatch(value):
        return value
    return _quoted(value)


def _quoted(value: JsonValue) -> str:
    # ASCII only: bidirectional and other invisible characters become escapes.
    return json.dumps(value)
