"""The request path: what asking an authorizer costs at a gateway, and how fast a revocation is.

Separate from the rollouts, whose gateway asks nobody. The same gateway is measured with and without
an authorizer, in turns, so that what else the machine does falls on both; a revocation is a commit
that is pushed, and seen by a caller who goes on asking.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.process import percentile
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.demo.daemon_process import DaemonProcess
from reconciler.demo.workshop import Workshop
from reconciler.sandbox import ControlPlane
from reconciler.sandbox.authorizer import AUDIENCE, RULES_NAMESPACE

MODEL, NAMESPACE, HOST = "asked", "bench-asked", "asked.example.com"
AGENT = "bench-bot"
LISTED, UNLISTED = f"inference: [agent/{AGENT}]", "inference: []"
TURNS = 3
REMEMBERED, UNSEEN = 500, 100
"""Requests of one turn: with a token that is known, and with tokens that were never seen."""

PATIENCE_SECONDS = 60.0
APART_SECONDS = 0.02
_ROW = b'{"inputs": [{"name": "f", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'

_FILES = {
    "fairlead.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {{name: asked}}
spec:
  clusters: {{names: [bench]}}
  manifests:
  - path: platform/*
  allow: {{namespaces: [bench-asked, agent-*, {RULES_NAMESPACE}]}}
  authorizer: {{namespace: {RULES_NAMESPACE}, admit: {{}}}}
  defaults: {{gateway: {{name: models, namespace: gateway-system}}, replicas: 2}}
""",
    "cluster.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: bench, labels: {env: bench}}
spec: {}
""",
    "agent.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {{name: {AGENT}}}
spec:
  purpose: measuring
  models: [{{model: {MODEL}, versions: [v1], actions: [infer]}}]
  token: {{audience: {AUDIENCE}}}
  expires: 2099-12-31
""",
    "model.yaml": f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: {MODEL}}}
spec:
  owner: bench
  versions:
  - name: v1
    artifact: oci://registry.example.com/asked@sha256:{"1" * 64}
    access: {{{LISTED}}}
  serving:
    runtime: deployment
    container: {{image: "registry.example.com/serve@sha256:{"a" * 64}", port: 8000}}
    route: {{hostnames: [{HOST}]}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: {MODEL}}}
spec: {{model: {MODEL}, version: v1, namespace: {NAMESPACE}, waves: [{{clusters: {{env: bench}}}}]}}
""",
    "platform/namespaces/namespaces.yaml": f"""\
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: {RULES_NAMESPACE}}}
""",
}


@dataclass(frozen=True, slots=True)
class AskingFigures:
    """Seconds, each number of one request or one trial."""

    unasked: list[float] = field(default_factory=list)
    remembered: list[float] = field(default_factory=list)
    unseen: list[float] = field(default_factory=list)
    revoked: list[float] = field(default_factory=list)


class AskingBench:
    """On a plane with a gateway. `say` is told what is being measured."""

    def __init__(self, plane: ControlPlane, directory: Path, say: Callable[[str], None]) -> None:
        self._plane = plane
        self._directory = directory
        self._say = say
        example = directory / "asked"
        for name, content in _FILES.items():
            file = example / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self._workshop = Workshop(directory, example=example)

    def measure(self, *, trials: int) -> AskingFigures:
        daemon = DaemonProcess(
            self._directory,
            remote=self._workshop.remote,
            kubeconfigs={"bench": self._plane.kubeconfig},
            repository="asked",
        )
        with daemon:
            daemon.until(lambda status: bool(status["asDeclared"]), what="the start")
            return asyncio.run(self._measured(trials))

    async def _measured(self, trials: int) -> AskingFigures:
        figures = AskingFigures()
        access = ApiConnection(Kubeconfig(self._plane.kubeconfig), SystemClock())
        async with aiohttp.ClientSession(self._plane.gateway_address) as session:
            caller = _Caller(session, access)
            for turn in range(TURNS):
                self._say(f"the request path, turn {turn + 1}")
                self._plane.authorize(wanted=False)
                await caller.until(200, token="")
                figures.unasked.extend([await caller.took("") for _ in range(REMEMBERED)])
                self._plane.authorize()
                await caller.until(401, token="")
                known, *unseen = [await caller.token() for _ in range(UNSEEN + 1)]
                await caller.until(200, token=known)
                figures.remembered.extend([await caller.took(known) for _ in range(REMEMBERED)])
                figures.unseen.extend([await caller.took(token) for token in unseen])
            for trial in range(trials):
                self._say(f"revocation {trial + 1}")
                figures.revoked.append(await self._revocation(caller))
        await access.close()
        return figures

    async def _revocation(self, caller: _Caller) -> float:
        """From the moment when the push has ended: what it takes is not the product's."""
        token = await caller.token()
        await caller.until(200, token=token)
        self._list(UNLISTED, instead_of=LISTED)
        began = time.perf_counter()
        await caller.until(403, token=token)
        seconds = time.perf_counter() - began
        self._list(LISTED, instead_of=UNLISTED)
        await caller.until(200, token=token)
        return seconds

    def _list(self, access: str, *, instead_of: str) -> None:
        self._workshop.edit("model.yaml", instead_of, access)
        self._workshop.commit(f"Let the model have {access}")


class _Caller:
    """Sends requests to the gateway as the agent."""

    def __init__(self, session: aiohttp.ClientSession, access: ApiConnection) -> None:
        self._session = session
        self._access = access

    async def token(self) -> str:
        path = f"/api/v1/namespaces/agent-{AGENT}/serviceaccounts/{AGENT}/token"
        spec: Any = {"audiences": [AUDIENCE], "expirationSeconds": 600}
        made: Any = await self._access.request("POST", path, doing="mint", body={"spec": spec})
        return str(made["status"]["token"])

    async def status(self, token: str) -> int:
        headers = {"Host": HOST, "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        path = f"/v2/models/{MODEL}/infer"
        try:
            async with self._session.post(path, data=_ROW, headers=headers) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def took(self, token: str) -> float:
        began = time.perf_counter()
        status = await self.status(token)
        assert status == 200, status
        return time.perf_counter() - began

    async def until(self, status: int, *, token: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.status(token) != status:  # noqa: ASYNC110 - the gateway tells nobody
                await asyncio.sleep(APART_SECONDS)


def asking_table(figures: AskingFigures) -> str:
    """Markdown."""
    base = percentile(figures.unasked, 0.99)
    lines = ["| what | target | p50 / p99 |", "| --- | --- | --- |"]
    lines.append(f"| a request at a gateway that asks nobody | | {_both(figures.unasked, 0.99)} |")
    for what, target, values in (
        ("remembered", 10, figures.remembered),
        ("never seen before", 25, figures.unseen),
    ):
        added = (percentile(values, 0.99) - base) * 1000
        lines.append(
            f"| the same where it asks, caller {what}; p99 adds {added:.1f} ms "
            f"| p99 adds ≤ {target} ms | {_both(values, 0.99)} |"
        )
    half, most = (percentile(figures.revoked, share) for share in (0.5, 0.95))
    lines.append(
        f"| a commit that takes access is pushed → the gateway denies, {len(figures.revoked)} "
        f"trials, p50 / p95 | p95 ≤ 5 s | {half:.2f} s / {most:.2f} s |"
    )
    return "\n".join(lines) + "\n"


def _both(values: list[float], share: float) -> str:
    return f"{percentile(values, 0.5) * 1000:.1f} ms / {percentile(values, share) * 1000:.1f} ms"
