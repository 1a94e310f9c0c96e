"""A sandbox whose gateway asks the authorizer: who may gets an answer, and nobody gets round it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.audit.records import AuditRecord
from reconciler.core.identifiers import ClusterName
from reconciler.core.ordering import wave_of
from reconciler.sandbox import ControlPlane
from reconciler.sandbox.authorizer import AUDIENCE, LOG, RULES_NAMESPACE
from reconciler.sandbox.components import (
    AUTHORIZER,
    GATEWAY_ADDRESS,
    GATEWAY_NAMESPACE,
    REFUSED_LOG,
)
from reconciler.sandbox.data_plane import GATEWAY_NAME
from tests.desired.builders import DIGEST, compiled

from .inside import REFUSED, answer
from .waiting import wait_until

MODEL = "fraud"
INFER = f"/v2/models/{MODEL}/infer"
BODY = b'{"inputs": [{"name": "f", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'


def documents(mark: str) -> Mapping[str, str]:
    """A model with two versions, of which an agent may use the first."""
    return {
        "fairlead.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {{name: {mark}}}
spec:
  clusters: {{names: [one]}}
  allow: {{namespaces: ["*"]}}
  authorizer: {{namespace: {RULES_NAMESPACE}, admit: {{}}}}
""",
        "cluster.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {{name: one, labels: {{env: test}}}}
spec: {{gateway: {{name: {GATEWAY_NAME}, namespace: {GATEWAY_NAMESPACE}}}}}
""",
        "agent.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {{name: bot-{mark}}}
spec:
  purpose: evaluation
  models: [{{model: {MODEL}, versions: [v3], actions: [infer]}}]
  token: {{audience: {AUDIENCE}}}
  egress: [gateway]
  expires: 2099-12-31
""",
        "model.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: {MODEL}, labels: {{team: risk}}}}
spec:
  owner: team-risk
  versions:
  - name: v3
    artifact: oci://registry.example.com/models/fraud@{DIGEST}
    access: {{inference: [agent/bot-{mark}]}}
  - name: v4
    artifact: oci://registry.example.com/models/fraud@{DIGEST.replace("ab", "cd")}
    access: {{inference: []}}
  serving:
    runtime: deployment
    replicas: 1
    container: {{image: registry.example.com/serve@{DIGEST}, port: 8000}}
    route: {{hostnames: [{mark}.example.com]}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: {MODEL}}}
