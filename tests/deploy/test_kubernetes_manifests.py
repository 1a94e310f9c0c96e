"""The manifests in deploy/kubernetes, on a real API server and as the identity that they make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.reviews_kubernetes import KubernetesReviews
from reconciler.core.authorizing.rules import RULES_NAME
from reconciler.core.desired import DesiredState
from reconciler.core.errors import Forbidden, Invalid
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.kinds import API_GROUP
from reconciler.core.manifests import Manifest
from reconciler.core.ordering import Wave, wave_of
from reconciler.core.rendering.gateway_authorization import (
    contour_authorization,
    extension_service,
)
from reconciler.core.rights import excessive_rights
from reconciler.sandbox import ControlPlane
from reconciler.settings_loading import load_settings
from reconciler.surfaces.authorize_command import authorize_command
from reconciler.surfaces.validate_command import valid_state
from tests.access.real import Case, disagreements

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
GATEWAY = ROOT / "deploy" / "gateway"
AUTHORIZER = "system:serviceaccount:fairlead-gateway:fairlead-authorize"
DAEMON = "system:serviceaccount:fairlead-system:fairlead"
TOO_MUCH = {"*", "escalate", "bind", "impersonate"}

pytestmark = pytest.mark.cluster


def objects() -> list[Any]:
    return [
        body
        for file in sorted(MANIFESTS.glob("*.yaml"))
        for body in yaml.safe_load_all(file.read_text())
    ]


def of_kind(kind: str) -> list[Any]:
    return [body for body in objects() if body["kind"] == kind]


def resources_of(role: str) -> set[tuple[str, str]]:
    (found,) = (body for body in of_kind("ClusterRole") if body["metadata"]["name"] == role)
    return {
        (group, name)
        for rule in found["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }


async def connected(kubeconfig: Path) -> AsyncIterator[KubernetesCluster]:
    cluster = KubernetesCluster(ClusterName("real"), Kubeconfig(kubeconfig), clock=SystemClock())
    yield cluster
    await cluster.close()


@pytest.fixture
async def administrator(plane: ControlPlane) -> AsyncIterator[KubernetesCluster]:
    async for cluster in connected(plane.kubeconfig):
        yield cluster


@pytest.fixture
async def daemon(
    plane: ControlPlane, administrator: KubernetesCluster
) -> AsyncIterator[KubernetesCluster]:
    for body in objects():
        await administrator.apply(body, dry_run=False)
    async for cluster in connected(plane.kubeconfig_for(DAEMON)):
        yield cluster


def config_map(name: str, namespace: str) -> Any:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


def test_no_role_has_a_wildcard_or_can_widen_itself() -> None:
    for role in [*of_kind("ClusterRole"), *of_kind("Role")]:
        for rule in role["rules"]:
            assert not TOO_MUCH & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            assert "secrets" not in rule["resources"]


def test_the_settings_are_valid(tmp_path: Path) -> None:
    (body,) = of_kind("ConfigMap")
    file = tmp_path / "settings.yaml"
    file.write_text(body["data"]["settings.yaml"])
    settings = load_settings(file, {})
    rules = [rule for role in of_kind("Role") for rule in role["rules"]]
    (lease,) = (rule for rule in rules if "update" in rule["verbs"])
    assert lease["resourceNames"] == [f"fairlead-{settings.repository.name}"]


async def test_the_daemon_finds_its_rights_not_excessive(daemon: KubernetesCluster) -> None:
    assert excessive_rights(await daemon.rights("team-risk")) == ()


async def test_the_daemon_may_apply_the_whole_example_repository(
    daemon: KubernetesCluster, administrator: KubernetesCluster
) -> None:
    state = valid_state(ROOT / "example-repo")
    manifests = {
        manifest.key: manifest
        for unit in state.units.values()
        for manifest in unit.manifests.values()
    }
    # For good: a binding cannot be tried before its role or its policy is there.
    for manifest in sorted(manifests.values(), key=order):
        await until_accepted(daemon, manifest.body)
    claims = dict(claimed(state))
    assert set(claims.values()) == {True, False}
    assert await disagreements(administrator.connection, claims) == []


def claimed(state: DesiredState) -> Iterator[tuple[Case, bool]]:
    """What the tests in the documents expect, wherever the model runs."""
    subjects = [
        *((group, role.spec.tests) for role in state.roles.values() for group in role.spec.groups),
        *((f"agent/{name}", agent.spec.tests) for name, agent in state.agents.items()),
    ]
    for subject, tests in subjects:
        for test in tests:
            resource = f"modelversions/{test.can}"
            for rollout in state.rollouts.values():
                if rollout.spec.model == test.model.partition("@")[0]:
                    where = rollout.spec.namespace
                    case = Case(subject, "create", API_GROUP, resource, where, test.model)
                    yield case, test.expect == "allowed"


def order(manifest: Manifest) -> tuple[Wave, bool]:
    """Of a wave, what others refer to comes first."""
    return wave_of(before=None, after=manifest), manifest.key.kind.endswith("Binding")


async def until_accepted(daemon: KubernetesCluster, body: Any) -> None:
    """Admission learns of a new policy a moment after it was written."""
    async with asyncio.timeout(10):
        while True:
            try:
                await daemon.apply(body, dry_run=False)
            except Invalid as error:
                if "unable to get policy" not in error.message:
                    raise
                await asyncio.sleep(0.05)
            else:
                return


def test_the_daemon_may_watch_what_it_may_write() -> None:
    assert resources_of("fairlead-observer") == {
        *resources_of("fairlead-writer"),
        *resources_of("fairlead-admission"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("rbac.authorization.k8s.io", "roles"),
        ("", "namespaces"),
    }


async def test_the_daemon_may_write_nowhere_else(daemon: KubernetesCluster) -> None:
    with pytest.raises(Forbidden):
        await daemon.apply(config_map("any", "kube-system"), dry_run=True)
    with pytest.raises(Forbidden):
        await daemon.apply(config_map("any", "fairlead-system"), dry_run=True)


async def test_the_pod_passes_the_restricted_level(
    daemon: KubernetesCluster, administrator: KubernetesCluster
) -> None:
    (deployment,), (authorizer,) = of_kind("Deployment"), of_kind("StatefulSet")
    for workload in (deployment, authorizer):
        template, namespace = workload["spec"]["template"], workload["metadata"]["namespace"]
        claims = workload["spec"].get("volumeClaimTemplates", [])
        claimed = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in claims]
        volumes = [*template["spec"]["volumes"], *claimed]
        pod: Any = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": "one", "namespace": namespace},
            "spec": {**template["spec"], "volumes": volumes},
        }
        await administrator.apply(pod, dry_run=True)


async def test_the_authorizer_may_ask_and_read_its_rules_and_nothing_else(
    plane: ControlPlane, administrator: KubernetesCluster
) -> None:
    for body in objects():
        await administrator.apply(body, dry_run=False)
    rules = config_map(RULES_NAME, "fairlead-gateway")
    await administrator.apply(rules, dry_run=False)
    async for authorizer in connected(plane.kubeconfig_for(AUTHORIZER)):
        key = ObjectKey("", "ConfigMap", "fairlead-gateway", RULES_NAME)
        assert await authorizer.get(key, "v1") is not None
        reviews = KubernetesReviews(authorizer.connection)
        assert await reviews.caller("nonsense", ("fairlead-gateway",)) is None
        for other in (config_map("any", "fairlead-gateway"), rules):
            with pytest.raises(Forbidden):
                await authorizer.apply(other, dry_run=True)
        with pytest.raises(Forbidden):
            await authorizer.get(ObjectKey("", "ConfigMap", "fairlead-gateway", "any"), "v1")


def test_the_authorizer_is_started_with_options_that_it_knows() -> None:
    (workload,) = of_kind("StatefulSet")
    name, *options = workload["spec"]["template"]["spec"]["containers"][0]["args"]
    context = authorize_command.make_context(name, options)
    assert context.params["audiences"] == ("fairlead-gateway",)
    assert context.params["replica"] == "$(POD_NAME)"


def test_contour_is_told_what_we_make_of_it() -> None:
    service, told = yaml.safe_load_all((GATEWAY / "contour.yaml").read_text())
    assert service == extension_service("fairlead-gateway")
    told = yaml.safe_load(told["data"]["contour.yaml"])
    assert told == contour_authorization("fairlead-gateway")
