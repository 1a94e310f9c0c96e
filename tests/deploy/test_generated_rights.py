"""What `fairlead rights` prints for the example repository: enough, and no more than deploy has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_lease import KubernetesLeaseStore
from reconciler.adapters.cluster_memory_status import becomes_ready
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.replicas_http import ProxiedReplicas
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ClusterName
from reconciler.core.rights import excessive_rights
from reconciler.engine.guarding import RightsReview
from reconciler.sandbox import ControlPlane
from reconciler.surfaces.rights_command import rights_command
from reconciler.surfaces.validate_command import valid_state
from reconciler.wiring.people import rights_tools
from tests.engine.world import World

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "example-repo"
MANIFESTS = ROOT / "deploy" / "kubernetes"
REAL, STAGING = ClusterName("production"), ClusterName("staging")
ACCOUNT = "generated"
USER = f"system:serviceaccount:fairlead-system:{ACCOUNT}"


def deployed() -> list[Any]:
    return [
        body
        for file in sorted(MANIFESTS.glob("*.yaml"))
        for body in yaml.safe_load_all(file.read_text())
    ]


def printed(tmp_path: Path, *options: str) -> str:
    (settings,) = (body for body in deployed() if body["kind"] == "ConfigMap")
    file = tmp_path / "settings.yaml"
    file.write_text(settings["data"]["settings.yaml"])
    arguments = [str(EXAMPLE), "--config", str(file), *options]
    result = CliRunner().invoke(rights_command, arguments, obj=rights_tools())
    assert result.exit_code == 0, result.output
    return result.output


Right = tuple[str, str, str, str, str]
"""Namespace or none, API group, resource, verb, and name or none."""


def rights_of(bodies: Iterable[Any], account: str) -> set[Right]:
    bodies = list(bodies)
    rules = {
        (body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]): body
        for body in bodies
        if body["kind"] in ("Role", "ClusterRole")
    }
    found = set()
    for binding in bodies:
        names = [subject["name"] for subject in binding.get("subjects", ())]
        if account not in names:
            continue
        where, role = binding["metadata"].get("namespace", ""), binding["roleRef"]
        home = where if role["kind"] == "Role" else ""
        for rule in rules[role["kind"], home, role["name"]]["rules"]:
            found |= {
                (where, group, resource, verb, name)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames") or [""]
            }
    return found


def covered(right: Right, others: set[Right]) -> bool:
    where, group, resource, verb, name = right
    return any((w, group, resource, verb, n) in others for w in (where, "") for n in (name, ""))


def test_what_is_printed_is_what_the_objects_are(tmp_path: Path) -> None:
    objects = json.loads(printed(tmp_path, "--json"))
    assert list(yaml.safe_load_all(printed(tmp_path))) == objects
    assert {body["kind"] for body in objects} == {
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
    }


def test_the_deployment_gives_all_that_is_needed_and_says_what_more(tmp_path: Path) -> None:
    needed = rights_of(yaml.safe_load_all(printed(tmp_path)), "fairlead")
    given = rights_of(deployed(), "fairlead")
    assert {right for right in needed if not covered(right, given)} == set()
    more = {right for right in given if not covered(right, needed)}
    # One list of kinds for all teams, so that a new kind takes no administrator ...
    general = {(body["metadata"]["name"]): body for body in deployed() if "rules" in body}
    kinds = {
        (group, resource)
        for role in ("fairlead-writer", "fairlead-access", "fairlead-admission")
        for rule in general[role]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert {(group, resource) for _, group, resource, _, _ in more} <= kinds
    # ... and nowhere else than where something is declared.
    assert {where for where, *_ in more} <= {where for where, *_ in needed}


REPORTED = {
    "/apis/apps/v1/deployments": "Deployment",
    "/apis/policy/v1/poddisruptionbudgets": "PodDisruptionBudget",
    "/api/v1/resourcequotas": "ResourceQuota",
    "/apis/gateway.networking.k8s.io/v1/httproutes": "HTTPRoute",
}


async def report(connection: Any) -> None:
    """What the controllers say that this API server has not, for ever."""
    reported: set[tuple[str, int]] = set()
    while True:
        for path, kind in REPORTED.items():
            # Where somebody writes at the same time, it is looked at again.
            with suppress(FairleadError):
                for body in (await connection.request("GET", path, doing="look"))["items"]:
                    metadata = body["metadata"]
                    seen = (metadata["uid"], metadata.get("generation", 0))
                    if seen not in reported:
                        await put_status(connection, path, {**body, "kind": kind})
                        reported.add(seen)
        await asyncio.sleep(0.05)


async def put_status(connection: Any, path: str, body: Any) -> None:
    status = becomes_ready(body) or {}
    if body["kind"] == "PodDisruptionBudget":
        status |= {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    parent, _, plural = path.rpartition("/")
    where = f"{parent}/namespaces/{body['metadata']['namespace']}/{plural}/"
    await connection.request(
        "PATCH",
        f"{where}{body['metadata']['name']}/status",
        doing="report",
        body={"status": status},
        content_type="application/merge-patch+json",
    )


@pytest.fixture
async def own(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    """A cluster as a daemon that has what is printed, and nothing else."""
    clock = SystemClock()
    administrator = KubernetesCluster(REAL, Kubeconfig(plane.kubeconfig), clock=clock)
    rights = yaml.safe_load_all(printed(tmp_path, "--account", f"fairlead-system/{ACCOUNT}"))
    namespaces = {
        manifest.key.name
        for unit in valid_state(EXAMPLE).units.values()
        for manifest in unit.manifests.values()
        if manifest.key.kind == "Namespace"
    }
    for name in sorted({*namespaces, "fairlead-system"}):
        head: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await administrator.apply(head, dry_run=False)
    for body in rights:
        # Some have the names of those in deploy/, which other tests apply here.
        for named in (body["metadata"], body.get("roleRef", {})):
            if named:
                named["name"] = f"{ACCOUNT}-{named['name']}"
        await administrator.apply(body, dry_run=False)
    reporting = asyncio.create_task(report(administrator.connection))
    cluster = KubernetesCluster(REAL, Kubeconfig(plane.kubeconfig_for(USER)), clock=clock)
    yield cluster
    reporting.cancel()
    await cluster.close()
    await administrator.close()


async def test_a_daemon_with_exactly_these_rights_syncs_the_example_repository(
    own: KubernetesCluster,
) -> None:
    world = World(STAGING, REAL)
    world.clock = SystemClock()
    world.repository_name = "ml-platform"
    staging = world.clusters[STAGING]
    store = KubernetesLeaseStore(
        own.connection, namespace="fairlead-system", name="fairlead-ml-platform", clock=world.clock
    )
    world.clusters = {STAGING: staging, REAL: own}
    review = RightsReview({REAL: own, STAGING: staging}, world.clock, tolerant=True)
    files = {
        str(file.relative_to(EXAMPLE)): file.read_bytes()
        for file in EXAMPLE.rglob("*")
        if file.is_file()
    }
    head = world.push(files)
    leases = {STAGING: MemoryLeaseStore(), REAL: store}
    async with world.running(leases=leases, review=review) as engine:
        await world.until(lambda: engine.books.position.applied.get(REAL) == head, seconds=60)
        assert engine.books.position.refused is None
        assert excessive_rights(await own.rights("team-risk")) == ()
    # What measuring and loading take; and beyond it, nothing.
    assert await ProxiedReplicas(own.connection).find("team-risk", {}) == []
