"""Render who may connect to model servers: the gateway, which asks the authorizer, and few others.

Separate from what makes the gateway ask. The invariant: once a namespace has model servers and the
policy says who is admitted, nobody else is.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.kinds.authorizer import AdmittedPeers
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.release import MODEL_LABEL

POLICY_NAME = "fairlead-model-servers"


def model_servers_policy(
    namespace: str, admitted: AdmittedPeers, labels: JsonObject, *, gateway: str | None
) -> JsonObject:
    """The NetworkPolicy of a namespace. `gateway` is the namespace of the cluster's gateway."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY_NAME, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": MODEL_LABEL, "operator": "Exists"}]},
            "policyTypes": ["Ingress"],
            # No peers would mean everybody, so that nobody is a list of no rules.
            "ingress": [{"from": peers}] if (peers := list(_peers(admitted, gateway))) else [],
        },
    }


def admitted_namespaces(admitted: AdmittedPeers, gateway: str | None) -> frozenset[str]:
    return frozenset(filter(None, (*admitted.namespaces, gateway)))


def _peers(admitted: AdmittedPeers, gateway: str | None) -> Iterator[JsonValue]:
    for name in sorted(admitted_namespaces(admitted, gateway)):
        yield {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
    for addresses in admitted.addresses:
        yield {"ipBlock": {"cidr": addresses}}