spec: {{model: {MODEL}, version: v3, namespace: {mark}, waves: [{{clusters: {{env: test}}}}]}}
""",
    }


@dataclass
class World:
    plane: ControlPlane
    cluster: KubernetesCluster
    session: aiohttp.ClientSession
    mark: str

    async def get(self, path: str) -> Any:
        return await self.cluster.connection.request("GET", path, doing="look")

    async def token(self) -> str:
        bot = f"bot-{self.mark}"
        made: Any = await self.cluster.connection.request(
            "POST",
            f"/api/v1/namespaces/agent-{bot}/serviceaccounts/{bot}/token",
            doing="mint",
            body={"spec": {"audiences": [AUDIENCE], "expirationSeconds": 600}},
        )
        return str(made["status"]["token"])

    async def ask(
        self, token: str, path: str = INFER, *, host: str = "", body: bytes = BODY, **headers: str
    ) -> tuple[int, str]:
        """Status, and which version answered or why none did."""
        sent = {"Content-Type": "application/json", "Host": host or f"{self.mark}.example.com"}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        url = URL(f"{self.plane.gateway_address}{path}", encoded=True)
        async with self.session.post(url, data=body, headers=sent | headers) as said:
            content = await said.read()
            version = said.headers.get("x-model-version", "")
            if version or said.content_type != "application/json":  # the gateway's own words
                return said.status, version or content.decode()
            return said.status, json.loads(content)["error"]

    async def is_answered(self, token: str) -> bool:
        try:
            return await self.ask(token) == (200, "v3")
        except aiohttp.ClientConnectionError:  # Envoy has no listener yet
            return False

    async def records(self) -> list[AuditRecord]:
        state = await open_state_for_reading(str(self.plane.directory / LOG))
        try:
            return [logged.record for logged in await state.records(0, 10_000)]
        finally:
            await state.close()

    async def pod(self) -> Any:
        listing = await self.get(f"/api/v1/namespaces/{self.mark}/pods")
        return listing["items"][0]


@pytest.fixture(scope="module")
def authorized(gateway_plane: ControlPlane) -> Iterator[ControlPlane]:
    gateway_plane.authorize()
    yield gateway_plane
    gateway_plane.authorize(wanted=False)


@pytest.fixture(scope="module")
def applied() -> set[str]:
    """The world that stands already: it is the same for all tests here."""
    return set()


@pytest.fixture
async def world(authorized: ControlPlane, applied: set[str]) -> AsyncIterator[World]:
    cluster = KubernetesCluster(
        ClusterName("one"), Kubeconfig(authorized.kubeconfig), clock=SystemClock()
    )
    async with aiohttp.ClientSession() as session:
        if not applied:
            applied.add(f"t{secrets.token_hex(3)}")
        made = World(authorized, cluster, session, next(iter(applied)))
        await stand(made)
        yield made
    await cluster.close()


async def stand(world: World) -> None:
    state = compiled(documents(world.mark)).state
    for name in (world.mark, RULES_NAMESPACE):
        metadata = {"metadata": {"name": name}}
        await world.cluster.apply(
            {"apiVersion": "v1", "kind": "Namespace", **metadata}, dry_run=False
        )
    manifests = [m for unit in state.units.values() for m in unit.manifests.values()]
    for manifest in sorted(manifests, key=lambda m: wave_of(before=None, after=m)):
        await world.cluster.apply(manifest.body, dry_run=False, force=True)
    token = await world.token()
    async with asyncio.timeout(40):
        while not await world.is_answered(token):
            await asyncio.sleep(0.1)


async def test_who_may_is_answered_and_who_may_not_is_not(world: World) -> None:
    token = await world.token()
    assert await world.ask(token) == (200, "v3")
    assert await world.ask("") == (401, "token-missing")
    assert await world.ask(f"{token}x") == (401, "token-refused")
    assert await world.ask(token, f"/v2/models/{MODEL}/retrain") == (403, "scope-unlisted")
    assert await world.ask(token, f"/v2/models/{MODEL}/versions/v4/infer") == (
        404,
        "version-absent",
    )
    refused = [record.result for record in (await world.records())[-8:]]
    assert {"token-missing", "token-refused", "scope-unlisted", "version-absent"} <= {*refused}


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/models/{MODEL}/infer/",
        f"/v2/models/{MODEL}%2finfer",
        f"/v2/models/{MODEL}/../{MODEL}/versions/v4/infer",
        f"//v2//models/{MODEL}/versions/v4/infer",
        f"/v2/models/{MODEL}/infer?x=1",
        "/v2/health/ready",
        "/metrics",
    ],
)
async def test_no_other_way_of_writing_a_path_gets_there(world: World, path: str) -> None:
    status, said = await world.ask(await world.token(), path)
    assert status >= 400, said


@pytest.mark.parametrize("host", ["other.example.com", "FRAUD", "10.77.0.9", "localhost:8000"])
async def test_no_other_host_gets_there(world: World, host: str) -> None:
    status, said = await world.ask(await world.token(), host=host)
    assert status >= 400, said


async def test_a_body_of_more_than_2_mib_is_refused_and_recorded(world: World) -> None:
    body = json.dumps({"inputs": "x" * (2 * 2**20)}).encode()
    assert await world.ask(await world.token(), body=body) == (413, "body-too-large")
    assert (await world.records())[-1].result == "body-too-large"


async def test_another_listener_of_the_gateway_asks_as_well(world: World) -> None:
    gateway = f"/apis/gateway.networking.k8s.io/v1/namespaces/{GATEWAY_NAMESPACE}/gateways/models"
    before = await world.get(gateway)
    allowed = {"namespaces": {"from": "All"}}
    more = {"name": "more", "protocol": "HTTP", "port": 8088, "allowedRoutes": allowed}
    patch = [{"op": "add", "path": "/spec/listeners/-", "value": more}]
    last = len(before["spec"]["listeners"])
    await _patched(world, gateway, patch)
    try:
        async with asyncio.timeout(20):
            said = f"{REFUSED} not there yet"
            while said.startswith(REFUSED) or "404" in said.partition("\r\n")[0]:
                said = await asyncio.to_thread(
                    answer,
                    world.plane,
                    "127.0.0.1",
                    16088,
                    path=INFER,
                    name=f"{world.mark}.example.com",
                )
                await asyncio.sleep(0.1)
        assert said.startswith("HTTP/1.1 401"), said
    finally:
        await _patched(world, gateway, [{"op": "remove", "path": f"/spec/listeners/{last}"}])


async def _patched(world: World, path: str, patch: Any) -> None:
    await world.cluster.connection.request(
        "PATCH", path, doing="change", body=patch, content_type="application/json-patch+json"
    )


async def test_attack_07_only_the_gateway_connects_to_a_model_server(world: World) -> None:
    pod = await world.pod()
    address = pod["status"]["podIP"]

    async def said(port: int, source: str) -> str:
        return await asyncio.to_thread(answer, world.plane, address, port, source=source)

    assert "200 OK" in await said(8000, GATEWAY_ADDRESS)
    assert (await said(8000, "10.77.200.7")).startswith(REFUSED)
    assert (await said(9000, GATEWAY_ADDRESS)).startswith(REFUSED)


async def test_attack_07_nobody_gets_there_through_the_api_server(world: World) -> None:
    pod, token = await world.pod(), await world.token()
    path = f"/api/v1/namespaces/{world.mark}/pods/{pod['metadata']['name']}:8000/proxy/metrics"
    headers = {"Authorization": f"Bearer {token}"}
    async with world.session.get(f"{world.plane.server}{path}", headers=headers, ssl=False) as said:
        assert said.status == 401

    def recorded() -> bool:
        return pod["metadata"]["name"] in (world.plane.directory / REFUSED_LOG).read_text()

    await asyncio.to_thread(wait_until, recorded)
    assert token not in (world.plane.directory / REFUSED_LOG).read_text()


async def test_attack_08_an_authorizer_that_does_not_answer_lets_nothing_pass(world: World) -> None:
    token, process = await world.token(), world.plane.processes()[AUTHORIZER]
    os.kill(process, signal.SIGSTOP)
    try:
        status, said = await world.ask(token)
    finally:
        os.kill(process, signal.SIGCONT)
    assert (status, said) == (403, "")
