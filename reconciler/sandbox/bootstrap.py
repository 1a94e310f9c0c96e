"""What a fresh control plane is filled with before anybody uses it: nodes with GPUs and the
Gateway API's definitions; and the tests of whether it is ready.

Separate from running the programs: this only talks to the API server. It uses the standard
library, because importing a Kubernetes client takes longer than all that it does.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.sandbox.components import NODE_ADDRESS
from reconciler.sandbox.errors import SandboxError

REQUEST_SECONDS = 30.0
ZONES = ("zone-a", "zone-b", "zone-c")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
YAML = "application/yaml"
YAML_SEPARATOR = b"\n---\n"
CRD_KIND = b"\nkind: CustomResourceDefinition\n"


class ApiClient:
    """Requests to the API server as one user."""

    def __init__(self, port: int, *, pki: Path, user: str) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")

    def get(self, path: str) -> tuple[int, bytes]:
        return self._request("GET", path)

    def get_object(self, path: str) -> JsonObject:
        """Empty when there is no such object, or no answer yet."""
        status, body = self.get(path)
        found: JsonObject = json.loads(body) if status == http.HTTPStatus.OK else {}
        return found

    def create(self, path: str, body: bytes, *, content_type: str = "application/json") -> None:
        """Raises SandboxError when the API server refuses."""
        status, answer = self._request("POST", path, body, content_type)
        if status not in {http.HTTPStatus.CREATED, http.HTTPStatus.CONFLICT}:
            raise SandboxError(f"the API server refused to create in {path}: {answer.decode()}")

    def annotate(self, path: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object. Raises SandboxError when the API server refuses."""
        body = json.dumps({"metadata": {"annotations": dict(annotations)}}).encode()
        status, answer = self._request("PATCH", path, body, "application/merge-patch+json")
        if status != http.HTTPStatus.OK:
            raise SandboxError(f"the API server refused to change {path}: {answer.decode()}")

    def _request(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, context=self._tls, timeout=REQUEST_SECONDS
        )
        try:
            connection.request(method, path, body or None, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        try:
            status, _ = self.get("/readyz")
        except OSError:  # not listening yet
            return False
        return status == http.HTTPStatus.OK


def node(name: str, *, zone: str) -> JsonObject:
    """A node as its kubelet would register it: eight GPUs, ample memory, not yet ready."""
    size: JsonObject = {
        "cpu": "64",
        "memory": "512Gi",
        "ephemeral-storage": "2Ti",
        "pods": "250",
        "nvidia.com/gpu": "8",
    }
    labels: JsonObject = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "sandbox.8xgpu",
        "nvidia.com/gpu.present": "true",
        "topology.kubernetes.io/region": "sandbox",
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": size,
            "allocatable": size,
            "addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}],
        },
    }


def create_nodes(client: ApiClient, names: list[str]) -> None:
    for index, name in enumerate(names):
        body = json.dumps(node(name, zone=ZONES[index % len(ZONES)])).encode()
        client.create("/api/v1/nodes", body)


def create_definitions(client: ApiClient, directories: Sequence[Path]) -> None:
    """Posts the files as they are: the API server reads YAML, faster than we could.

    Only definitions: the admission policy beside them refuses older and experimental ones, which
    the gateways that people try out here may need.
    """
    paths = [path for directory in directories for path in sorted(directory.glob("*.yaml"))]
    files = [path.read_bytes() for path in paths]
    with ThreadPoolExecutor(max_workers=4) as pool:
        documents = [body for file in files for body in file.split(YAML_SEPARATOR)]
        definitions = [body for body in documents if CRD_KIND in body]
        for _ in pool.map(lambda body: client.create(CRDS, body, content_type=YAML), definitions):
            pass


def have_nodes_joined(client: ApiClient) -> bool:
    """Whether pods can be scheduled: nodes are ready, and the taint of new ones is gone."""
    nodes = _items(client.get_object("/api/v1/nodes"))
    return all(has_condition(node, "Ready") and not _at(node, "spec", "taints") for node in nodes)


def are_definitions_established(client: ApiClient) -> bool:
    return all(has_condition(item, "Established") for item in _items(client.get_object(CRDS)))


def may_pods_be_created(client: ApiClient) -> bool:
    """The default service account is made by the controller-manager, and every pod needs one."""
    return bool(client.get_object("/api/v1/namespaces/default/serviceaccounts/default"))


def _items(listing: JsonObject) -> list[JsonValue]:
    items = listing.get("items")
    return items if isinstance(items, list) else []


def has_condition(item: JsonValue, condition: str) -> bool:
    conditions = _at(item, "status", "conditions")
    return isinstance(conditions, list) and any(
        _at(found, "type") == condition and _at(found, "status") == "True" for found in conditions
    )


def _at(value: JsonValue, *path: str) -> JsonValue:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
