"""What RBAC objects and network policies let through, as sets that can be compared and met.

Separate from the order of waves, which only asks two things of a change: does it give, does it
take. The invariant: both answers err towards yes, so that a change whose direction cannot be told
counts as one that gives and takes; and what `common` allows, both sides allow.

Semantics: https://kubernetes.io/docs/reference/access-authn-authz/rbac/ and
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias, cast

from reconciler.core.manifests import JsonObject, JsonValue, canonical_json

AGGREGATION_PREFIX: Final = "rbac.authorization.k8s.io/aggregate-to-"
"""A ClusterRole with such a label adds its rules to other roles."""


@dataclass(frozen=True, slots=True)
class Direction:
    """Which way a change goes. Neither is true of a change that leaves access as it was."""

    gives: bool
    takes: bool


BOTH: Final = Direction(gives=True, takes=True)


def role_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of a Role or ClusterRole."""
    old, new = _rules(before), _rules(after)
    joined, left = _label_changes(before, after)
    selected, unselected = _list_changes(_selectors(before), _selectors(after))
    return Direction(
        gives=joined or selected or not _covers(old, new),
        takes=left or unselected or not _covers(new, old),
    )


def common_role(before: JsonObject, after: JsonObject) -> JsonObject:
    """`after`, reduced to what `before` allowed too."""
    body = {**after, "rules": cast(JsonValue, _meet_rules(_rules(before), _rules(after)))}
    if "aggregationRule" in after:
        both = _common(_selectors(before), _selectors(after))
        body["aggregationRule"] = {"clusterRoleSelectors": both}
    metadata = cast(JsonObject, after["metadata"])
    earlier = _labels(before)
    labels = {
        name: value
        for name, value in _labels(after).items()
        if not name.startswith(AGGREGATION_PREFIX) or earlier.get(name) == value
    }
    return {**body, "metadata": {**metadata, "labels": labels}} if _labels(after) else body


def binding_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of a RoleBinding or ClusterRoleBinding."""
    if before.get("roleRef") != after.get("roleRef"):
        return BOTH
    return Direction(*_list_changes(_list(before, "subjects"), _list(after, "subjects")))


def common_binding(before: JsonObject, after: JsonObject) -> JsonObject:
    """The subjects of both, bound to the earlier role; nobody when the role changes."""
    same_role = before.get("roleRef") == after.get("roleRef")
    both = _common(_list(before, "subjects"), _list(after, "subjects")) if same_role else []
    return {**after, "roleRef": before.get("roleRef"), "subjects": cast(JsonValue, both)}


def network_direction(before: JsonObject, after: JsonObject) -> Direction:
    """Of a change of a NetworkPolicy. Rules are compared as written."""
    old, new = _spec(before), _spec(after)
    if old.get("podSelector") != new.get("podSelector"):
        return BOTH
    directions = [
        _traffic_direction(old, new, kind=kind, name=name)
        for kind, name in (("Ingress", "ingress"), ("Egress", "egress"))
    ]
    return Direction(
        gives=any(direction.gives for direction in directions),
        takes=any(direction.takes for direction in directions),
    )


def common_network(before: JsonObject, after: JsonObject) -> JsonObject | None:
    """`after` with the rules of both only, or None when they govern different pods."""
    old, new = _spec(before), _spec(after)
    if old.get("podSelector") != new.get("podSelector"):
        return None
    spec = dict(new)
    governed = [
        kind for kind in ("Ingress", "Egress") if _governs(old, kind) or _governs(new, kind)
    ]
    spec["policyTypes"] = cast(JsonValue, governed)
    for kind in governed:
        spec[kind.lower()] = _allowed_by_both(old, new, kind=kind)
    return {**after, "spec": spec}


def _allowed_by_both(old: JsonObject, new: JsonObject, *, kind: str) -> JsonValue:
    name = kind.lower()
    if not _governs(old, kind):
        return _list(new, name)
    return _common(_list(old, name), _list(new, name)) if _governs(new, kind) else _list(old, name)


def _traffic_direction(old: JsonObject, new: JsonObject, *, kind: str, name: str) -> Direction:
    governed, governs = _governs(old, kind), _governs(new, kind)
    if governed and governs:
        return Direction(*_list_changes(_list(old, name), _list(new, name)))
    # A direction that a policy does not govern is open.
    return Direction(gives=governed, takes=governs)


def _governs(spec: JsonObject, kind: str) -> bool:
    declared = _list(spec, "policyTypes")
    # Left out, the types are Ingress, and Egress where there are egress rules.
    return kind in declared if declared else kind == "Ingress" or bool(_list(spec, "egress"))


def _spec(body: JsonObject) -> JsonObject:
    return cast(JsonObject, body.get("spec") or {})


def _list(body: JsonObject, name: str) -> list[JsonValue]:
    return cast("list[JsonValue]", body.get(name) or [])


def _labels(body: JsonObject) -> JsonObject:
    return cast(JsonObject, cast(JsonObject, body["metadata"]).get("labels") or {})


def _selectors(role: JsonObject) -> list[JsonValue]:
    return _list(cast(JsonObject, role.get("aggregationRule") or {}), "clusterRoleSelectors")


def _label_changes(before: JsonObject, after: JsonObject) -> tuple[bool, bool]:
    old, new = (
        {item for item in _labels(body).items() if item[0].startswith(AGGREGATION_PREFIX)}
        for body in (before, after)
    )
    return bool(new - old), bool(old - new)


def _list_changes(old: list[JsonValue], new: list[JsonValue]) -> tuple[bool, bool]:
    """Does the new list have something more, does it lack something."""
    earlier, later = ({canonical_json(item) for item in items} for items in (old, new))
    return bool(later - earlier), bool(earlier - later)


def _common(old: list[JsonValue], new: list[JsonValue]) -> list[JsonValue]:
    earlier = {canonical_json(item) for item in old}
    return [item for item in new if canonical_json(item) in earlier]


_Meet: TypeAlias = Callable[[str, str], "str | None"]
"""What two values both stand for, or None."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One PolicyRule. No names means every name."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    names: tuple[str, ...]
    urls: tuple[str, ...]


