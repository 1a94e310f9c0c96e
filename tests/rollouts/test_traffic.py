"""A route gives each version its part and no more, and stays otherwise as it was declared."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.kinds.rollout import BlueGreen, Cohort, Step
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.traffic import (
    ALL_TRAFFIC,
    MOST_BACKENDS,
    NO_TRAFFIC,
    Split,
    divided,
    percent,
    split_of,
    splits,
)
from reconciler.core.samples import Traffic
from tests.rollouts.builders import ALL, APPROVAL, COHORT, FIVE, MIRROR, QUARTER, spec

HEADER = Cohort(header="x-cohort", value="internal")
BY_HEADER = Split(Traffic.COHORT, cohort=HEADER)
KINDS = {
    "none": NO_TRAFFIC,
    "cohort": BY_HEADER,
    "mirror": Split(Traffic.MIRROR, 0.1),
    "mirror of all": Split(Traffic.MIRROR, 1.0),
    "weight": Split(Traffic.WEIGHT, 0.05),
    "fine weight": Split(Traffic.WEIGHT, 0.000001),
    "all": ALL_TRAFFIC,
}

MATCH: JsonObject = {"path": {"type": "PathPrefix", "value": "/"}}
GET: JsonObject = {"path": {"type": "Exact", "value": "/v1"}, "method": "GET"}
GUARDED: JsonObject = {"headers": [{"type": "Exact", "name": "x-tenant", "value": "a"}]}
FOREIGN: JsonObject = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}


def route(*matches: JsonObject, filters: tuple[JsonObject, ...] = ()) -> JsonObject:
    rule: dict[str, Any] = {
        "matches": list(matches or (MATCH,)),
        "timeouts": {"request": "30s"},
        "backendRefs": [{"name": "fraud-v1", "port": 80, "weight": 100}],
    }
    if filters:
        rule["filters"] = list(filters)
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "fraud", "annotations": {"people": "wrote this"}},
        "spec": {"parentRefs": [{"name": "gw"}], "hostnames": ["a.example"], "rules": [rule]},
    }
    return cast(JsonObject, body)


def rules(split: Split, body: JsonObject | None = None, *warm: str) -> list[dict[str, Any]]:
    made = divided(body or route(), split, stable="fraud-v1", candidate="fraud-v2", warm=warm)
    return cast(Any, made["spec"])["rules"]


def weights(rule: dict[str, Any]) -> dict[str, int]:
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def every_kind() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("split", KINDS.values(), ids=KINDS.keys())


# Weights


@pytest.mark.parametrize(
    ("share", "stable", "candidate"),
    [
        (0.05, 95, 5),
        (0.25, 75, 25),
        (0.29, 71, 29),
        (0.57, 43, 57),
        (0.99, 1, 99),
        (0.005, 9950, 50),
        (0.0001, 9999, 1),
        (0.33333, 666670, 333330),
        (0.000001, 999999, 1),
        (0.999999, 1, 999999),
    ],
)
def test_a_share_is_said_in_the_coarsest_parts_that_can_say_it(
    share: float, stable: int, candidate: int
) -> None:
    (rule,) = rules(Split(Traffic.WEIGHT, share))
    assert weights(rule) == {"fraud-v1": stable, "fraud-v2": candidate}


@given(units=st.integers(1, 999_999))
def test_weights_say_every_share_that_a_step_can_say(units: int) -> None:
    step = Step.model_validate({"weight": f"{units / 10_000:.4f}%"})
    found = weights(rules(split_of(step, NO_TRAFFIC))[0])
    assert found["fraud-v2"] * 1_000_000 == units * sum(found.values())


@given(share=st.floats(0, 1, allow_nan=False))
def test_weights_come_within_a_millionth_of_any_share(share: float) -> None:
    found = weights(rules(Split(Traffic.WEIGHT, share))[0])
    assert math.isclose(found["fraud-v2"] / sum(found.values()), share, abs_tol=1e-6)


@given(share=st.floats(0, 1, allow_nan=False))
def test_no_weight_is_negative_or_greater_than_a_route_may_hold(share: float) -> None:
    found = weights(rules(Split(Traffic.WEIGHT, share))[0])
    assert all(0 <= weight <= 1_000_000 for weight in found.values())


def test_all_requests_leave_nothing_to_the_version_before() -> None:
    assert weights(rules(ALL_TRAFFIC)[0]) == {"fraud-v1": 0, "fraud-v2": 100}


@pytest.mark.parametrize("kind", ["none", "cohort", "mirror", "mirror of all"])
def test_what_is_no_weight_leaves_all_answers_to_the_version_before(kind: str) -> None:
    assert weights(rules(KINDS[kind])[-1]) == {"fraud-v1": 100, "fraud-v2": 0}


def test_one_version_alone_has_everything() -> None:
    made = divided(route(), NO_TRAFFIC, stable="fraud-v1", candidate="fraud-v1")
    (rule,) = cast(Any, made["spec"])["rules"]
    assert weights(rule) == {"fraud-v1": 100}


@every_kind()
def test_a_warm_version_is_named_and_gets_nothing(split: Split) -> None:
    assert weights(rules(split, None, "fraud-v0")[-1])["fraud-v0"] == 0


@every_kind()
def test_a_warm_version_that_has_traffic_is_named_once(split: Split) -> None:
    found = rules(split, None, "fraud-v1", "fraud-v2")[-1]["backendRefs"]
    assert [backend["name"] for backend in found] == ["fraud-v1", "fraud-v2"]


@every_kind()
def test_a_rule_names_no_more_versions_than_it_may(split: Split) -> None:
    warm = [f"fraud-w{number}" for number in range(40)]
    found = weights(rules(split, None, *warm)[-1])
    assert len(found) == MOST_BACKENDS
    assert {"fraud-v1", "fraud-v2"} <= found.keys()


# Rules


@every_kind()
def test_everything_else_in_the_route_stays(split: Split) -> None:
    body = route(MATCH, GET, filters=(FOREIGN,))
    made = divided(copy.deepcopy(body), split, stable="fraud-v1", candidate="fraud-v2")
    spec_before, spec_after = cast(Any, body["spec"]), cast(Any, made["spec"])
    assert {**made, "spec": None} == {**body, "spec": None}
    assert {**spec_after, "rules": None} == {**spec_before, "rules": None}


@every_kind()
def test_a_rule_keeps_its_matches(split: Split) -> None:
    assert rules(split, route(MATCH, GET))[-1]["matches"] == [MATCH, GET]


@every_kind()
def test_every_rule_keeps_timeouts_and_the_like(split: Split) -> None:
    assert all(rule["timeouts"] == {"request": "30s"} for rule in rules(split))


@every_kind()
def test_every_rule_keeps_foreign_filters_first(split: Split) -> None:
    found = rules(split, route(filters=(FOREIGN,)))
    assert all(rule["filters"][0] == FOREIGN for rule in found)


@every_kind()
def test_every_backend_keeps_its_port(split: Split) -> None:
    ports = {b["port"] for rule in rules(split, None, "w") for b in rule["backendRefs"]}
    assert ports == {80}


def test_the_cohort_comes_before_everybody() -> None:
    first, second = rules(BY_HEADER)
    assert weights(first) == {"fraud-v2": 100}
    assert weights(second) == {"fraud-v1": 100, "fraud-v2": 0}


@pytest.mark.parametrize("match", [MATCH, GET, GUARDED])
def test_a_cohort_rule_matches_what_the_rule_does_and_the_header(match: JsonObject) -> None:
    header = {"type": "Exact", "name": "x-cohort", "value": "internal"}
    (found,) = rules(BY_HEADER, route(match))[0]["matches"]
    assert {**found, "headers": None} == {**match, "headers": None}
    assert found["headers"] == [*cast(Any, match.get("headers", [])), header]


def test_each_of_several_matches_asks_for_the_header() -> None:
    found = rules(BY_HEADER, route(MATCH, GET, GUARDED))[0]["matches"]
    assert [match["headers"][-1]["name"] for match in found] == ["x-cohort"] * 3


@pytest.mark.parametrize("kind", ["none", "mirror", "weight", "all"])
def test_only_a_cohort_makes_a_rule_more(kind: str) -> None:
    assert len(rules(KINDS[kind])) == 1


@pytest.mark.parametrize("kind", ["none", "cohort", "weight", "all"])
def test_only_a_mirror_copies_requests(kind: str) -> None:
    assert "RequestMirror" not in str(rules(KINDS[kind]))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.1, {"percent": 10}),
        (0.01, {"percent": 1}),
        (0.99, {"percent": 99}),
        (0.005, {"fraction": {"numerator": 50, "denominator": 10_000}}),
        (0.000001, {"fraction": {"numerator": 1, "denominator": 1_000_000}}),
        (1.0, {}),
    ],
)
def test_a_mirror_says_whole_percents_or_a_fraction(share: float, said: JsonObject) -> None:
    (rule,) = rules(Split(Traffic.MIRROR, share))
    (copying,) = rule["filters"]
    backend = {"backendRef": {"name": "fraud-v2", "port": 80}}
    assert copying == {"type": "RequestMirror", "requestMirror": {**backend, **said}}


@every_kind()
def test_dividing_is_repeatable(split: Split) -> None:
    assert rules(split) == rules(split)


# Steps


def test_each_step_has_its_traffic() -> None:
    steps = gradual(spec().strategy)
    assert steps is not None
    assert splits(steps) == (
        BY_HEADER,
        Split(Traffic.MIRROR, 0.1),
        Split(Traffic.WEIGHT, 0.05),
        Split(Traffic.WEIGHT, 0.25),
        ALL_TRAFFIC,
    )


@pytest.mark.parametrize("before", [COHORT, MIRROR, FIVE, QUARTER])
def test_while_an_approval_is_waited_for_the_traffic_of_before_goes_on(
    before: dict[str, Any],
) -> None:
    steps = gradual(spec(before, APPROVAL, APPROVAL, ALL).strategy)
    assert steps is not None
    first, second, third, _ = splits(steps)
    assert first == second == third


def test_an_approval_before_everything_waits_without_traffic() -> None:
    steps = gradual(spec(APPROVAL, ALL).strategy)
    assert steps is not None
    assert splits(steps) == (NO_TRAFFIC, ALL_TRAFFIC)


def test_green_has_the_preview_and_then_everything() -> None:
    preview, everything = splits(BlueGreen(preview=HEADER))
    assert (preview, everything) == (BY_HEADER, ALL_TRAFFIC)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (NO_TRAFFIC, "no requests"),
        (BY_HEADER, "requests with x-cohort: internal"),
        (KINDS["mirror"], "a copy of 10 % of the requests"),
        (KINDS["weight"], "5 % of the requests"),
        (ALL_TRAFFIC, "all requests"),
    ],
)
def test_traffic_is_told_in_words(split: Split, words: str) -> None:
    assert split.words == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.1, "10 %"), (1.0, "100 %"), (0.005, "0.5 %"), (0.000001, "0.0001 %")]
)
def test_a_share_is_told_without_needless_digits(share: float, words: str) -> None:
    assert percent(share) == words
