"""Tighten first, widen last: for every change of access."""

from __future__ import annotations

import itertools
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identifiers import DocumentPath, ObjectKey
from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.ordering import Wave, deletion_order, stepping_stone, wave_of
from reconciler.core.problems import Span

VERBS = ("get", "list", "*")
GROUPS = ("", "apps", "*")
RESOURCES = ("pods", "deployments", "deployments/scale", "*/scale", "*")
NAMES = ("a", "b")
REQUESTS = tuple(
    itertools.product(
        ("get", "list", "delete"),
        ("", "apps", "batch"),
        ("pods", "deployments", "deployments/scale", "jobs/scale", "jobs"),
        ("a", "b", "c"),
    )
)


def some(values: tuple[str, ...], *, least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True)


rules = st.fixed_dictionaries(
    {"verbs": some(VERBS), "apiGroups": some(GROUPS), "resources": some(RESOURCES)},
    optional={"resourceNames": some(NAMES, least=0)},
)
roles = st.lists(rules, max_size=3)


def manifest(kind: str, api_version: str, **fields: object) -> Manifest:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields}
    return manifest_of(cast(JsonObject, body), Source(DocumentPath("a.yaml"), Span(1, 1)))


def role(rules: list[dict[str, list[str]]]) -> Manifest:
    return manifest("Role", "rbac.authorization.k8s.io/v1", rules=rules)


def allowed(role: Manifest | None) -> set[tuple[str, str, str, str]]:
    """What an authorizer would say yes to, by brute force."""
    rules = cast("list[dict[str, list[str]]]", role.body["rules"]) if role else []
    return {request for request in REQUESTS if any(allows(rule, *request) for rule in rules)}


def allows(rule: dict[str, list[str]], verb: str, group: str, resource: str, name: str) -> bool:
    _, _, subresource = resource.partition("/")
    resources = {resource, "*", f"*/{subresource}" if subresource else "*"}
    return (
        bool({verb, "*"} & set(rule["verbs"]))
        and bool({group, "*"} & set(rule["apiGroups"]))
        and bool(resources & set(rule["resources"]))
        and (not rule.get("resourceNames") or name in rule["resourceNames"])
    )


@given(roles, roles)
def test_a_role_gives_nothing_before_the_widening_wave(
    one: list[dict[str, list[str]]], two: list[dict[str, list[str]]]
) -> None:
    before, after = role(one), role(two)
    if allowed(after) - allowed(before):
        assert wave_of(before=before, after=after) is Wave.WIDENING


@given(roles, roles)
def test_after_the_tightening_wave_nothing_is_allowed_that_the_new_role_does_not_allow(
    one: list[dict[str, list[str]]], two: list[dict[str, list[str]]]
) -> None:
    before, after = role(one), role(two)
    first = stepping_stone(before, after)
    if first is None and wave_of(before=before, after=after) is Wave.TIGHTENING:
        first = after
    assert allowed(first or before) <= allowed(after)


@given(roles, roles)
def test_a_stepping_stone_allows_exactly_what_both_roles_allow(
    one: list[dict[str, list[str]]], two: list[dict[str, list[str]]]
) -> None:
    before, after = role(one), role(two)
    if (between := stepping_stone(before, after)) is not None:
        assert allowed(between) == allowed(before) & allowed(after)


@given(roles, roles)
def test_no_second_stone_lies_between_a_stone_and_its_ends(
    one: list[dict[str, list[str]]], two: list[dict[str, list[str]]]
) -> None:
    before, after = role(one), role(two)
    if (between := stepping_stone(before, after)) is not None:
        assert wave_of(before=before, after=between) is Wave.TIGHTENING
        assert stepping_stone(before, between) is None
        assert stepping_stone(between, after) is None


kinds = st.sampled_from(
    [
        ("", "Namespace"),
        ("", "ConfigMap"),
        ("apps", "Deployment"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "Role"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("example.com", "Unheard"),
    ]
)
keys = st.builds(
    lambda kind, name: ObjectKey(*kind, "n", name), kinds, st.sampled_from(["a", "b", "c"])
)


@given(st.lists(keys))
def test_deletion_order_loses_nothing_and_repeats_nothing(wanted: list[ObjectKey]) -> None:
    ordered = [key for group in deletion_order(wanted) for key in group]
    assert sorted(ordered) == sorted(set(wanted))


@given(st.lists(keys))
def test_deletion_order_does_not_depend_on_the_order_asked(wanted: list[ObjectKey]) -> None:
    assert deletion_order(wanted) == deletion_order(reversed(wanted))
