"""Render the home of an agent: a namespace of its own, with an identity and with limits.

Separate from what it may do elsewhere, which is RBAC. The invariants: its pods hold no token that
they did not ask for, reach only what the scope lists, and run as the strictest profile allows; what
an admission policy checks about its tokens stands on the namespace, which it cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.core.access.subjects import agent_namespace
from reconciler.core.kinds import API_GROUP, AgentScope
from reconciler.core.manifests import JsonObject, JsonValue

AGENT_LABEL: Final = f"{API_GROUP}/agent"
AUDIENCE_ANNOTATION: Final = f"{API_GROUP}/token-audience"
SECONDS_ANNOTATION: Final = f"{API_GROUP}/token-seconds"
READING_ANNOTATION: Final = f"{API_GROUP}/secret-audience"
"""Whom tokens are for by which the agent signs in to a secret store."""
EXPIRES_ANNOTATION: Final = f"{API_GROUP}/expires"

GATEWAY: Final = "gateway"
"""The name under `egress` that stands for the namespace of the model gateway."""

GPU: Final = "nvidia.com/gpu"
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"

# A quota of pods is of no use if one pod can have the node, and the scheduler needs some figure.
_DEFAULT_LIMITS: Final[JsonObject] = {"cpu": "1", "memory": "512Mi"}
_DEFAULT_REQUESTS: Final[JsonObject] = {"cpu": "100m", "memory": "128Mi"}


def home_objects(
    scope: AgentScope, labels: JsonObject, *, gateway: str | None, reading: str | None
) -> Iterator[JsonObject]:
    """`gateway` is the namespace of the cluster's gateway, `reading` the audience of tokens for the
    secret store that the agent reads."""
    namespace = agent_namespace(scope.name)
    labelled: JsonObject = {**labels, AGENT_LABEL: scope.name}
    metadata: JsonObject = {"name": scope.name, "namespace": namespace, "labels": labelled}
    yield _namespace(scope, namespace, labelled, reading)
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [*_egress(scope, gateway), _names()],
        },
    }
    if hard := _quota(scope):
        spec: JsonObject = {"hard": hard}
        yield {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}
    container: JsonObject = {
        "type": "Container",
        "default": dict(_DEFAULT_LIMITS),
        "defaultRequest": dict(_DEFAULT_REQUESTS),
    }
    spec = {"limits": [container]}
    yield {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": spec}


def _namespace(scope: AgentScope, name: str, labels: JsonObject, reading: str | None) -> JsonObject:
    token = scope.spec.token
    audience: JsonObject = {READING_ANNOTATION: reading} if reading is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**labels, "pod-security.kubernetes.io/enforce": "restricted"},
            "annotations": {
                AUDIENCE_ANNOTATION: token.audience,
                SECONDS_ANNOTATION: str(int(token.ttl.total_seconds())),
                EXPIRES_ANNOTATION: scope.spec.expires.isoformat(),
                **audience,
            },
        },
    }


def _egress(scope: AgentScope, gateway: str | None) -> Iterator[JsonValue]:
    names = {gateway if name == GATEWAY else name for name in scope.spec.egress}
    for name in sorted(filter(None, names)):
        yield {"to": [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: name}}}]}


def _names() -> JsonValue:
    """The cluster's DNS, without which no name can be connected to."""
    return {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def _quota(scope: AgentScope) -> JsonObject:
    limits = scope.spec.limits
    hard = {"pods": limits.pods, f"requests.{GPU}": limits.gpus}
    return {name: str(count) for name, count in hard.items() if count is not None}
