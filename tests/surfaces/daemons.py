"""A daemon on ports in memory, with its real endpoints on a real socket."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.adapters.cluster_lease import ClusterLease
from reconciler.adapters.replicas_memory import MemoryReplicas
from reconciler.adapters.status_http import ask_status
from reconciler.core.audit.notes import Signer
from reconciler.core.audit.records import AuditRecord
from reconciler.core.identifiers import ClusterName
from reconciler.core.standing import Status
from reconciler.ports import CheckpointAnchor, Clock, Repository
from reconciler.settings import ClusterSettings, Settings
from reconciler.surfaces.daemon import bound_socket
from reconciler.surfaces.metrics import Metrics
from reconciler.wiring.daemon import serve
from reconciler.wiring.ports import Connection, PortFactories, State
from tests.engine.world import REPOSITORY, World

SIGNER = Signer.named("test/log", b"k" * 32)


@dataclass
class DaemonWorld:
    """Everything that outlives a daemon. `rights` are what each cluster says we may do."""

    directory: Path
    world: World = field(default_factory=World)
    metrics: Metrics = field(default_factory=Metrics)
    options: dict[str, object] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "directory": str(self.directory),
                "repository": {"name": REPOSITORY, "url": "/nowhere", "poll": "20ms"},
                "clusters": [{"name": n, "kubeconfig": "/nowhere"} for n in self.world.clusters],
                "rights": "unrestricted-for-development",
                **self.options,
            }
        )

    @property
    def factories(self) -> PortFactories:
        return PortFactories(
            clock=lambda: self.world.clock,
            repository=self._repository,
            connection=self._connection,
            state=self._state,
            signer=lambda _: SIGNER,
            anchor=self._anchor,
        )

    @asynccontextmanager
    async def _repository(self, _: Settings) -> AsyncIterator[Repository]:
        yield self.world.repository

    @asynccontextmanager
    async def _state(self, _: Settings) -> AsyncIterator[State]:
        yield self.world.store

    @asynccontextmanager
    async def _anchor(self, _: Settings) -> AsyncIterator[CheckpointAnchor | None]:
        yield None

    @asynccontextmanager
    async def _connection(
        self, _: Settings, chosen: ClusterSettings, clock: Clock
    ) -> AsyncIterator[Connection]:
        name = ClusterName(chosen.name)
        lease = ClusterLease(self.world.leases[name], clock=clock, identity="daemon")
        yield Connection(self.world.clusters[name], lease, MemoryReplicas())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        """A daemon that is told to stop, and has stopped, when the block ends."""
        stop, listening = asyncio.Event(), bound_socket("127.0.0.1", 0)
        daemon = asyncio.create_task(
            serve(
                self.settings,
                stop=stop,
                factories=self.factories,
                metrics=self.metrics,
                listening=listening,
            )
        )
        try:
            yield Running(daemon, stop, listening, listening.getsockname()[1])
        finally:
            stop.set()
            with suppress(Exception):
                await daemon

    async def records(self) -> list[AuditRecord]:
        return [logged.record for logged in await self.world.store.records(0, 10_000)]


@dataclass(frozen=True)
class Running:
    """A daemon that runs."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    listening: socket.socket
    port: int

    async def status(self) -> Status | None:
        return await ask_status("127.0.0.1", self.port, repository=REPOSITORY)

    async def until_declared(self) -> Status:
        """Wait until everything is as declared."""
        async with asyncio.timeout(20):
            while True:
                if self.task.done():
                    self.task.result()
                status = await self.status()
                if status is not None and status.as_declared:
                    return status
                await asyncio.sleep(0.01)

    async def until_ready(self) -> None:
        async with asyncio.timeout(20):
            while await asyncio.to_thread(self._ask_ready) != 200:
                await asyncio.sleep(0.01)

    def _ask_ready(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()

    async def end(self) -> None:
        """Stop, and raise what the daemon ended with."""
        self.stop.set()
        await self.task
