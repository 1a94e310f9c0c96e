"""What network policies mean, by the cases of the documentation of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.access.connections import Endpoint, admits
from reconciler.core.manifests import JsonObject

SERVER = Endpoint("team", {"app": "server"}, "10.0.0.9", port_names={"http": 8000})
GATEWAY = Endpoint("gateway", {"app": "envoy"}, "10.0.0.2", {"tier": "edge"})
NEIGHBOUR = Endpoint("team", {"app": "notebook"}, "10.0.0.3")
OUTSIDE = Endpoint(address="192.0.2.7")


def policy(*rules: JsonObject, selector: Any = None, **spec: Any) -> JsonObject:
    body = {"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": list(rules)}
    return {"metadata": {"name": "one", "namespace": "team"}, "spec": {**body, **spec}}


def named(name: str) -> JsonObject:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def test_a_pod_that_no_policy_governs_is_open() -> None:
    others = (
        {**policy(), "metadata": {"name": "one", "namespace": "elsewhere"}},
        policy(selector={"matchLabels": {"app": "other"}}),
        policy(policyTypes=["Egress"]),
    )
    assert admits(others, SERVER, source=OUTSIDE, port=8000)


def test_a_policy_without_rules_shuts_and_any_other_may_open() -> None:
    assert not admits([policy()], SERVER, source=NEIGHBOUR, port=8000)
    assert admits([policy(), policy({})], SERVER, source=OUTSIDE, port=8000)


@pytest.mark.parametrize(
    ("peer", "let_in"),
    [
        (named("gateway"), {"gateway"}),
        ({"namespaceSelector": {}}, {"gateway", "neighbour"}),
        ({"namespaceSelector": {"matchLabels": {"tier": "edge"}}}, {"gateway"}),
        ({"podSelector": {}}, {"neighbour"}),
        ({"podSelector": {"matchLabels": {"app": "envoy"}}}, set()),
        ({**named("gateway"), "podSelector": {"matchLabels": {"app": "envoy"}}}, {"gateway"}),
        ({**named("gateway"), "podSelector": {"matchLabels": {"app": "other"}}}, set()),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, {"outside"}),
        ({"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}}, set()),
        ({"ipBlock": {"cidr": "nonsense"}}, set()),
        (
            {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": []}]}},
            set(),
        ),
        ({"podSelector": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}, set()),
        (
            {"podSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}},
            {"neighbour"},
        ),
        ({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Likes"}]}}, set()),
    ],
)
def test_who_is_let_in(peer: JsonObject, let_in: set[str]) -> None:
    sources = {"gateway": GATEWAY, "neighbour": NEIGHBOUR, "outside": OUTSIDE}
    rules = [policy({"from": [peer]})]
    assert {n for n, s in sources.items() if admits(rules, SERVER, source=s, port=8000)} == let_in


@pytest.mark.parametrize(
    ("ports", "open_ports"),
    [
        ([], {8000, 9000}),
        ([{"port": 8000}], {8000}),
        ([{"port": "http"}], {8000}),
        ([{"port": "metrics"}], set()),
        ([{"port": 8500, "endPort": 9500}], {9000}),
        ([{"protocol": "UDP", "port": 8000}], set()),
        ([{"protocol": "TCP"}], {8000, 9000}),
    ],
)
def test_which_ports(ports: list[JsonObject], open_ports: set[int]) -> None:
    rules = [policy({"from": [named("gateway")], "ports": ports})]
    found = {p for p in (8000, 9000) if admits(rules, SERVER, source=GATEWAY, port=p)}
    assert found == open_ports


def test_a_policy_without_a_selector_is_about_every_pod() -> None:
    shut = {"metadata": {"name": "one", "namespace": "team"}, "spec": {"podSelector": None}}
    assert not admits([shut], SERVER, source=NEIGHBOUR, port=8000)


@pytest.mark.parametrize(
    "spec",
    [
        [1],
        "text",
        {"podSelector": {}, "policyTypes": 5},
        {"podSelector": {"matchLabels": "app"}},
        {"podSelector": {"matchExpressions": "app"}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": 5}]}},
        {"ingress": [{"from": [{"ipBlock": {"cidr": 5, "except": [7]}}]}]},
        {"ingress": 5},
    ],
)
def test_a_policy_that_no_api_server_takes_is_looked_at_all_the_same(spec: Any) -> None:
    broken = {"metadata": {"name": "one", "namespace": "team"}, "spec": spec}
    admits([broken], SERVER, source=OUTSIDE, port=8000)
