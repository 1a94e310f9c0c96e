"""Rollouts where everything is real: API server, gateway, proxy, model servers and requests.

Builders for the tests on real traffic. Remote and store are in memory; whatever a request passes
through is not.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.replicas_http import ProxiedReplicas
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.states import RolloutState, state_from_json
from reconciler.core.samples import EvaluationResult, ItemResult
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.ports import Comparison
from reconciler.sandbox.control_plane import ControlPlane
from reconciler.sandbox.model_servers.faults import ANNOTATION
from reconciler.sandbox.traffic import Cohort, Traffic
from tests.engine.rollout_world import GATE, model, rollout
from tests.engine.world import World, namespace, policy

ONE = ClusterName("one")
COHORTS = (
    Cohort("internal", 0.1, {"x-cohort": "internal"}),
    Cohort("everybody", 0.9),
)
STEPS = """\
    canary:
      steps:
      - {cohort: {header: x-cohort, value: internal}, requests: 20}
      - {mirror: 10%, requests: 20}
      - {weight: 5%, requests: 20}
      - {weight: 25%, requests: 50}
      - {weight: 100%}
    keepWarm: 10m
"""


class RealTraffic(World):
    """One real cluster with a gateway; namespace, host and repository name are the test's own."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__("one")
        self.team = self.repository_name = f"team-{secrets.token_hex(4)}"
        self.host = f"{self.team}.example.com"
        self.clock = SystemClock()
        self.plane = plane
        self.real = KubernetesCluster(ONE, Kubeconfig(plane.kubeconfig), clock=self.clock)
        self.replicas = ProxiedReplicas(self.real.connection)
        self._begun = False

    async def close(self) -> None:
        await self.replicas.close()
        await self.real.close()

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        number = int(version[1:])
        said.setdefault("strategy", STEPS)
        texts = {
            "models/fraud.yaml": model(*(f"v{n}" for n in range(1, number + 2))),
            "rollouts/fraud.yaml": rollout(version, waves=self.names, **said),
            "gates/errors.yaml": GATE,
            **(files or {}),
        }
        contents: dict[str, bytes | None] = {
            path: text.replace("fraud.example.com", self.host)
            .replace("namespace: team-a", f"namespace: {self.team}")
            .encode()
            for path, text in texts.items()
        }
        if self._begun:
            return self.push(contents, message=f"fraud {version}")
        self._begun = True
        gateway = "gateway: {name: models, namespace: gateway-system}"
        rules = policy("one", extra=f"  defaults: {{{gateway}, replicas: 2}}\n")
        contents |= {
            "fairlead.yaml": rules.replace(b"name: acme", b"name: " + self.team.encode()),
            "apps/ns/ns.yaml": namespace(self.team),
        }
        return self.start_repository(contents)

    async def engine(self, **replaced: object) -> Engine:
        ports = {
            "clusters": {ONE: self.real},
            "instruments": Instruments({ONE: self.replicas}, self),
        }
        return await super().engine(**{**ports, **replaced})

    async def evaluate(self, evaluation: Any, versions: Comparison) -> EvaluationResult:
        """Plays the Evaluator: every answer is right."""
        return EvaluationResult((ItemResult("one", stable=True, candidate=True),))

    @asynccontextmanager
    async def users(self, *, rate: float = 200.0, seed: int = 1) -> AsyncIterator[Traffic]:
        async with Traffic(
            self.plane.gateway_address,
            "fraud",
            host=self.host,
            rate=rate,
            cohorts=COHORTS,
            seed=seed,
        ) as traffic:
            yield traffic

    async def until_reached(self) -> None:
        """Wait until a request comes through: a proxy opens a port with its first route."""
        url, headers = f"{self.plane.gateway_address}/v2/health/ready", {"Host": self.host}
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(url, headers=headers) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)

    def state(self, engine: Engine) -> RolloutState:
        return state_from_json(engine.books.position.journal["fraud"])

    async def soon(self, so: Callable[[], bool], *, seconds: float = 90.0) -> float:
        """Wait until something is so; returns the seconds that it took."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while not so():
                await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def behave(self, version: str, faults: str) -> None:
        """From now on, the pods of a version do as told; those that come later as well."""
        pods = await self.replicas.find(self.team, {VERSION_LABEL: version})
        assert pods, f"{version} does not run"
        for pod in pods:
            await self.real.connection.request(
                "PATCH",
                f"/api/v1/namespaces/{self.team}/pods/{pod.name}",
                doing="set a fault",
                body={"metadata": {"annotations": {ANNOTATION: faults}}},
                content_type="application/merge-patch+json",
            )

    @asynccontextmanager
    async def users_from_the_first_version(self) -> AsyncIterator[Traffic]:
        """Requests of a model whose first version was brought there by a daemon that is gone."""
        async with self.running() as engine:
            first = self.declare("v1")
            await self.soon(lambda: engine.books.position.applied.get("one") == first)
        await self.until_reached()
        async with self.users() as users:
            yield users

    async def until_shares(self, shares: Mapping[str, int]) -> float:
        """Wait until traffic is divided so; returns the seconds that it took."""
        began = time.monotonic()
        async with asyncio.timeout(90):
            while await self.shares() != shares:
                await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def shares(self) -> dict[str, int]:
        """Weights by version of the requests without a header, without those of zero."""
        backends = (await self.route())["spec"]["rules"][-1]["backendRefs"]
        return {
            ref["name"].removeprefix("fraud-"): ref["weight"] for ref in backends if ref["weight"]
        }

    async def route(self) -> Any:
        key = ObjectKey("gateway.networking.k8s.io", "HTTPRoute", self.team, "fraud")
        return await self.real.get(key, "gateway.networking.k8s.io/v1")
