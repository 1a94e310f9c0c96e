"""The authorizer of a sandbox: how it is started, what it may do, and how the gateway reaches it.

Separate from the data plane, which does without it. It is the same program as everywhere, with the
rights that docs/authorize.md lists, in the network of the pods.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.gateway_authorization import (
    GRPC_PORT,
    SERVICE_NAME,
    contour_authorization,
    extension_service,
)
from reconciler.sandbox.bootstrap import ApiClient
from reconciler.sandbox.components import (
    AUTHORIZER,
    AUTHORIZER_ADDRESS,
    GATEWAY_NAMESPACE,
    IDENTITIES,
)

AUDIENCE = "fairlead-gateway"
RULES_NAMESPACE = "fairlead-gateway"
"""Where the repository is to put the rules: `authorizer.namespace` of its policy."""

LOG = Path("authorizer") / "decisions.db"
"""In the directory of the control plane."""

CONTOUR_CONFIGURATION = contour_authorization(GATEWAY_NAMESPACE)

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("authentication.k8s.io", "tokenreviews", ("create",)),
    ("authorization.k8s.io", "subjectaccessreviews", ("create",)),
    ("gateway.networking.k8s.io", "httproutes", ("list", "watch")),
)


def authorizer_command(cluster: str) -> list[str]:
    return [
        *(sys.executable, "-I", "-m", "reconciler", "authorize"),
        *("--cluster", cluster),
        *("--namespace", RULES_NAMESPACE),
        *("--audience", AUDIENCE),
        *("--listen", "127.0.0.1:9470"),
        *("--grpc-listen", f"{AUTHORIZER_ADDRESS}:{GRPC_PORT}"),
        *("--directory", str(LOG.parent)),
        *("--kubeconfig", f"{AUTHORIZER}.kubeconfig"),
    ]


def create_authorizer(client: ApiClient) -> None:
    """Its rights, and the Service by which Contour finds it."""
    services = f"/api/v1/namespaces/{GATEWAY_NAMESPACE}/services"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{GATEWAY_NAMESPACE}/endpointslices"
    extensions = f"/apis/projectcontour.io/v1alpha1/namespaces/{GATEWAY_NAMESPACE}"
    for path, body in (
        (f"{_RBAC}/clusterroles", _role()),
        (f"{_RBAC}/clusterrolebindings", _binding()),
        (services, _service()),
        (slices, _endpoints()),
        (f"{extensions}/extensionservices", extension_service(GATEWAY_NAMESPACE)),
    ):
        client.create(path, json.dumps(body).encode())


def _role() -> JsonObject:
    rules: list[JsonValue] = [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for group, resource, verbs in _RULES
    ]
    # The namespace of the rules is the repository's to make, so that no Role can be in it yet.
    reading: JsonObject = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [SERVICE_NAME],
        "verbs": ["get"],
    }
    return {"metadata": {"name": SERVICE_NAME}, "rules": [*rules, reading]}


def _binding() -> JsonObject:
    group = "rbac.authorization.k8s.io"
    user: JsonObject = {"apiGroup": group, "kind": "User", "name": IDENTITIES[AUTHORIZER].user}
    return {
        "metadata": {"name": SERVICE_NAME},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": SERVICE_NAME},
        "subjects": [user],
    }


def _service() -> JsonObject:
    port: JsonObject = {"name": "grpc", "port": GRPC_PORT}
    return {"metadata": {"name": SERVICE_NAME}, "spec": {"ports": [port]}}


def _endpoints() -> JsonObject:
    return {
        "metadata": {
            "name": SERVICE_NAME,
            "labels": {"kubernetes.io/service-name": SERVICE_NAME},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [AUTHORIZER_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "grpc", "port": GRPC_PORT, "protocol": "TCP"}],
    }
