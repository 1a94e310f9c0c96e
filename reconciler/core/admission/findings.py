"""What a check found inside one JSON object, and where in it.

Separate so that checks know nothing of files: they are told an object and name places in it by
pointer, and whoever read the file turns that into a Problem with line and column. The invariant:
looking at a place never fails, whatever shape the object has; wrong shapes are left to the API
server's own validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.manifests import JsonObject, JsonValue

Pointer: TypeAlias = "tuple[str | int, ...]"
"""Keys and indexes on the way from the root of an object to a place in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `message` and `hint` are as in Problem."""

    pointer: Pointer
    code: str
    message: str
    hint: str


def mapping(value: JsonValue) -> JsonObject:
    """`value` where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: JsonValue) -> list[JsonValue]:
    """`value` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def member(value: JsonValue, pointer: Pointer) -> JsonValue:
    """The value at `pointer`, or None."""
    for step in pointer:
        if isinstance(step, str):
            value = mapping(value).get(step)
        else:
            items = sequence(value)
            value = items[step] if step < len(items) else None
    return value
