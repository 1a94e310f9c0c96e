"""What policies and sign-ins of a secret store let through, so that they can be compared and met.

Separate from RBAC, whose rules mean other things. The invariant is that of grants.py: both answers
err towards yes, and what `common` allows, both sides allow.

Semantics: https://developer.hashicorp.com/vault/docs/concepts/policies
"""

from __future__ import annotations

import re
from typing import Final, cast

from reconciler.core.grants import BOTH, Direction
from reconciler.core.manifests import JsonObject, JsonValue

_BLOCK: Final = re.compile(r'\s*path\s+"([^"\\]+)"\s*\{\s*capabilities\s*=\s*\[([^\]]*)\]\s*\}')
_LISTS: Final = ("boundServiceAccountNames", "boundServiceAccountNamespaces", "tokenPolicies")
_LIVES: Final = ("tokenTtlSeconds", "tokenMaxTtlSeconds")
_FIXED: Final = ("audience", "aliasNameSource")


def policy_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of a policy. One that is not plain may go either way."""
    old, new = _paths(before), _paths(after)
    if old is None or new is None or _capabilities(old, new) is None:
        return BOTH
    return Direction(gives=not _covers(old, new), takes=not _covers(new, old))


def common_policy(before: JsonObject, after: JsonObject) -> JsonObject | None:
    """`after` with the paths that both allow."""
    old, new = _paths(before), _paths(after)
    if old is None or new is None or (named := _capabilities(old, new)) is None:
        return None
    both = {path for path in new if _covered(path, old)} | {p for p in old if _covered(p, new)}
    lines = (f'path "{path}" {{ capabilities = [{named}] }}\n' for path in sorted(both))
    return {**after, "spec": {"policy": "".join(lines)}}


def sign_in_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of a role of the Kubernetes auth method."""
    old, new = _spec(before), _spec(after)
    if any(old.get(name) != new.get(name) for name in _FIXED):
        return BOTH
    return Direction(gives=_exceeds(new, old), takes=_exceeds(old, new))


def common_sign_in(before: JsonObject, after: JsonObject) -> JsonObject | None:
    """`after` with what is in both; None when nobody would be left, which Vault does not take."""
    old, new = _spec(before), _spec(after)
    if any(old.get(name) != new.get(name) for name in _FIXED):
        return None
    spec = dict(new)
    for name in _LISTS:
        earlier = _list(old, name)
        spec[name] = [item for item in _list(new, name) if item in earlier]
    for name in _LIVES:
        spec[name] = min(_seconds(old, name), _seconds(new, name))
    named = all(spec[name] for name in _LISTS[:2])
    return {**after, "spec": spec} if named else None


def policy_union(first: JsonObject, second: JsonObject) -> JsonObject:
    """`second` with the paths of `first` as well; `second` where one of the two is not plain."""
    old, new = _paths(first), _paths(second)
    if old is None or new is None or (named := _capabilities(old, new)) is None:
        return second
    lines = (f'path "{path}" {{ capabilities = [{named}] }}\n' for path in sorted({*old, *new}))
    return {**second, "spec": {"policy": "".join(lines)}}


def _paths(policy: JsonObject) -> dict[str, str] | None:
    """Capabilities by path; None where the text has anything else in it."""
    text = str(_spec(policy).get("policy") or "")
    found: dict[str, str] = {}
    place = 0
    while match := _BLOCK.match(text, place):
        named = ", ".join(sorted(part.strip() for part in match[2].split(",") if part.strip()))
        if match[1] in found or '"deny"' in named:
            return None
        found[match[1]] = named
        place = match.end()
    return None if text[place:].strip() else found


def _capabilities(old: dict[str, str], new: dict[str, str]) -> str | None:
    """Those of all paths; None where they differ: then the path that fits best decides alone."""
    named = {*old.values(), *new.values()}
    return None if len(named) > 1 else next(iter(named), "")


def _covers(wide: dict[str, str], narrow: dict[str, str]) -> bool:
    return all(_covered(path, wide) for path in narrow)


def _covered(path: str, wide: dict[str, str]) -> bool:
    return any(
        path == other or (other.endswith("*") and path.startswith(other[:-1])) for other in wide
    )


def _exceeds(one: JsonObject, other: JsonObject) -> bool:
    longer = any(_seconds(one, name) > _seconds(other, name) for name in _LIVES)
    return longer or any(
        item not in _list(other, name) for name in _LISTS for item in _list(one, name)
    )


def _spec(body: JsonObject) -> JsonObject:
    return cast(JsonObject, body.get("spec") or {})


def _list(spec: JsonObject, name: str) -> list[JsonValue]:
    return cast("list[JsonValue]", spec.get(name) or [])


def _seconds(spec: JsonObject, name: str) -> int:
    return cast(int, spec.get(name) or 0)