def _rules(role: JsonObject) -> list[_Rule]:
    return [_rule(cast(JsonObject, rule)) for rule in _list(role, "rules")]


def _rule(rule: JsonObject) -> _Rule:
    verbs, groups, resources, names, urls = (
        tuple(str(item) for item in _list(rule, name))
        for name in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    )
    return _Rule(verbs=verbs, groups=groups, resources=resources, names=names, urls=urls)


def _covers(wide: list[_Rule], narrow: list[_Rule]) -> bool:
    """Does `wide` allow everything that `narrow` allows?"""
    return all(any(_allows(rule, part) for rule in wide) for part in _parts(narrow))


def _parts(rules: Iterable[_Rule]) -> Iterable[_Rule]:
    """Rules with one value in each place, which is what a single rule can be asked for."""
    for rule in rules:
        for verb, group, resource in product(rule.verbs, rule.groups, rule.resources):
            for name in rule.names or (None,):
                yield _Rule((verb,), (group,), (resource,), (name,) if name else (), ())
        for verb, url in product(rule.verbs, rule.urls):
            yield _Rule((verb,), (), (), (), (url,))


def _allows(rule: _Rule, part: _Rule) -> bool:
    if not _has(rule.verbs, part.verbs, _meet_exact):
        return False
    if part.urls:
        return _has(rule.urls, part.urls, _meet_url)
    return (
        _has(rule.groups, part.groups, _meet_exact)
        and _has(rule.resources, part.resources, _meet_resource)
        and (not rule.names or (bool(part.names) and part.names[0] in rule.names))
    )


def _has(values: tuple[str, ...], part: tuple[str, ...], meet: _Meet) -> bool:
    """Is the one value of `part` wholly inside one of the values?"""
    return any(meet(value, part[0]) == part[0] for value in values)


def _meet_rules(old: list[_Rule], new: list[_Rule]) -> list[JsonObject]:
    """What both sides allow: the meeting of every rule of one with every rule of the other."""
    met: list[_Rule] = []
    for rule in (_meet(one, two) for one, two in product(old, new)):
        if not _covers(met, [rule]):
            met.append(rule)
    return [_as_json(rule) for rule in met]


def _meet(one: _Rule, two: _Rule) -> _Rule:
    names = tuple(name for name in one.names if name in two.names)
    disjoint = bool(one.names and two.names and not names)
    return _Rule(
        verbs=_meets(one.verbs, two.verbs, _meet_exact),
        groups=_meets(one.groups, two.groups, _meet_exact),
        resources=() if disjoint else _meets(one.resources, two.resources, _meet_resource),
        names=names or one.names or two.names,
        urls=_meets(one.urls, two.urls, _meet_url),
    )


def _meets(one: tuple[str, ...], two: tuple[str, ...], meet: _Meet) -> tuple[str, ...]:
    found = (meet(left, right) for left, right in product(one, two))
    return tuple(dict.fromkeys(value for value in found if value is not None))


def _meet_exact(one: str, two: str) -> str | None:
    if two in (one, "*"):
        return one
    return two if one == "*" else None


def _meet_resource(one: str, two: str) -> str | None:
    """`*` is every resource and subresource, `*/scale` that subresource of every resource."""
    if (met := _meet_exact(one, two)) is not None:
        return met
    for wide, narrow in ((one, two), (two, one)):
        if wide.startswith("*/") and narrow.endswith(wide[1:]):
            return narrow
    return None


def _meet_url(one: str, two: str) -> str | None:
    """A URL path may end in `*`, which stands for any rest."""
    for wide, narrow in ((one, two), (two, one)):
        if wide == narrow or (wide.endswith("*") and narrow.startswith(wide[:-1])):
            return narrow
    return None


def _as_json(rule: _Rule) -> JsonObject:
    named = {"apiGroups": rule.groups, "resources": rule.resources, "resourceNames": rule.names}
    # A rule is about resources or about URLs; the server refuses one that is about both.
    places = named if rule.resources else {"nonResourceURLs": rule.urls}
    listed = {"verbs": rule.verbs, **places}
    return {name: cast(JsonValue, list(values)) for name, values in listed.items() if values}
