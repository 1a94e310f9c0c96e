"""What only a real API server can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.errors import Forbidden, Invalid, Missing
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey

from .scripted import Answer, LeapingClock, ScriptedServer

pytestmark = pytest.mark.cluster


def connect(kubeconfig: Path) -> KubernetesCluster:
    return KubernetesCluster(ClusterName("real"), Kubeconfig(kubeconfig), clock=SystemClock())


@pytest.fixture
async def cluster(api_server: Any) -> AsyncIterator[KubernetesCluster]:
    made = connect(api_server.kubeconfig)
    yield made
    await made.close()


def config_map(namespace: str, **data: str) -> Any:
    metadata = {"name": "settings", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def namespace_named(name: str) -> Any:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


async def apply_until_refused(cluster: KubernetesCluster, body: Any) -> None:
    """The API server learns of a new policy within a second."""
    while True:
        await cluster.apply(body, dry_run=True)


async def test_who_may_not_write_is_told_what_is_missing(api_server: Any) -> None:
    cluster = connect(api_server.kubeconfig_for("somebody"))
    with pytest.raises(Forbidden, match="cannot patch resource"):
        await cluster.apply(config_map("default", a="1"), dry_run=True)
    await cluster.close()


async def test_an_admission_policy_refuses_with_its_own_words(
    cluster: KubernetesCluster, namespace: str
) -> None:
    policy = f"no-{namespace}"
    await cluster.apply(namespace_named(namespace), dry_run=False)
    kind: Any = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": policy}}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    await cluster.apply(
        kind
        | {
            "kind": "ValidatingAdmissionPolicy",
            "spec": {
                "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
                "validations": [{"expression": "false", "message": "not on a Friday"}],
            },
        },
        dry_run=False,
    )
    await cluster.apply(
        kind
        | {
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        },
        dry_run=False,
    )
    with pytest.raises(Invalid, match="not on a Friday"):
        await apply_until_refused(cluster, config_map(namespace, a="1"))


async def test_a_kind_that_is_defined_later_is_found(
    cluster: KubernetesCluster, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    await cluster.resources()
    definition: Any = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }
    await cluster.apply(definition, dry_run=False)
    widget = GroupVersionKind(group, "v1", "Widget")
    while widget not in await cluster.resources(refresh=True):
        pass  # established within a second
    body: Any = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}}
    while True:
        try:
            applied = await cluster.apply(body, dry_run=False)
        except Missing:
            continue  # discovery is a moment ahead of the endpoint
        break
    assert applied["kind"] == "Widget"


async def test_a_version_from_before_a_restart_has_expired(
    api_server: Any, cluster: KubernetesCluster
) -> None:
    """The form in which a real server says 410: that of the scripted one in test_watching."""
    await cluster.resources()
    await asyncio.to_thread(api_server.restart_api_server, graceful=False)
    await cluster.apply(namespace_named("default"), dry_run=False)
    query = {"watch": "true", "resourceVersion": "1"}
    async with cluster.connection.stream(
        "/api/v1/namespaces", doing="watch", query=query, silence=20
    ) as pieces:
        event = orjson.loads(await anext(pieces))
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_names_that_need_quoting_stay_one_name(cluster: KubernetesCluster) -> None:
    name = "fairlead:test/role?x=1#y"
    key = ObjectKey("rbac.authorization.k8s.io", "ClusterRole", "", name.replace("/", ":"))
    body: Any = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": key.name},
        "rules": [],
    }
    applied = await cluster.apply(body, dry_run=True)
    assert applied["metadata"]["name"] == key.name  # type: ignore[call-overload,index]


@pytest.mark.parametrize("name", ["..", ".", "a/b", ""])
async def test_a_name_cannot_leave_its_path(cluster: KubernetesCluster, name: str) -> None:
    with pytest.raises(Invalid):
        await cluster.get(ObjectKey("", "ConfigMap", "default", name), "v1")


async def test_what_is_served_is_known_with_scope_and_verbs(cluster: KubernetesCluster) -> None:
    resources = await cluster.resources()
    route = GroupVersionKind("gateway.networking.k8s.io", "v1", "HTTPRoute")
    assert resources[route].plural == "httproutes"
    assert resources[GroupVersionKind("", "v1", "Namespace")].namespaced is False
    assert "patch" in resources[GroupVersionKind("apps", "v1", "Deployment")].verbs


async def test_a_server_without_aggregated_discovery_is_told(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.will_answer(*[Answer(pieces=[b'{"kind": "APIVersions"}'])] * 2)
    cluster = KubernetesCluster(
        ClusterName("old"), Kubeconfig(server.kubeconfig(tmp_path)), clock=LeapingClock()
    )
    with pytest.raises(Missing, match="aggregate"):
        await cluster.resources()
    await cluster.close()


async def test_unknown_kinds_ask_what_is_served_once_for_all(
    server: ScriptedServer, tmp_path: Path
) -> None:
    empty = Answer(pieces=[b'{"kind": "APIGroupDiscoveryList", "items": []}'])
    server.will_answer(empty, empty)
    cluster = KubernetesCluster(
        ClusterName("bare"), Kubeconfig(server.kubeconfig(tmp_path)), clock=LeapingClock()
    )
    keys = [ObjectKey("example.com", f"Kind{number}", "", "x") for number in range(50)]
    answers = await asyncio.gather(
        *(cluster.get(key, "example.com/v1") for key in keys), return_exceptions=True
    )
    await cluster.close()
    assert {type(answer) for answer in answers} == {Missing}
    assert sorted(asked.path for asked in server.asked) == ["/api", "/apis"]
