"""Render how requests reach a model: Services and the HTTPRoute.

Separate from the workload, because traffic moves when the workload does not. The invariant: the
route and the stable Service only ever point at Services and pods of a version by name, so moving
traffic changes them and nothing else.
"""

from __future__ import annotations

from reconciler.core.kinds.serving import GatewayReference, Route
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.release import Release

SERVICE_PORT = 80
"""The same for every model, so that callers need not know what its container listens on."""

PORT_NAME = "http"

_FULL_WEIGHT = 100


def version_service(release: Release) -> JsonObject:
    """The Service of one version, to which routes point."""
    return _service(release, release.metadata())


def stable_service(release: Release) -> JsonObject:
    """The Service for callers inside the cluster; it selects the version that is current."""
    return _service(release, release.shared_metadata())


def http_route(release: Release, route: Route, gateway: GatewayReference) -> JsonObject:
    """The route of the model at the gateway. It names the versions that get requests."""
    parent: JsonObject = {"name": gateway.name, "namespace": gateway.namespace}
    if gateway.listener is not None:
        parent["sectionName"] = gateway.listener
    spec: JsonObject = {
        "parentRefs": [parent],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": route.path_prefix}}],
                "backendRefs": [
                    {"name": release.name, "port": SERVICE_PORT, "weight": _FULL_WEIGHT}
                ],
            }
        ],
    }
    if route.hostnames:
        spec["hostnames"] = list(route.hostnames)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": release.shared_metadata(),
        "spec": spec,
    }


def _service(release: Release, metadata: JsonObject) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": release.selector(),
            "ports": [
                {
                    "name": PORT_NAME,
                    "port": SERVICE_PORT,
                    "targetPort": PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
