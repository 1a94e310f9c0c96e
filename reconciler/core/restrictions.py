"""What an `unless` of a Role refuses, as sets that can be compared and joined.

Separate from grants.py: there more in an object means more access, here it means less. The
invariant: what `joined` refuses, both sides together refuse; what is not of our own making keeps
the order that its kind has.
"""

from __future__ import annotations

from typing import Final, cast

from reconciler.core.grants import BOTH, Direction
from reconciler.core.manifests import JsonObject, JsonValue, canonical_json, digest_of

RESTRICTION_LABEL: Final = "fairlead.dev/restriction"
"""On a binding of an admission policy, and on the ConfigMap that it reads."""

REVISION: Final = "revision"
"""Key of the ConfigMap: by it an API server says that it has read the others."""


def is_restriction(body: JsonObject) -> bool:
    """Whether it is one of the two objects of a restriction."""
    metadata = cast(JsonObject, body["metadata"])
    return RESTRICTION_LABEL in cast(JsonObject, metadata.get("labels") or {})


def with_revision(data: JsonObject) -> JsonObject:
    """`data` of a ConfigMap, with the digest of all else in it."""
    content = {key: value for key, value in data.items() if key != REVISION}
    return {**content, REVISION: digest_of(canonical_json(content))}


def parameters_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of the ConfigMap: whom it restricts."""
    if _restricted(before) != _restricted(after):
        return BOTH
    return _direction(_groups(before), _groups(after))


def joined_parameters(before: JsonObject, after: JsonObject) -> JsonObject | None:
    """`after` for the groups of both, or None when they restrict different things."""
    if _restricted(before) != _restricted(after):
        return None
    groups = "\n".join(sorted(_groups(before) | _groups(after)))
    return {**after, "data": with_revision({**_data(after), "groups": groups})}


def scope_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of the binding: where it restricts."""
    if _elsewhere(before) != _elsewhere(after):
        return BOTH
    return _direction(_namespaces(before), _namespaces(after))


def joined_scope(before: JsonObject, after: JsonObject) -> JsonObject | None:
    """`after` for the namespaces of both, or None when something else differs."""
    if _elsewhere(before) != _elsewhere(after):
        return None
    return _within(after, sorted(_namespaces(before) | _namespaces(after)))


def _direction(old: frozenset[str], new: frozenset[str]) -> Direction:
    return Direction(gives=bool(old - new), takes=bool(new - old))


def _data(body: JsonObject) -> JsonObject:
    return cast(JsonObject, body.get("data") or {})


def _restricted(body: JsonObject) -> JsonObject:
    """All of the parameters but whom they restrict."""
    return {key: value for key, value in _data(body).items() if key not in ("groups", REVISION)}


def _groups(body: JsonObject) -> frozenset[str]:
    return frozenset(str(_data(body).get("groups", "")).split("\n"))


def _namespaces(body: JsonObject) -> frozenset[str]:
    return frozenset(governed_namespaces(body))


def governed_namespaces(binding: JsonObject) -> tuple[str, ...]:
    """Those that a binding lists by name."""
    return tuple(
        str(value)
        for expression in _expressions(binding)
        for value in cast("list[JsonValue]", expression.get("values") or [])
    )


def _expressions(binding: JsonObject) -> list[JsonObject]:
    spec = cast(JsonObject, binding.get("spec") or {})
    matched = cast(JsonObject, spec.get("matchResources") or {})
    selector = cast(JsonObject, matched.get("namespaceSelector") or {})
    return cast("list[JsonObject]", selector.get("matchExpressions") or [])


def _elsewhere(binding: JsonObject) -> JsonValue:
    """The binding without the namespaces."""
    return _within(binding, []).get("spec")


def _within(binding: JsonObject, namespaces: list[str]) -> JsonObject:
    spec = cast(JsonObject, binding.get("spec") or {})
    expressions = [{**one, "values": list(namespaces)} for one in _expressions(binding)]
    selector = {"namespaceSelector": {"matchExpressions": expressions}}
    return {**binding, "spec": {**spec, "matchResources": cast(JsonValue, selector)}}
