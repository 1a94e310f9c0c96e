"""Versions of a model as Fairlead renders them, as far as the data plane looks at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import client, config

from reconciler.core.rendering.release import MODEL_LABEL, ROLLOUT_LABEL, VERSION_LABEL
from reconciler.sandbox import ControlPlane
from reconciler.sandbox.components import GATEWAY_NAMESPACE
from reconciler.sandbox.data_plane import GATEWAY_NAME

from .waiting import wait_until

MODEL = "fraud"
PORT = 8000
ROUTES = ("gateway.networking.k8s.io", "v1")
COHORT_HEADER = "x-cohort"


class Workloads:
    """Creates versions and a route to them in one namespace, which is the host name's too."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.namespace = namespace
        self.host = f"{namespace}.example.com"
        connection = config.new_client_from_config(str(plane.kubeconfig))
        self.core = client.CoreV1Api(connection)
        self.apps = client.AppsV1Api(connection)
        self.objects = client.CustomObjectsApi(connection)
        self.core.create_namespace({"metadata": {"name": namespace}})

    def remove(self) -> None:
        self.core.delete_namespace(self.namespace)

    def version(self, version: str, *, replicas: int = 1, fault: str = "", drain: int = 5) -> None:
        """Returns when its replicas are ready."""
        selector = {ROLLOUT_LABEL: MODEL, VERSION_LABEL: version}
        container = {
            "name": "model",
            "image": "registry.example.com/model",
            "ports": [{"name": "http", "containerPort": PORT}],
            "env": [{"name": "FAIRLEAD_FAULT", "value": fault}],
            "lifecycle": {"preStop": {"sleep": {"seconds": drain}}},
        }
        template = {
            "metadata": {"labels": {**selector, MODEL_LABEL: MODEL}},
            "spec": {"containers": [container]},
        }
        spec = {"selector": {"matchLabels": selector}, "template": template, "replicas": replicas}
        metadata = {"name": version}
        self.apps.create_namespaced_deployment(self.namespace, {"metadata": metadata, "spec": spec})
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        self.core.create_namespaced_service(
            self.namespace, {"metadata": metadata, "spec": {"selector": selector, "ports": ports}}
        )
        wait_until(lambda: self.is_ready(version, replicas))

    def scale(self, version: str, replicas: int) -> None:
        """Returns when they are ready, and no others are there."""
        body = {"spec": {"replicas": replicas}}
        self.apps.patch_namespaced_deployment_scale(version, self.namespace, body)
        wait_until(lambda: self.is_ready(version, replicas))

    def is_ready(self, version: str, replicas: int) -> bool:
        status = self.apps.read_namespaced_deployment(version, self.namespace).status
        return (status.ready_replicas or 0) == (status.replicas or 0) == replicas

    def pods(self, version: str) -> Sequence[client.V1Pod]:
        selector = f"{VERSION_LABEL}={version}"
        listing = self.core.list_namespaced_pod(self.namespace, label_selector=selector)
        found: Sequence[client.V1Pod] = listing.items
        return found

    def route(
        self, weights: Mapping[str, int], *, internal: str = "", filters: Sequence[Any] = ()
    ) -> None:
        """Creates or replaces it; returns when the gateway has accepted it.

        `internal` is the version for requests with the cohort's header.
        """
        matches = {"path": {"type": "PathPrefix", "value": "/"}}
        backends = [
            {"name": name, "port": 80, "weight": weight} for name, weight in weights.items()
        ]
        rules = [{"matches": [matches], "backendRefs": backends, "filters": [*filters]}]
        if internal:
            header = {"name": COHORT_HEADER, "value": "internal"}
            match = {**matches, "headers": [header]}
            rules.append({"matches": [match], "backendRefs": [{"name": internal, "port": 80}]})
        self.replace_route({"rules": rules})

    def replace_route(self, spec: Mapping[str, Any]) -> None:
        parent = {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE}
        route: dict[str, Any] = {
            "apiVersion": "/".join(ROUTES),
            "kind": "HTTPRoute",
            "metadata": {"name": MODEL},
            "spec": {"parentRefs": [parent], "hostnames": [self.host], **spec},
        }
        place = (*ROUTES, self.namespace, "httproutes")
        try:
            made = self.objects.create_namespaced_custom_object(*place, route)
        except client.ApiException as conflict:
            if conflict.status != 409:
                raise
            current = self.objects.get_namespaced_custom_object(*place, MODEL)
            route["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
            made = self.objects.replace_namespaced_custom_object(*place, MODEL, route)
        wait_until(lambda: self.accepted_generation() >= made["metadata"]["generation"])

    def accepted_generation(self) -> int:
        """The last one of the route that the gateway has accepted with all that it refers to."""
        place = (*ROUTES, self.namespace, "httproutes")
        status = self.objects.get_namespaced_custom_object(*place, MODEL).get("status", {})
        conditions = [one for parent in status.get("parents", ()) for one in parent["conditions"]]
        true = {one["type"]: one["observedGeneration"] for one in conditions if is_true(one)}
        return min(true.get("Accepted", 0), true.get("ResolvedRefs", 0))


def is_true(condition: Mapping[str, Any]) -> bool:
    return bool(condition["status"] == "True")
