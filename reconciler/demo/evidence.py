"""What the demo looks at to prove what it says: live objects, and the digests in the ledger.

Separate from the story. Live objects are read from the API servers as a cluster administrator
would, not through the daemon; the ledger is opened for reading beside the running daemon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.replicas_http import ProxiedReplicas
from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.identifiers import ClusterName, Digest, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.demo.narration import StepFailed
from reconciler.ports import Replica
from reconciler.sandbox.model_servers.faults import ANNOTATION

Digests = Mapping[tuple[str, ObjectKey], Digest]


class Administrator:
    """Somebody with every right in one cluster, and no care for Git."""

    def __init__(self, cluster: str, kubeconfig: Path) -> None:
        self._cluster = ClusterName(cluster)
        self._access = Kubeconfig(kubeconfig)

    def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        async def ask() -> JsonObject | None:
            cluster = KubernetesCluster(self._cluster, self._access, clock=SystemClock())
            try:
                return await cluster.get(key, api_version)
            finally:
                await cluster.close()

        return asyncio.run(ask())

    def delete_and_await_return(self, key: ObjectKey, api_version: str) -> float:
        """Delete an object and wait until another incarnation is there; returns the seconds."""

        async def run() -> float:
            cluster = KubernetesCluster(self._cluster, self._access, clock=SystemClock())
            try:
                before = await cluster.get(key, api_version)
                if before is None:
                    raise StepFailed(f"{key} is not there")
                old = _metadata(before)["uid"]
                await cluster.delete(key, api_version, uid=cast(str, old))
                began = time.monotonic()
                while time.monotonic() - began < 20:
                    now = await cluster.get(key, api_version)
                    if now is not None and _metadata(now)["uid"] != old:
                        return time.monotonic() - began
                    await asyncio.sleep(0.005)
                raise StepFailed(f"{key} did not come back within 20 s")
            finally:
                await cluster.close()

        return asyncio.run(run())

    def behave(self, namespace: str, version: str, faults: str) -> None:
        """Let the stand-in model servers of a version do as told: see sandbox/model_servers."""

        async def run() -> None:
            cluster = KubernetesCluster(self._cluster, self._access, clock=SystemClock())
            replicas = ProxiedReplicas(cluster.connection)
            try:
                for pod in await self._pods(replicas, namespace, version):
                    await cluster.connection.request(
                        "PATCH",
                        f"/api/v1/namespaces/{namespace}/pods/{pod.name}",
                        doing=f"tell {pod.name} what to do",
                        body={"metadata": {"annotations": {ANNOTATION: faults}}},
                        content_type="application/merge-patch+json",
                    )
            finally:
                await cluster.close()

        asyncio.run(run())

    async def _pods(
        self, replicas: ProxiedReplicas, namespace: str, version: str
    ) -> Sequence[Replica]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if pods := await replicas.find(namespace, {VERSION_LABEL: version}):
                return pods
            await asyncio.sleep(0.02)
        raise StepFailed(f"no pod of {version} came up in {self._cluster}")


def digests(state: Path, clusters: tuple[str, ...]) -> Digests:
    """Digest of every applied object, by cluster and key, from the ledger."""

    async def read() -> Digests:
        store = await open_state_for_reading(str(state))
        try:
            return {
                (cluster, entry.key): entry.applied.manifest.digest
                for cluster in clusters
                for entry in (await store.ledger(ClusterName(cluster))).entries.values()
                if entry.applied
            }
        finally:
            await store.close()

    return asyncio.run(read())


def _metadata(body: JsonObject) -> JsonObject:
    return cast(JsonObject, body["metadata"])
