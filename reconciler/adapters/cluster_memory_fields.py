"""Field ownership as an API server keeps it: which manager set which field.

Separate because it is the one algorithm of the in-memory cluster; the rest is bookkeeping. It
follows the rules of server-side apply (https://kubernetes.io/docs/reference/using-api/
server-side-apply/) for maps, keyed lists, sets, and atomic lists and maps. The invariant: a field
that somebody else owns is neither changed without a conflict nor removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import orjson

from reconciler.adapters.cluster_memory_schema import (
    KEY_DEFAULTS,
    is_atomic_map,
    list_keys,
)
from reconciler.core.manifests import JsonObject, JsonValue

Path: TypeAlias = "tuple[str, ...]"
"""Elements as fieldsV1 writes them: `f:spec`, `k:{"name":"main"}`, `v:"finalizer"`."""

FieldSet: TypeAlias = "frozenset[Path]"

NOTHING: FieldSet = frozenset()

_SYSTEM_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)


class _Absent:
    """The value of a field that is not there; `null` is a value."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """A manager in one of its roles: the same name may apply and update, and then is two."""

    name: str
    operation: str
    subresource: str = ""


Ownership: TypeAlias = "Mapping[Owner, FieldSet]"


def copied(body: JsonObject) -> JsonObject:
    return cast(JsonObject, orjson.loads(orjson.dumps(body)))


def fields_of(body: JsonObject) -> FieldSet:
    """What an apply of `body` owns."""
    kind = str(body.get("kind"))
    owned: set[Path] = set()
    for name, value in body.items():
        if name in {"apiVersion", "kind"}:
            continue
        if name == "metadata" and isinstance(value, dict):
            for field, content in value.items():
                if field not in _SYSTEM_METADATA:
                    _collect(kind, content, (name, field), ("f:metadata", f"f:{field}"), owned)
        else:
            _collect(kind, value, (name,), (f"f:{name}",), owned)
    return frozenset(owned)


def _collect(kind: str, value: JsonValue, names: Path, path: Path, owned: set[Path]) -> None:
    if isinstance(value, dict) and value and not is_atomic_map(kind, names):
        for field, content in value.items():
            _collect(kind, content, (*names, field), (*path, f"f:{field}"), owned)
        return
    keys = list_keys(kind, names) if isinstance(value, list) else None
    if keys is None:
        owned.add(path)
        return
    for item in cast("list[JsonValue]", value):
        element = _element(item, keys)
        owned.add((*path, element))
        if isinstance(item, dict):
            for field, content in item.items():
                _collect(kind, content, (*names, field), (*path, element, f"f:{field}"), owned)


def _element(item: JsonValue, keys: tuple[str, ...]) -> str:
    if not keys or not isinstance(item, dict):
        return f"v:{json.dumps(item, separators=(',', ':'))}"
    identity = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in keys}
    present = {key: value for key, value in sorted(identity.items()) if value is not None}
    return f"k:{json.dumps(present, separators=(',', ':'))}"


def _matches(item: JsonValue, element: str) -> bool:
    wanted = json.loads(element[2:])
    if element.startswith("v:"):
        return bool(item == wanted)
    return isinstance(item, dict) and all(
        item.get(key, KEY_DEFAULTS.get(key)) == value for key, value in wanted.items()
    )


def _step(value: JsonValue | _Absent, element: str) -> JsonValue | _Absent:
    if element.startswith("f:"):
        return value.get(element[2:], ABSENT) if isinstance(value, dict) else ABSENT
    if isinstance(value, list):
        return next((item for item in value if _matches(item, element)), ABSENT)
    return ABSENT


def value_at(body: JsonObject, path: Path) -> JsonValue | _Absent:
    value: JsonValue | _Absent = body
    for element in path:
        value = _step(value, element)
    return value


def differing(before: JsonObject, after: JsonObject, paths: FieldSet) -> FieldSet:
    """Those of `paths`, all in `after`, that `before` lacks or has otherwise.

    An item of a keyed list is there or not; what it holds has paths of its own.
    """
    found: set[Path] = set()
    for path in paths:
        old = value_at(before, path)
        holds_value = path[-1].startswith("f:")
        if isinstance(old, _Absent) or (holds_value and old != value_at(after, path)):
            found.add(path)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Merged:
    """An apply worked out: the object, who owns what then, and whom it contradicts."""

    body: JsonObject
    ownership: Ownership
    conflicts: tuple[tuple[Owner, Path], ...]


def apply_fields(live: JsonObject, wanted: JsonObject, ownership: Ownership, me: Owner) -> Merged:
    """Merge `wanted` into `live` and take out what `me` applied before and does no more.

    Conflicts are reported and the ownership is that of forcing them; the caller decides.
    """
    ours = fields_of(wanted)
    changed = differing(live, wanted, ours)
    others = {owner: fields for owner, fields in ownership.items() if owner != me}
    conflicts = tuple(
        sorted((owner, path) for owner, fields in others.items() for path in fields & changed)
    )
    body = cast(JsonObject, _merge(str(wanted.get("kind")), live, wanted, ()))
    kept = frozenset(path for fields in others.values() for path in fields)
    dropped = ownership.get(me, NOTHING) - ours
    _remove(body, dropped, kept=kept, wanted=ours)
    left = {owner: _present(body, fields - changed) for owner, fields in others.items()}
    return Merged(body, _nonempty({**left, me: ours}), conflicts)


def update_fields(
    before: JsonObject, after: JsonObject, ownership: Ownership, me: Owner
) -> Ownership:
    """Ownership after `me` wrote the whole object: what changed is theirs, what went, nobody's."""
    fields_after = fields_of(after)
    touched = differing(before, after, fields_after)
    gone = fields_of(before) - fields_after
    left = {owner: fields - touched - gone for owner, fields in ownership.items() if owner != me}
    return _nonempty({**left, me: (ownership.get(me, NOTHING) | touched) - gone})


