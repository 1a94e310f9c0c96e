"""The same engine on a real API server: what the in-memory one cannot vouch for."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from tests.contracts.cluster_worlds import RealWorld
from tests.engine.world import World, config_map, deployment, deployment_key, namespace, policy

ONE = ClusterName("one")


class OnRealCluster(World):
    """Remote and store in memory, the cluster real; namespace and repository name are its own."""

    def __init__(self, plane, team: str) -> None:
        super().__init__("one")
        self.team = team
        self.repository_name = team
        self.clock = SystemClock()
        self.others = RealWorld(plane)
        self.real = KubernetesCluster(ONE, Kubeconfig(plane.kubeconfig), clock=self.clock)

    async def engine(self, **replaced: object):
        return await super().engine(**({"clusters": {ONE: self.real}} | replaced))

    def begin(self, files: dict[str, bytes | None]):
        rules = policy("one", extra="  defaults: {healthTimeout: 5s}\n")
        return self.start_repository(
            {
                "fairlead.yaml": rules.replace(b"name: acme", b"name: " + self.team.encode()),
                "apps/ns/ns.yaml": namespace(self.team),
                **files,
            }
        )

    def map(self, name: str, value: str = "1") -> bytes:
        return config_map(name, value, self.team)

    async def data(self, name: str) -> object:
        body = await self.real.get(ObjectKey("", "ConfigMap", self.team, name), "v1")
        return body["data"]["value"] if body else None

    async def until_data(self, name: str, value: object) -> float:
        began = time.monotonic()
        async with asyncio.timeout(30):
            while await self.data(name) != value:
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def edit(self, name: str, change: Callable[[JsonObject], None]) -> None:
        body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap"}
        body["metadata"] = {"name": name, "namespace": self.team}
        await self.others.edit_as("kubectl-edit", body, change)


async def made(plane) -> AsyncIterator[OnRealCluster]:
    world = OnRealCluster(plane, f"team-{secrets.token_hex(4)}")
    try:
        yield world
    finally:
        await world.real.close()
        await world.others.cluster.close()


@pytest.fixture
async def bare(api_server) -> AsyncIterator[OnRealCluster]:
    async for world in made(api_server):
        yield world


@pytest.fixture
async def full(control_plane) -> AsyncIterator[OnRealCluster]:
    async for world in made(control_plane):
        yield world


async def test_drift_on_a_real_server_is_put_back_within_a_second(full: OnRealCluster) -> None:
    async with full.running() as engine:
        await full.until_applied(engine, full.begin({"apps/web/a.yaml": full.map("a")}))
        await full.edit("a", lambda body: body["data"].update(value="9"))
        assert await full.until_data("a", "1") < 1.0


async def test_a_conflict_on_a_real_server_names_manager_and_field(full: OnRealCluster) -> None:
    async with full.running() as engine:
        await full.until_applied(engine, full.begin({}))
        body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}}
        body["metadata"] = {"name": "a", "namespace": full.team}
        await full.others.apply_as("helm", body)
        await full.until_refused(engine, full.push({"apps/web/a.yaml": full.map("a")}))
        assert "helm" in engine.books.position.explanation
        assert ".data.value" in engine.books.position.explanation
        assert await full.data("a") == "theirs"


async def test_a_deployment_that_never_gets_ready_is_put_back(full: OnRealCluster) -> None:
    good = deployment("d", "a", full.team)
    # No node has so much memory: the new pods stay pending.
    bad = deployment("d", "b", full.team) + (
        b"        resources: {requests: {memory: 100Ti}, limits: {memory: 100Ti}}\n"
    )
    async with full.running() as engine:
        first = full.begin({"apps/web/d.yaml": good, "apps/db/a.yaml": full.map("a")})
        await full.until_applied(engine, first)
        full.push({"apps/web/d.yaml": bad, "apps/db/a.yaml": full.map("a", "2")})
        await full.until_standing(engine, "web", Standing.HELD)
        await full.until_data("a", "1")
        body = await full.real.get(deployment_key("d", full.team), "apps/v1")
        assert "a" * 64 in str(body["spec"]["template"])
        assert full.standing(engine, "db") is Standing.WAITING


async def test_an_object_that_was_there_before_us_is_seen_as_such_by_a_real_server(
    full: OnRealCluster,
) -> None:
    async with full.running() as engine:
        await full.until_applied(engine, full.begin({}))
        body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "1"}}
        body["metadata"] = {"name": "a", "namespace": full.team}
        await full.others.apply_as("helm", body)
        await full.until_applied(engine, full.push({"apps/web/a.yaml": full.map("a")}))
        entry = engine.books.ledger(ONE).entries[ObjectKey("", "ConfigMap", full.team, "a")]
        assert not entry.created


async def test_an_api_server_that_restarts_in_the_middle_of_a_commit_gets_all_of_it(
    bare: OnRealCluster,
) -> None:
    async with bare.running() as engine:
        await bare.until_applied(engine, bare.begin({"apps/web/a.yaml": bare.map("a")}))
        last = bare.push({f"apps/web/{n}.yaml": bare.map(f"c{n}") for n in range(200)})
        await bare.until(lambda: engine.books.position.accepted == last)
        async with bare.others.outage():
            await asyncio.sleep(0.5)
        await bare.until_applied(engine, last)
        assert await bare.data("c199") == "1"
        assert not await bare.store.pending()
