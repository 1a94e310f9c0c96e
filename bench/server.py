"""The API server seen from beside: its request counters, a watch with times, a bare loop.

Nothing here goes through the daemon. The bare loop sends the very bodies that the daemon sends,
through the same connection code, and does nothing with the answers.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from bench.estate import NAMESPACES, REPOSITORY, manifest
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import REPOSITORY_LABEL, UNIT_LABEL, JsonObject
from reconciler.core.snapshots import key_of
from reconciler.engine.concurrency import bounded
from reconciler.engine.previewing import CONCURRENCY
from reconciler.ports import Gone, Listed, Seen

_REQUEST = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
MEASURED_RESOURCES = frozenset({"configmaps", "deployments"})


class Server:
    """One API server, as an administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self.cluster = KubernetesCluster(
            ClusterName("beside"), Kubeconfig(kubeconfig), clock=SystemClock()
        )

    async def create_namespaces(self) -> None:
        for name in NAMESPACES:
            await self.cluster.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                dry_run=False,
            )

    async def requests(self, resources: frozenset[str] = MEASURED_RESOURCES) -> dict[str, float]:
        """Requests so far by verb, for these resources. Long-running watches count when begun."""
        opened = self.cluster.connection.stream(
            "/metrics", doing="read the counters", query={}, silence=30
        )
        async with opened as pieces:
            text = b"".join([piece async for piece in pieces]).decode()
        counts: dict[str, float] = {}
        for labels, value in _REQUEST.findall(text):
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            # The status writes of the server's own controllers are not the daemon's.
            if found["resource"] in resources and found["subresource"] != "status":
                counts[found["verb"]] = counts.get(found["verb"], 0) + float(value)
        return counts

    async def overwrite(self, key: ObjectKey, value: str) -> float:
        """Set `data.value` of a ConfigMap as another client; returns the moment of the answer."""
        await self.cluster.connection.request(
            "PATCH",
            f"/api/v1/namespaces/{key.namespace}/configmaps/{key.name}",
            doing=f"overwrite {key}",
            query={"fieldManager": "somebody-else"},
            body={"data": {"value": value}},
            content_type="application/merge-patch+json",
        )
        return time.perf_counter()

    async def limit(self, objects: int) -> float:
        """Objects per second of a bare loop: each is dry-run, then applied; then all deleted."""
        bodies = [self._body(n) for n in range(objects)]

        async def dry_run(body: JsonObject) -> None:
            await self.cluster.apply(body, dry_run=True)

        async def apply(body: JsonObject) -> None:
            await self.cluster.apply(body, dry_run=False)

        began = time.perf_counter()
        await bounded(bodies, dry_run, limit=CONCURRENCY)
        await bounded(bodies, apply, limit=CONCURRENCY)
        seconds = time.perf_counter() - began
        await self._delete(bodies)
        return objects / seconds

    async def _delete(self, bodies: Sequence[JsonObject]) -> None:
        async def delete(body: JsonObject) -> None:
            key, version = key_of(body)
            live = await self.cluster.get(key, version)
            if live is not None:
                metadata = live["metadata"]
                assert isinstance(metadata, dict)
                await self.cluster.delete(key, version, uid=str(metadata["uid"]))

        await bounded(bodies, delete, limit=CONCURRENCY)

    def _body(self, number: int) -> JsonObject:
        body: JsonObject = yaml.load(manifest(number, "limit"), Loader=yaml.CSafeLoader)
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        # Under labels of its own, so that no daemon takes the objects for its own.
        metadata["labels"] = {REPOSITORY_LABEL: "limit", UNIT_LABEL: "limit"}
        metadata["name"] = f"limit-{metadata['name']}"
        metadata["annotations"] = {
            "fairlead.dev/commit": "0" * 40,
            "fairlead.dev/source": "units/unit-0000/object.yaml:1",
        }
        return body

    @asynccontextmanager
    async def watching(self, kind: GroupVersionKind) -> AsyncIterator[Arrivals]:
        """Watch the daemon's objects of one type, with the time at which each state arrived."""
        arrivals = Arrivals()
        resource = (await self.cluster.resources())[kind]

        async def follow() -> None:
            selector = f"{REPOSITORY_LABEL}={REPOSITORY}"
            async for event in self.cluster.watch(resource, selector=selector):
                if isinstance(event, Seen):
                    arrivals.add(key_of(event.body)[0], event.body)
                elif isinstance(event, Gone):
                    arrivals.add(key_of(event.body)[0], None)
                elif isinstance(event, Listed):
                    arrivals.listed.set()

        task = asyncio.create_task(follow())
        try:
            await arrivals.listed.wait()
            yield arrivals
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Arrivals:
    """States of objects, as a watch tells them."""

    def __init__(self) -> None:
        self.listed = asyncio.Event()
        self._waiting: dict[
            ObjectKey, tuple[Callable[[JsonObject | None], bool], asyncio.Future[float]]
        ] = {}

    def add(self, key: ObjectKey, body: JsonObject | None) -> None:
        if key in self._waiting:
            wanted, future = self._waiting[key]
            if wanted(body) and not future.done():
                future.set_result(time.perf_counter())

    def expect(
        self, key: ObjectKey, wanted: Callable[[JsonObject | None], bool]
    ) -> asyncio.Future[float]:
        """The moment at which the object is as wanted, from now on."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (wanted, future)
        return future
