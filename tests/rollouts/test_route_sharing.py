"""Whatever others have in a route of ours stays as it is, and ours is as declared."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identifiers import CommitSha, Digest, DocumentPath
from reconciler.core.kinds.rollout import Cohort
from reconciler.core.ledger import Applied
from reconciler.core.manifests import (
    BACKENDS_ANNOTATION,
    COMMIT_ANNOTATION,
    JsonObject,
    Source,
    manifest_of,
)
from reconciler.core.problems import Span
from reconciler.core.rendering.release import ROLLOUT_LABEL
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split, divided
from reconciler.core.route_merging import backends_of, same
from reconciler.core.route_sharing import is_shared, mark_of, own_backends, own_part, shared, stands
from reconciler.core.samples import Traffic

OWN = {"fraud-v1", "fraud-v2", "fraud-v3"}
PATH = {"type": "PathPrefix", "value": "/"}
TIMEOUTS = {"request": "7s"}
REWRITE = {"type": "URLRewrite", "urlRewrite": {"hostname": "elsewhere"}}
SPLITS = [
    NO_TRAFFIC,
    Split(Traffic.COHORT, cohort=Cohort(header="x-cohort", value="internal")),
    Split(Traffic.MIRROR, 0.1),
    Split(Traffic.MIRROR, 1.0),
    Split(Traffic.WEIGHT, 0.05),
    ALL_TRAFFIC,
]


def route(split: Split = NO_TRAFFIC, *, stable: str = "v1", candidate: str = "v2") -> Any:
    """The declared route of a rollout on its way from one version to another."""
    rule = {
        "matches": [{"path": PATH}],
        "backendRefs": [{"name": f"fraud-{stable}", "port": 80, "weight": 100}],
    }
    body: JsonObject = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "fraud", "namespace": "team-a", "labels": {ROLLOUT_LABEL: "fraud"}},
        "spec": {
            "parentRefs": [{"name": "models", "namespace": "gateways"}],
            "hostnames": ["fraud.example.com"],
            "rules": [rule],
        },
    }
    return divided(body, split, stable=f"fraud-{stable}", candidate=f"fraud-{candidate}")


def lived(ours: Any) -> Any:
    """As an API server holds it: marked, and with its defaults."""
    live = copy.deepcopy(ours)
    live["metadata"]["annotations"] = {BACKENDS_ANNOTATION: mark_of(ours), COMMIT_ANNOTATION: "c"}
    for parent in live["spec"]["parentRefs"]:
        parent |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    for rule in live["spec"]["rules"]:
        references = list(rule["backendRefs"])
        references += [f["requestMirror"]["backendRef"] for f in rule.get("filters", [])]
        for reference in references:
            reference |= {"group": "", "kind": "Service"}
    return live


def applied(ours: Any) -> Applied:
    manifest = manifest_of(ours, Source(DocumentPath("rollouts/fraud.yaml"), Span(1, 1)))
    return Applied(manifest, CommitSha("c"), Digest("sha256:0"), "uid")


names = st.sampled_from(["theirs", "shadow", "fraud", "fraud-v9", "v1"])
backends = st.builds(
    lambda name, weight: {"name": name, "port": 80, "weight": weight}, names, st.integers(0, 50)
)
matches = st.sampled_from(
    [[{"path": PATH}], [{"path": {"type": "Exact", "value": "/a"}}], [{"method": "GET"}]]
)
filters = st.sampled_from(
    [
        REWRITE,
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shadow", "port": 1}}},
        {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "Auth", "name": "a"}},
    ]
)
rules = st.fixed_dictionaries(
    {"matches": matches, "backendRefs": st.lists(backends, max_size=2)},
    optional={"filters": st.lists(filters, min_size=1, max_size=2), "timeouts": st.just(TIMEOUTS)},
).filter(lambda rule: rule != {"matches": [{"path": PATH}], "backendRefs": []})


@st.composite
def visited(draw: st.DrawFn, live: Any) -> Any:
    """The route after others were there: rules, backends, filters and fields at any place."""
    visited = copy.deepcopy(live)
    spec = visited["spec"]
    for rule in spec["rules"]:
        for backend in draw(st.lists(backends, max_size=2)):
            place = draw(st.integers(0, len(rule["backendRefs"])))
            rule["backendRefs"].insert(place, backend)
        for added in draw(st.lists(filters, max_size=1)):
            mine = rule.get("filters", [])
            mine.insert(draw(st.integers(0, len(mine))), added)
            rule["filters"] = mine
        rule.update(draw(st.fixed_dictionaries({}, optional={"timeouts": st.just(TIMEOUTS)})))
    for rule in draw(st.lists(rules, max_size=3)):
        spec["rules"].insert(draw(st.integers(0, len(spec["rules"]))), rule)
    spec["hostnames"] += draw(st.lists(st.sampled_from(["a.example", "b.example"]), unique=True))
    spec["parentRefs"] += draw(st.lists(st.just({"name": "other"}), max_size=1))
    return visited


splits = st.sampled_from(SPLITS)
ways = st.sampled_from([("v1", "v2"), ("v2", "v1"), ("v2", "v3"), ("v3", "v3")])


def is_ours(rule: Any) -> bool:
    return not OWN.isdisjoint(backends_of(rule, "team-a"))


@given(splits, ways, splits, st.data())
def test_ours_is_exact_and_theirs_stays_in_order(
    was: Split, way: tuple[str, str], becomes: Split, data: st.DataObject
) -> None:
    previous, ours = route(was), route(becomes, stable=way[0], candidate=way[1])
    live = data.draw(visited(lived(previous)))
    merged: Any = shared(ours, previous, live)
    theirs = [rule for rule in live["spec"]["rules"] if not is_ours(rule)]
    assert [rule for rule in merged["spec"]["rules"] if not is_ours(rule)] == theirs
    own: Any = own_part(merged, own_backends(ours, previous, live))
    assert [bare(rule) for rule in own["spec"]["rules"]] == ours["spec"]["rules"]
    assert merged["spec"]["hostnames"] == live["spec"]["hostnames"]
    assert same(merged["spec"]["parentRefs"], live["spec"]["parentRefs"])


def bare(rule: Any) -> Any:
    """A rule without what `visited` puts into one."""
    rest = {name: part for name, part in rule.items() if name not in {"timeouts", "filters"}}
    for reference in rest["backendRefs"]:
        reference.pop("group", None)
        reference.pop("kind", None)
    mirrors = [
        f
        for f in rule.get("filters", [])
        if f["type"] == "RequestMirror" and f["requestMirror"]["backendRef"]["name"] in OWN
    ]
    return {**rest, "filters": mirrors} if mirrors else rest


@given(splits, splits, st.data())
def test_merging_again_changes_nothing(was: Split, becomes: Split, data: st.DataObject) -> None:
    ours = route(becomes)
    once = shared(ours, route(was), data.draw(visited(lived(route(was)))))
    assert shared(ours, ours, once) == once


@given(splits, st.data())
def test_what_others_add_is_no_drift(split: Split, data: st.DataObject) -> None:
    ours = route(split)
    assert stands(applied(ours), data.draw(visited(lived(ours))))


@given(splits, st.data())
def test_a_backend_with_another_weight_is_drift(split: Split, data: st.DataObject) -> None:
    ours = route(split)
    live = data.draw(visited(lived(ours)))
    own = [
        reference
        for rule in live["spec"]["rules"]
        for reference in rule["backendRefs"]
        if reference["name"] in OWN
    ]
    data.draw(st.sampled_from(own))["weight"] += 1
    assert not stands(applied(ours), live)


def test_what_others_set_in_a_rule_goes_with_it_when_traffic_moves() -> None:
    live = lived(route())
    live["spec"]["rules"][0] |= {"timeouts": TIMEOUTS, "filters": [REWRITE]}
    live["spec"]["rules"][0]["backendRefs"].append({"name": "theirs", "port": 1, "weight": 3})
    (rule,) = rules_of(shared(route(Split(Traffic.MIRROR, 0.1)), route(), live))
    assert rule["timeouts"] == TIMEOUTS
    assert [f["type"] for f in rule["filters"]] == ["RequestMirror", "URLRewrite"]
    assert {"name": "theirs", "port": 1, "weight": 3} in rule["backendRefs"]
    (after,) = rules_of(shared(route(), route(Split(Traffic.MIRROR, 0.1)), lived(route())))
    assert "filters" not in after


def test_a_field_of_a_rule_that_git_gives_up_goes() -> None:
    previous = route()
    previous["spec"]["rules"][0]["timeouts"] = {"request": "1s"}
    (rule,) = rules_of(shared(route(), previous, lived(previous)))
    assert "timeouts" not in rule


def test_a_host_name_that_git_gives_up_goes_also_when_nobody_knows_what_was_applied() -> None:
    previous = route()
    previous["spec"]["hostnames"].append("old.example.com")
    for known in (previous, None):
        merged: Any = shared(route(), known, lived(previous))
        assert merged["spec"]["hostnames"] == ["fraud.example.com"]


def test_a_version_that_only_an_unrecorded_write_named_does_not_stay() -> None:
    unrecorded = lived(route(SPLITS[4], stable="v1", candidate="v3"))
    (rule,) = rules_of(shared(route(), route(), unrecorded))
    assert [reference["name"] for reference in rule["backendRefs"]] == ["fraud-v1", "fraud-v2"]


def test_a_rule_of_ours_that_was_led_elsewhere_is_put_before_what_it_became() -> None:
    live = lived(route())
    live["spec"]["rules"][0]["backendRefs"] = [{"name": "theirs", "port": 80}]
    first, second = rules_of(shared(route(), route(), live))
    assert first == route()["spec"]["rules"][0]
    assert second["backendRefs"] == [{"name": "theirs", "port": 80}]


def test_the_rule_that_the_server_writes_for_want_of_any_does_not_stay() -> None:
    live = lived(route())
    live["spec"]["rules"] = [{"matches": [{"path": PATH}]}]
    assert rules_of(shared(route(), route(), live)) == route()["spec"]["rules"]


def test_a_mirror_of_ours_that_somebody_throttles_is_drift() -> None:
    ours = route(Split(Traffic.MIRROR, 1.0))
    live = lived(ours)
    live["spec"]["rules"][0]["filters"][0]["requestMirror"]["percent"] = 10
    assert not stands(applied(ours), live)


def test_a_service_of_another_namespace_is_not_ours_for_its_name() -> None:
    live = lived(route())
    theirs = {"name": "fraud-v1", "namespace": "team-b", "port": 80, "weight": 1}
    live["spec"]["rules"][0]["backendRefs"].append(theirs)
    (rule,) = rules_of(shared(route(), route(), live))
    assert theirs in rule["backendRefs"]


def test_only_the_route_of_a_rollout_is_shared() -> None:
    body = route()
    source = Source(DocumentPath("apps/route.yaml"), Span(1, 1))
    assert is_shared(manifest_of(body, source))
    del body["metadata"]["labels"]
    assert not is_shared(manifest_of(body, source))


def rules_of(body: Any) -> Any:
    return body["spec"]["rules"]
