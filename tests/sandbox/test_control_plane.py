"""The sandbox's control plane, as its users see it. Everything here is real but the kubelets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from reconciler.sandbox import ControlPlane
from reconciler.sandbox.errors import ComponentFailed

from .starting import bare_plane
from .waiting import is_alive, is_empty, wait_until

pytestmark = pytest.mark.cluster

READY_SECONDS = 30.0
"""Four on an idle machine with two cores, ten promised; tests may have to share theirs."""


def api(kubeconfig: Path) -> client.ApiClient:
    return config.new_client_from_config(str(kubeconfig))


def pod(name: str, *, gpus: int) -> dict[str, Any]:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}}
    container = {"name": "model", "image": "registry.example.com/model", "resources": resources}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def condition(found: client.V1Pod, kind: str) -> str:
    conditions = found.status.conditions or []
    return next((c.status for c in conditions if c.type == kind), "Unknown")


@pytest.fixture
def core(control_plane: ControlPlane, namespace: str) -> Iterator[client.CoreV1Api]:
    connection = client.CoreV1Api(api(control_plane.kubeconfig))
    connection.create_namespace({"metadata": {"name": namespace}})
    wait_until(lambda: connection.list_namespaced_service_account(namespace).items)
    yield connection
    connection.delete_namespace(namespace)


def test_a_pod_that_asks_for_gpus_becomes_ready(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod("model", gpus=4))
    wait_until(lambda: condition(core.read_namespaced_pod("model", namespace), "Ready") == "True")


def test_a_pod_that_asks_for_more_gpus_than_a_node_has_is_not_scheduled(
    core: client.CoreV1Api, namespace: str
) -> None:
    core.create_namespaced_pod(namespace, pod("greedy", gpus=9))
    wait_until(
        lambda: condition(core.read_namespaced_pod("greedy", namespace), "PodScheduled") == "False"
    )


def test_a_deployment_becomes_available(
    core: client.CoreV1Api, control_plane: ControlPlane, namespace: str
) -> None:
    apps = client.AppsV1Api(api(control_plane.kubeconfig))
    labels = {"app": "model"}
    template = {"metadata": {"labels": labels}, "spec": pod("", gpus=1)["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    apps.create_namespaced_deployment(namespace, {"metadata": {"name": "model"}, "spec": spec})
    wait_until(
        lambda: apps.read_namespaced_deployment("model", namespace).status.available_replicas == 2
    )


def test_a_full_control_plane_is_ready_in_seconds(control_plane: ControlPlane) -> None:
    assert control_plane.seconds_to_ready < READY_SECONDS


def test_http_routes_can_be_created(control_plane: ControlPlane, namespace: str) -> None:
    connection = client.CustomObjectsApi(api(control_plane.kubeconfig))
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": namespace},
        "spec": {"rules": [{"backendRefs": [{"name": "model", "port": 8000}]}]},
    }
    group = ("gateway.networking.k8s.io", "v1", "default", "httproutes")
    connection.create_namespaced_custom_object(*group, route)
    connection.delete_namespaced_custom_object(*group, namespace)


def test_a_user_may_do_nothing_without_a_rule(api_server: ControlPlane) -> None:
    connection = client.CoreV1Api(api(api_server.kubeconfig_for("alice", ["ml-researchers"])))
    with pytest.raises(client.ApiException) as refused:
        connection.list_namespaced_pod("default")
    assert refused.value.status == 403


def test_a_rule_for_a_group_binds_the_users_in_it(api_server: ControlPlane, namespace: str) -> None:
    access = client.RbacAuthorizationV1Api(api(api_server.kubeconfig))
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": namespace}
    rules = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    access.create_cluster_role({"metadata": {"name": namespace}, "rules": [rules]})
    access.create_cluster_role_binding(
        {
            "metadata": {"name": namespace},
            "roleRef": role | {"name": namespace},
            "subjects": [group],
        }
    )
    connection = client.CoreV1Api(api(api_server.kubeconfig_for("alice", [namespace])))
    assert connection.list_namespaced_config_map("default") is not None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, ControlPlane]]:
    """Two that were started at the same moment."""
    root = tmp_path_factory.mktemp("pair")
    planes = (bare_plane(root), bare_plane(root))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.start, planes))
        yield planes
    finally:
        for plane in planes:
            plane.stop()


def test_two_control_planes_share_nothing(
    pair: tuple[ControlPlane, ControlPlane], namespace: str
) -> None:
    one, other = pair
    client.CoreV1Api(api(one.kubeconfig)).create_namespace({"metadata": {"name": namespace}})
    elsewhere = client.CoreV1Api(api(other.kubeconfig)).list_namespace().items
    assert namespace not in {found.metadata.name for found in elsewhere}


@pytest.mark.parametrize("graceful", [True, False])
def test_the_api_server_comes_back_on_its_port_with_its_data(
    pair: tuple[ControlPlane, ControlPlane], namespace: str, graceful: bool
) -> None:
    plane, _ = pair
    core = client.CoreV1Api(api(plane.kubeconfig))
    core.create_namespace({"metadata": {"name": namespace}})
    plane.restart_api_server(graceful=graceful)
    assert core.read_namespace(namespace).metadata.name == namespace


def test_nobody_can_take_the_port_while_the_api_server_is_down(
    pair: tuple[ControlPlane, ControlPlane],
) -> None:
    plane, _ = pair
    plane.stop_api_server(graceful=False)
    try:
        with socket.socket() as intruder, pytest.raises(OSError, match="in use"):
            intruder.bind(("127.0.0.1", int(plane.server.rpartition(":")[2])))
    finally:
        plane.start_api_server()


def test_stopping_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with bare_plane(tmp_path) as plane:
        processes = [plane.supervisor_pid, *plane.processes().values()]
    assert is_empty(tmp_path)
    assert not any(map(is_alive, processes))


def test_a_program_that_cannot_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho no such flag\nexit 3\n")
    broken.chmod(0o755)
    plane = bare_plane(tmp_path / "root", etcd=broken)
    with pytest.raises(ComponentFailed, match=r"etcd ended with status 3(.|\n)*no such flag"):
        plane.start()
    assert is_empty(tmp_path / "root")


def test_nobody_else_can_read_its_keys(api_server: ControlPlane) -> None:
    assert api_server.directory.stat().st_mode & 0o077 == 0
