"""Which connections network policies let into a pod.

Separate from rendering them and from what refuses them: a sandbox, which has no network plug-in,
holds its pods to them, and tests ask what they mean. The invariant: what is not understood lets
nothing in.

Semantics: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.core.admission.findings import mapping, sequence
from reconciler.core.manifests import JsonObject, JsonValue

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection: a pod. Without a namespace it is something outside the cluster."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    port_names: Mapping[str, int] = field(default_factory=dict)


def admits(policies: Iterable[JsonObject], to: Endpoint, *, source: Endpoint, port: int) -> bool:
    """Whether a TCP connection from `source` to the pod is let in: by any policy, or by having
    none.
    """
    governing = [policy for policy in policies if governs_ingress(policy, to)]
    return not governing or any(
        _rule_admits(rule, to, source=source, port=port)
        for policy in governing
        for rule in _items(_spec(policy), "ingress")
    )


def governs_ingress(policy: JsonObject, pod: Endpoint) -> bool:
    """Whether the policy says who may connect to the pod."""
    metadata, spec = mapping(policy.get("metadata")), _spec(policy)
    types = sequence(spec.get("policyTypes")) or ["Ingress"]
    selector = spec.get("podSelector")
    return (
        metadata.get("namespace") == pod.namespace
        and "Ingress" in types
        # The field may be left out, and then every pod is meant.
        and selects_labels({} if selector is None else selector, pod.labels)
    )


def selects_labels(selector: JsonValue, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches. An empty one matches everything."""
    if not isinstance(selector, dict):
        return False
    exact = mapping(selector.get("matchLabels"))
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _holds(expression, labels) for expression in _items(selector, "matchExpressions")
    )


def _holds(expression: JsonObject, labels: Mapping[str, str]) -> bool:
    key = str(expression.get("key"))
    listed = labels.get(key) in sequence(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return key in labels and listed
        case "NotIn":
            return key not in labels or not listed
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def _rule_admits(rule: JsonObject, to: Endpoint, *, source: Endpoint, port: int) -> bool:
    peers, ports = _items(rule, "from"), _items(rule, "ports")
    return (not peers or any(_is_peer(peer, to, source) for peer in peers)) and (
        not ports or any(_has_port(entry, to, port) for entry in ports)
    )


def _is_peer(peer: JsonObject, to: Endpoint, source: Endpoint) -> bool:
    if block := mapping(peer.get("ipBlock")):
        within = _within(source.address, str(block.get("cidr")))
        excluded = sequence(block.get("except"))
        return within and not any(_within(source.address, str(cidr)) for cidr in excluded)
    if not source.namespace:
        return False
    if "namespaceSelector" in peer:
        labels = {_NAMESPACE_NAME: source.namespace, **source.namespace_labels}
        if not selects_labels(peer["namespaceSelector"], labels):
            return False
    elif source.namespace != to.namespace:
        return False
    return selects_labels(peer.get("podSelector", {}), source.labels)


def _has_port(entry: JsonObject, to: Endpoint, port: int) -> bool:
    if entry.get("protocol", "TCP") != "TCP":
        return False
    wanted = entry.get("port")
    if isinstance(wanted, str):
        return to.port_names.get(wanted) == port
    if not isinstance(wanted, int):
        return wanted is None
    last = entry.get("endPort", wanted)
    return wanted <= port <= last if isinstance(last, int) else False


def _within(address: str, cidr: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)
    except ValueError:
        return False


def _spec(policy: JsonObject) -> JsonObject:
    return mapping(policy.get("spec"))


def _items(body: JsonObject, name: str) -> list[JsonObject]:
    return [mapping(item) for item in sequence(body.get(name))]
