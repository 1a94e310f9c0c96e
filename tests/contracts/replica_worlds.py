"""Model servers to run one suite on: in memory, and pods of a real API server.

Pods of the real one have the address of this machine, where an HTTP server plays all of them; the
API server refuses to send anything to a loopback address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import orjson
from aiohttp import web

from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.replicas_http import DirectReplicas, ProxiedReplicas
from reconciler.adapters.replicas_memory import Asked, MemoryReplicas
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.ports import Answer, Replica, Replicas

Respond = Callable[[str, str, bytes], Answer | None]
"""Method, path and body to the answer; None is silence."""

SECONDS = 1.0
WORK_SECONDS = 2.0


class ReplicaWorld(Protocol):
    """The replicas of one namespace, and what plays them."""

    replicas: Replicas
    namespace: str
    port: int
    respond: Respond

    async def create(self, name: str, labels: dict[str, str], *, ready: bool = True) -> None: ...

    async def delete(self, name: str) -> None: ...


class MemoryReplicaWorld:
    def __init__(self) -> None:
        self.replicas = MemoryReplicas(self._respond)
        self.namespace = "models"
        self.port = 8080
        self.respond: Respond = lambda *_: None
        self._created = 0

    async def create(self, name: str, labels: dict[str, str], *, ready: bool = True) -> None:
        self._created += 1
        uid = f"uid-{self._created}"
        replica = Replica(self.namespace, name, uid, "10.77.0.1", ready=ready)
        self.replicas.put(replica, labels)

    async def delete(self, name: str) -> None:
        self.replicas.remove(self.namespace, name)

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        body = b"" if asked.method == "GET" else orjson.dumps(asked.body)
        answer = self.respond(asked.method, asked.path, body)
        if answer is not None and len(answer.body) > 4 * 2**20:
            return Unavailable("the answer has more than 4,194,304 bytes")
        return answer


class RealReplicaWorld:
    def __init__(self, cluster: KubernetesCluster, namespace: str, address: str) -> None:
        self.namespace = namespace
        self.port = 0
        self.respond: Respond = lambda *_: None
        self.replicas: Replicas
        self._cluster = cluster
        self._address = address

    @asynccontextmanager
    async def serving(self, way: str) -> AsyncIterator[None]:
        kind = DirectReplicas if way == "direct" else ProxiedReplicas
        self.replicas = kind(self._cluster.connection, seconds=SECONDS, work_seconds=WORK_SECONDS)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "0.0.0.0", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await self.replicas.close()
            await runner.cleanup()

    async def create(self, name: str, labels: dict[str, str], *, ready: bool = True) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        body: Any = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "containers": [{"name": "server", "image": "registry.example.com/serve:1"}],
                "automountServiceAccountToken": False,
            },
        }
        pod: Any = await self._cluster.connection.request("POST", path, doing="create", body=body)
        pod["status"] = {
            "phase": "Running",
            "podIP": self._address,
            "podIPs": [{"ip": self._address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }
        await self._cluster.connection.request(
            "PUT", f"{path}/{name}/status", doing="start", body=pod
        )

    async def delete(self, name: str) -> None:
        await self._cluster.connection.request(
            "DELETE",
            f"/api/v1/namespaces/{self.namespace}/pods/{name}",
            doing="delete",
            body={"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0},
        )

    async def _answer(self, request: web.Request) -> web.Response:
        answer = self.respond(request.method, request.path, await request.read())
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return web.Response(status=answer.status, body=answer.body)


def own_address() -> str | None:
    """An address of this machine that is not loopback. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address
