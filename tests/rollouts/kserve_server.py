"""A real API server that serves KServe's InferenceService, from a copy of its definition.

The definition is not ours to carry: tests that need it are skipped where nobody has put one. The
controller is played: no pod runs, and its status is written as the real one would.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_connection import APPLY_PATCH
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.health import health_of
from reconciler.core.identifiers import ClusterName
from reconciler.core.statuses import Condition
from reconciler.engine.driving import Engine
from reconciler.sandbox import Components, ControlPlane
from tests.conftest import binaries_for
from tests.engine.kserve_world import SERVICE, KServeWorld, kserve_model

ONE = ClusterName("one")
VERSION = "serving.kserve.io/v1beta1"
_VARIABLE = "FAIRLEAD_KSERVE_CRDS"
_FILE = "kserve-inferenceservices.yaml"
_STATUS = f"/apis/{VERSION}/namespaces/team-a/inferenceservices/fraud/status"


def definition() -> Any:
    """KServe's own."""
    directory = os.environ.get(_VARIABLE)
    if not directory or not (Path(directory) / _FILE).is_file():
        pytest.skip(f"{_VARIABLE} names no directory with {_FILE}")
    return yaml.load((Path(directory) / _FILE).read_bytes(), Loader=yaml.CSafeLoader)


def without_canaries(body: Any) -> Any:
    """The definition as it was before there were canaries."""
    for version in body["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]["properties"]
        del schema["spec"]["properties"]["canary"]
        del schema["status"]["properties"]["canaryStatuses"]
    return body


@contextmanager
def plane_in(root: Path) -> Iterator[ControlPlane]:
    """One of its own: which kinds are served is for the whole cluster."""
    with ControlPlane(binaries_for(Components.BARE), components=Components.BARE, root=root) as own:
        yield own


def connected(plane: ControlPlane) -> KubernetesCluster:
    return KubernetesCluster(ONE, Kubeconfig(plane.kubeconfig), clock=SystemClock())


async def serve(cluster: KubernetesCluster, body: Any) -> None:
    """Define the kind, and wait until the server knows it."""
    stored = await cluster.apply(body, dry_run=False)
    async with asyncio.timeout(60):
        while health_of(stored).condition is not Condition.CURRENT:
            await asyncio.sleep(0.05)
            stored = await cluster.apply(body, dry_run=False)
        while not any(type_.kind == "InferenceService" for type_ in await served(cluster)):
            await asyncio.sleep(0.05)


async def served(cluster: KubernetesCluster) -> Any:
    return await cluster.resources(refresh=True)


async def make_namespace(cluster: KubernetesCluster, name: str) -> None:
    body: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await cluster.apply(body, dry_run=False)


class RealKServeWorld(KServeWorld):
    """The cluster is real; pods, requests and KServe's controller are played."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        super().__init__("one")
        self.clock = SystemClock()
        self.real = cluster
        self._seen: Any = None

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        """With one replica: no controller is there to report on a disruption budget."""
        declared = kserve_model("v1", "v2").replace("kserve\n", "kserve\n    replicas: 1\n")
        texts = {"models/fraud.yaml": declared, **(files or {})}
        return super().declare(version, files=texts, **said)

    async def engine(self, **replaced: object) -> Engine:
        return await super().engine(**{"clusters": {ONE: self.real}, **replaced})

    async def _before_requests(self) -> None:
        """What the controller does when it has seen a change."""
        body: Any = await self.real.get(SERVICE, VERSION)
        if body is None:
            return
        wanted = self._status(body)
        if body.get("status") != wanted:
            metadata = {"name": SERVICE.name, "namespace": SERVICE.namespace}
            head = {"apiVersion": VERSION, "kind": SERVICE.kind, "metadata": metadata}
            body = await self.real.connection.request(
                "PATCH",
                _STATUS,
                doing="report",
                query={"fieldManager": "kserve-controller-manager", "force": "true"},
                body={**head, "status": wanted},
                content_type=APPLY_PATCH,
            )
        self._seen = body

    def _service(self, cluster: str) -> Any:
        return self._seen
