"""Clusters to run one suite on, with what somebody else may do to them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_connection import APPLY_PATCH
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_discovery import object_path
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.ports import ApiResource, Cluster, Interrupted, WatchEvent

Body = dict[str, Any]

CONFIG_MAPS = GroupVersionKind("", "v1", "ConfigMap")


class World(Protocol):
    """A cluster and the other people in it."""

    @property
    def cluster(self) -> Cluster: ...

    async def edit_as(self, manager: str, body: Body, change: Callable[[Body], None]) -> None: ...

    async def apply_as(self, manager: str, body: Body) -> None: ...

    def outage(self) -> AbstractAsyncContextManager[None]:
        """The API server is away inside the block; nobody can write."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self.cluster = MemoryCluster(ClusterName("memory"), clock=SystemClock())

    async def edit_as(self, manager: str, body: Body, change: Callable[[Body], None]) -> None:
        self.cluster.edit_as(manager, key_of(body), change)

    async def apply_as(self, manager: str, body: Body) -> None:
        self.cluster.apply_as(manager, body)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self.cluster.stop()
        yield
        self.cluster.start()


class RealWorld:
    def __init__(self, control_plane: Any) -> None:
        self._control_plane = control_plane
        self.cluster = KubernetesCluster(
            ClusterName("real"), Kubeconfig(control_plane.kubeconfig), clock=SystemClock()
        )

    async def edit_as(self, manager: str, body: Body, change: Callable[[Body], None]) -> None:
        path = await self._path(body)
        live: Any = await self.cluster.connection.request("GET", path, doing="read")
        change(live)
        await self.cluster.connection.request(
            "PUT", path, doing="edit", query={"fieldManager": manager}, body=live
        )

    async def apply_as(self, manager: str, body: Body) -> None:
        await self.cluster.connection.request(
            "PATCH",
            await self._path(body),
            doing="apply",
            query={"fieldManager": manager, "force": "true"},
            body=body,
            content_type=APPLY_PATCH,
        )

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._control_plane.stop_api_server, graceful=False)
        yield
        await asyncio.to_thread(self._control_plane.start_api_server)

    async def _path(self, body: Body) -> str:
        key = key_of(body)
        type_ = GroupVersionKind.of(body["apiVersion"], body["kind"])
        resource = (await self.cluster.resources())[type_]
        return object_path(resource, namespace=key.namespace, name=key.name, doing="")


def key_of(body: Body) -> ObjectKey:
    group, _, _ = body["apiVersion"].rpartition("/")
    metadata = body["metadata"]
    return ObjectKey(group, body["kind"], metadata.get("namespace", ""), metadata["name"])


def config_map(name: str, namespace: str, data: Body, **metadata: Any) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": data,
    }


def deployment(name: str, namespace: str, *containers: Body, **spec: Any) -> Body:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": list(containers) or [container("main")]},
            },
            **spec,
        },
    }


def container(name: str, **fields: Any) -> Body:
    return {"name": name, "image": "registry.example.com/model:1", **fields}


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def resource_of(cluster: Cluster, type_: GroupVersionKind) -> ApiResource:
    return (await cluster.resources())[type_]


def owned_by(body: Any, manager: str) -> set[str]:
    """Leaves of what a manager owns, whatever its operations; status apart."""
    return {
        path
        for entry in body["metadata"].get("managedFields", [])
        if entry["manager"] == manager and "subresource" not in entry
        for path in _leaves(entry["fieldsV1"], "")
    }


def _leaves(fields: Body, path: str) -> set[str]:
    below = {name: value for name, value in fields.items() if name != "."}
    if not below:
        return {path}
    leaves = set()
    for name, value in below.items():
        leaves |= _leaves(value, f"{path}/{name}" if path else name)
    return leaves


class Reading:
    """Reads a watch in the background of one test, with every wait bounded."""

    def __init__(self, events: AsyncIterator[WatchEvent]) -> None:
        self._events = events

    async def until(self, wanted: Callable[[WatchEvent], bool]) -> list[WatchEvent]:
        """Events up to and including the first that is wanted."""
        collected: list[WatchEvent] = []
        async with asyncio.timeout(60):
            async for event in self._events:
                collected.append(event)
                if wanted(event):
                    return collected
        raise AssertionError("a watch never ends")

    async def until_type(self, wanted: type) -> list[WatchEvent]:
        return await self.until(lambda event: isinstance(event, wanted))


def names_in(events: list[WatchEvent], wanted: type) -> list[Any]:
    return [
        event.body["metadata"]["name"]  # type: ignore[index,union-attr,call-overload]
        for event in events
        if isinstance(event, wanted)
    ]


def after_interruption(events: list[WatchEvent]) -> list[WatchEvent]:
    """What came after the last Interrupted."""
    last = max(i for i, event in enumerate(events) if isinstance(event, Interrupted))
    return events[last + 1 :]
