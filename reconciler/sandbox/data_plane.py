"""The programs of the data plane and the flags that each is started with; and the Gateway that
they serve.

Separate from the control plane's programs, because few sandboxes have a data plane. They run in a
network of their own, where nobody else takes a port, and listen on loopback there: the pods'
addresses are the model servers'. As with the others, every path is relative to the directory of
the control plane.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from reconciler.core.manifests import JsonObject
from reconciler.sandbox.bootstrap import ApiClient, has_condition
from reconciler.sandbox.components import (
    CONTOUR,
    GATEWAY_ADDRESS,
    GATEWAY_NAMESPACE,
    MODEL_SERVERS,
    NODE_ADDRESS,
)
from reconciler.sandbox.errors import ComponentFailed

RELAY = "relay"
RELAY_SCRIPT = Path(__file__).with_name("relay.py")
POD_STAGES = Path(__file__).with_name("pod-stages.yaml")

GATEWAY_NAME = "models"
GATEWAY_CLASS = "contour"
GATEWAY_PORT = 8080
ENVOY_PORT = GATEWAY_PORT + 8000
"""Contour adds this, so that an Envoy without rights can serve ports below 1024."""

CONFIGURATION = "contour.json"
ENVOY_BOOTSTRAP = "envoy.json"
XDS_PORT = 8001
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
GATEWAYS = f"{GATEWAY_API}/namespaces/{GATEWAY_NAMESPACE}/gateways"


def configure_contour(directory: Path, more: JsonObject) -> None:
    """Writes the file that Contour reads; `more` is how it asks an authorizer, if it does."""
    configuration: JsonObject = {
        "gateway": {"gatewayRef": {"namespace": GATEWAY_NAMESPACE, "name": GATEWAY_NAME}},
        "accesslog-level": "disabled",
        **more,
    }
    (directory / CONFIGURATION).write_text(json.dumps(configuration))


def configure_envoy(directory: Path, contour: Path) -> None:
    """Writes the file that Envoy reads. Raises ComponentFailed."""
    bootstrap = subprocess.run(
        [
            contour,
            "bootstrap",
            str(directory / ENVOY_BOOTSTRAP),
            "--xds-address=127.0.0.1",
            f"--xds-port={XDS_PORT}",
            "--admin-address=envoy-admin.sock",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if bootstrap.returncode != 0:
        raise ComponentFailed(CONTOUR, "wrote no configuration", log_tail=bootstrap.stderr)
    written: JsonObject = json.loads((directory / ENVOY_BOOTSTRAP).read_text())
    # As a pod of its own would: by its address network policies know it.
    source: JsonObject = {"source_address": {"address": GATEWAY_ADDRESS, "port_value": 0}}
    written["cluster_manager"] = {"upstream_bind_config": source}
    (directory / ENVOY_BOOTSTRAP).write_text(json.dumps(written))


def contour_arguments() -> tuple[str, ...]:
    return (
        "serve",
        f"--kubeconfig={CONTOUR}.kubeconfig",
        f"--config-path={CONFIGURATION}",
        "--disable-leader-election",
        # Their definitions are experimental, and no model is served over them.
        "--disable-feature=tlsroutes",
        "--disable-feature=tcproutes",
        "--disable-feature=backendtlspolicies",
        # Nobody else is in this network.
        "--insecure",
        "--xds-address=127.0.0.1",
        f"--xds-port={XDS_PORT}",
        "--http-address=127.0.0.1",
        "--http-port=8000",
        "--health-address=127.0.0.1",
        "--health-port=8000",
        "--stats-address=127.0.0.1",
        "--stats-port=8002",
        "--envoy-service-http-address=127.0.0.1",
        # Without an address to publish, the Gateway would never be programmed.
        f"--ingress-status-address={NODE_ADDRESS}",
        "--kubernetes-client-qps=1000",
        "--kubernetes-client-burst=2000",
    )


def kwok_arguments() -> tuple[str, ...]:
    """Beside those that it has in every sandbox."""
    return (f"--config={POD_STAGES}",)


def envoy_arguments() -> tuple[str, ...]:
    return (
        *("--config-path", ENVOY_BOOTSTRAP),
        *("--service-cluster", GATEWAY_NAMESPACE),
        *("--service-node", "envoy"),
        *("--concurrency", "1"),
        # It would share memory with the Envoy of another sandbox.
        "--disable-hot-restart",
        *("--log-level", "warning"),
    )


def relay_command(ports: dict[int, int]) -> list[str]:
    """`ports` are those inside, by the descriptors of sockets that listen on the host."""
    pairs = [f"{descriptor}={port}" for descriptor, port in ports.items()]
    return [sys.executable, "-I", "-S", str(RELAY_SCRIPT), *pairs]


def model_servers_command(server: str) -> list[str]:
    module = ["-I", "-m", "reconciler.sandbox.model_servers"]
    return [sys.executable, *module, "--server", server, "--pki", "pki", "--user", MODEL_SERVERS]


def create_gateway(client: ApiClient) -> None:
    """Its class, its namespace and itself."""
    gateway_class: JsonObject = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": GATEWAY_CLASS},
        "spec": {"controllerName": "projectcontour.io/gateway-controller"},
    }
    namespace: JsonObject = {"metadata": {"name": GATEWAY_NAMESPACE}}
    listener: JsonObject = {
        "name": "http",
        "protocol": "HTTP",
        "port": GATEWAY_PORT,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    gateway: JsonObject = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": GATEWAY_CLASS, "listeners": [listener]},
    }
    client.create(f"{GATEWAY_API}/gatewayclasses", json.dumps(gateway_class).encode())
    client.create("/api/v1/namespaces", json.dumps(namespace).encode())
    client.create(GATEWAYS, json.dumps(gateway).encode())


def is_gateway_programmed(client: ApiClient) -> bool:
    return has_condition(client.get_object(f"{GATEWAYS}/{GATEWAY_NAME}"), "Programmed")