def _nonempty(ownership: Ownership) -> Ownership:
    return {owner: fields for owner, fields in ownership.items() if fields}


def _touches(path: Path, fields: FieldSet) -> bool:
    """Whether `fields` has the path or anything below it."""
    return any(field[: len(path)] == path for field in fields)


def _merge(kind: str, live: JsonValue, wanted: JsonValue, names: Path) -> JsonValue:
    if isinstance(live, dict) and isinstance(wanted, dict) and not is_atomic_map(kind, names):
        merged = dict(live)
        for field, value in wanted.items():
            merged[field] = (
                _merge(kind, live[field], value, (*names, field)) if field in live else value
            )
        return merged
    if isinstance(live, list) and isinstance(wanted, list):
        keys = list_keys(kind, names)
        if keys is not None:
            return _merge_items(kind, live, wanted, names, keys)
    return wanted


def _merge_items(
    kind: str,
    live: list[JsonValue],
    wanted: list[JsonValue],
    names: Path,
    keys: tuple[str, ...],
) -> list[JsonValue]:
    """Wanted items in their order; items of others stay behind the item they followed."""
    here = {_element(item, keys): item for item in live}
    asked = {_element(item, keys): item for item in wanted}
    shared = [element for element in asked if element in here]
    waiting = list(here)
    merged: list[JsonValue] = []
    for element, item in asked.items():
        while waiting and waiting[0] != element:
            if waiting[0] not in asked:
                merged.append(here[waiting[0]])
            elif shared and waiting[0] == shared[0]:
                break  # its turn comes after items that are new
            waiting.pop(0)
        if waiting and waiting[0] == element:
            waiting.pop(0)
        if shared and shared[0] == element:
            shared.pop(0)
        merged.append(_merge(kind, here[element], item, names) if element in here else item)
    return [*merged, *(here[element] for element in waiting if element not in asked)]


def _remove(body: JsonObject, dropped: FieldSet, *, kept: FieldSet, wanted: FieldSet) -> None:
    """Take `dropped` out, except what others own, then the parents that this leaves empty.

    An item of a list goes with the last owner of the item itself, with all that others have set
    inside it. So items go first: without its key fields an item could not be found.
    """
    for path in sorted(dropped, key=len):
        parent = path[:-1]
        stays = path in kept if path[-1][0] in "kv" else _touches(path, kept)
        if stays or _is_key_of_item(path):
            continue
        _take_out(body, path)
        # What others had inside an item went with it, and keeps no list that is empty.
        kept = frozenset(field for field in kept if field[: len(path)] != path)
        while len(parent) > 1 and value_at(body, parent) in ({}, []):
            if _touches(parent, kept) or _touches(parent, wanted):
                break
            _take_out(body, parent)
            parent = parent[:-1]


def _is_key_of_item(path: Path) -> bool:
    """Whether the field identifies the item that it is in; it goes with the item only."""
    item, field = path[-2], path[-1]
    return item.startswith("k:") and field.startswith("f:") and field[2:] in json.loads(item[2:])


def _present(body: JsonObject, fields: FieldSet) -> FieldSet:
    return frozenset(path for path in fields if not isinstance(value_at(body, path), _Absent))


def _take_out(body: JsonObject, path: Path) -> None:
    container = value_at(body, path[:-1])
    last = path[-1]
    if isinstance(container, dict):
        container.pop(last[2:], None)
    elif isinstance(container, list):
        container[:] = [item for item in container if not _matches(item, last)]


def fields_v1(fields: Iterable[Path]) -> JsonObject:
    """The nested form in `managedFields`; `.` marks an element that is owned itself."""
    root: JsonObject = {}
    for path in sorted(fields):
        node = root
        for element in path:
            node = cast(JsonObject, node.setdefault(element, {}))
        if not path[-1].startswith("f:"):
            node["."] = {}
    return root


def dotted(path: Path) -> str:
    """A path as conflicts name it: `.spec.template.spec.containers[name="main"].image`."""
    shown = ""
    for element in path:
        if element.startswith("f:"):
            shown += f".{element[2:]}"
        elif element.startswith("k:"):
            pairs = json.loads(element[2:]).items()
            shown += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
        else:
            shown += f"[={element[2:]}]"
    return shown
