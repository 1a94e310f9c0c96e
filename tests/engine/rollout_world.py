"""A world with users: requests come, a gateway divides them as the routes say, versions answer.

Builders for tests of rollouts. The gateway and the model servers are played here, from nothing but
what lies in the clusters, so that what users get follows from what was written there.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from reconciler.adapters.replicas_memory import Asked, MemoryReplicas
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.manifests import JsonValue
from reconciler.core.rollouts.states import RolloutState, state_from_json
from reconciler.core.samples import EvaluationResult, ItemResult
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.ports import Answer, Comparison, Replica
from tests.engine.world import World

TICK_SECONDS = 0.25
_POD = re.compile(r"fraud-([^-]+)-")
"""Its version, as Deployments and KServe name pods."""
ROUTE = ObjectKey("gateway.networking.k8s.io", "HTTPRoute", "team-a", "fraud")

GATE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Gate
metadata: {name: errors}
spec: {errorRate: {atMost: 5%}}
"""

STEPS = """\
      - {cohort: {header: x-cohort, value: internal}, requests: 20}
      - {mirror: 10%, requests: 20}
      - {weight: 5%, requests: 20}
      - {weight: 25%, requests: 50}
      - {weight: 100%}
"""


def model(*versions: str, digit: str = "a") -> str:
    listed = "".join(
        f"""\
  - name: {name}
    artifact: oci://registry.example.com/models/fraud@sha256:{str(int(name[1:]) % 10) * 64}
"""
        for name in versions
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud}}
spec:
  owner: team-risk
  versions:
{listed}\
  serving:
    runtime: deployment
    container: {{image: "registry.example.com/serve@sha256:{digit * 64}", port: 8000}}
    route: {{hostnames: [fraud.example.com]}}
"""


def rollout(
    version: str,
    *,
    strategy: str = "",
    extra: str = "",
    gates: str = "[errors]",
    waves: tuple[str, ...] = ("one",),
) -> str:
    listed = "".join(f"  - clusters: {{env: {wave}}}\n" for wave in waves)
    strategy = strategy or f"    canary:\n      steps:\n{STEPS}    keepWarm: 10m\n"
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: fraud}}
spec:
  model: fraud
  version: {version}
  namespace: team-a
  waves:
{listed}\
  gates: {gates}
  strategy:
{strategy}\
{extra}"""


class RolloutWorld(World):
    """`errors` is the share of failed requests by version, `rate` requests per second.

    `answered` counts what users got, by cluster, version and whether it failed; copies that a
    mirror makes are no answers. `ways` are the ways in which traffic was divided, one after the
    other, by cluster.
    """

    def __init__(self, *clusters: str, rate: float = 100.0, seed: int = 1) -> None:
        super().__init__(*clusters)
        self.rate = rate
        self.cohort = 0.1
        self.errors: dict[str, float] = {}
        self.failing_clusters: dict[str, float] = {}
        """Share of failed requests to versions later than v1, by cluster."""
        self.answered: Counter[tuple[str, str, bool]] = Counter()
        self.ways: dict[str, list[str]] = {name: [] for name in self.names}
        self.previews: list[dict[str, str]] = []
        """Header matches that were seen in routes."""
        self._started = False
        self.silent: set[str] = set()
        """Versions whose replicas do not answer when they are asked for their metrics."""
        self.drop_metrics = False
        self.evaluations: dict[str, EvaluationResult] = {}
        self._random = random.Random(seed)
        self._counters: dict[str, Counter[str]] = {}
        self.replicas = {name: MemoryReplicas(self._respond) for name in self.clusters}

    # What people declare

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        """Push a commit that asks for a version; returns its SHA."""
        number = int(version[1:])
        digit = said.pop("digit", "a")
        texts = {
            "models/fraud.yaml": model(*(f"v{n}" for n in range(1, number + 2)), digit=digit),
            "rollouts/fraud.yaml": rollout(version, waves=self.names, **said),
            "gates/errors.yaml": GATE,
            **(files or {}),
        }
        contents = {path: text.encode() for path, text in texts.items()}
        extra = "  defaults: {gateway: {name: models, namespace: gateways}, replicas: 2}\n"
        if not self._started:
            self._started = True
            return self.start_repository(contents, extra=extra)
        return self.push(contents, message=f"fraud {version}")

    # What runs

    async def engine(self, **replaced: object) -> Engine:
        return await super().engine(**{"instruments": Instruments(self.replicas, self), **replaced})

    @asynccontextmanager
    async def running(self, **replaced: object) -> AsyncIterator[Engine]:
        users = asyncio.create_task(self._use_for_ever())
        try:
            async with super().running(**replaced) as engine:
                yield engine
        finally:
            users.cancel()
            with suppress(asyncio.CancelledError):
                await users

    async def evaluate(self, evaluation: Any, versions: Comparison) -> EvaluationResult:
        """Plays the Evaluator: all answers are right unless a test says otherwise."""
        right = EvaluationResult((ItemResult("one", stable=True, candidate=True),))
        return self.evaluations.get(versions.candidate, right)

    def state(self, engine: Engine) -> RolloutState:
        return state_from_json(engine.books.position.journal["fraud"])

    async def until_step(self, engine: Engine, step: int) -> None:
        await self.until(lambda: self.state(engine).step == step)

    async def until_serving(self, engine: Engine, version: str) -> None:
        """Until one version has all the traffic, in the journal and in the clusters."""

        def serving() -> bool:
            state = self.state(engine)
            return (
                state.serving is not None
                and state.serving.version == version
                and all(self.shares(name) == {version: 100} for name in self.names)
            )

        await self.until(serving)

    def shares(self, cluster: str | None = None) -> dict[str, int]:
        """Weights by version of the requests without a header, without those of zero."""
        rules = self.rules(cluster)
        return (
            {
                ref["name"].removeprefix("fraud-"): ref["weight"]
                for ref in rules[-1]["backendRefs"]
                if ref["weight"]
            }
            if rules
            else {}
        )

    def rules(self, cluster: str | None = None) -> list[dict[str, Any]]:
        route: Any = self.clusters[ClusterName(cluster or self.names[0])].peek(ROUTE)
        return list(route["spec"]["rules"]) if route else []

    def bad_answers(self, version: str) -> int:
        return sum(n for (_, v, failed), n in self.answered.items() if v == version and failed)

    def to(self, version: str) -> int:
        """Requests of users that a version answered."""
        return sum(n for (_, v, _), n in self.answered.items() if v == version)

    # How it runs

    async def _use_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self._before_requests()
            for name in self.names:
                self._sync_replicas(ClusterName(name))
                self._note_way(name)
                expected = self.rate * TICK_SECONDS
                count = int(expected) + (self._random.random() < expected % 1)
                self._request(name, count)

    async def _before_requests(self) -> None:
        """For worlds that look at what is durable before every tick."""

    def _sync_replicas(self, cluster: ClusterName) -> None:
        replicas = self.replicas[cluster]
        wanted = {}
        for key in self.clusters[cluster].keys():
            if key.kind != "Deployment":
                continue
            body: Any = self.clusters[cluster].peek(key)
            labels = body["spec"]["template"]["metadata"]["labels"]
            for number in range(body.get("status", {}).get("availableReplicas", 0)):
                name = f"{key.name}-{number}"
                uid = f"{cluster}/{body['metadata']['uid']}/{number}"
                ready = self._is_ready(uid)
                wanted[name] = Replica(key.namespace, name, uid, "10.0.0.1", ready=ready), labels
        known = {replica.name for replica in replicas.present()}
        for name in known - wanted.keys():
            replicas.remove("team-a", name)
        for replica, labels in wanted.values():
            self._counters.setdefault(replica.uid, Counter())
            replicas.put(replica, labels)

    def _is_ready(self, uid: str) -> bool:
        """For worlds in which a pod that runs may not be ready."""
        return True

    def _note_way(self, cluster: str) -> None:
        rules = self.rules(cluster)
        if not rules:
            return
        newest, share = max(self.shares(cluster).items())
        way = f"{newest} {share}" if newest != "v1" else "v1"
        if len(rules) > 1:
            way += " cohort"
            self.previews += rules[0]["matches"][0]["headers"]
        if rules[0].get("filters"):
            way += " mirror"
        if self.ways[cluster][-1:] != [way]:
            self.ways[cluster].append(way)

    def _request(self, cluster: str, count: int) -> None:
        """Nothing changes between requests of one tick, so the route is looked at once."""
        rules = self.rules(cluster)
        if not rules:
            return
        up: dict[str, list[Counter[str]]] = defaultdict(list)
        for replica in self.replicas[ClusterName(cluster)].present():
            if found := _POD.match(replica.name):
                up[found[1]].append(self._counters[replica.uid])
        for _ in range(count):
            is_cohort = self._random.random() < self.cohort
            rule = rules[0] if len(rules) == 1 or is_cohort else rules[-1]
            version = self._chosen(rule["backendRefs"])
            failed = self._answer(cluster, version, up[version])
            self.answered[cluster, version, failed] += 1
            for filter_ in rule.get("filters", []):
                mirror = filter_["requestMirror"]
                if self._random.random() * 100 < mirror.get("percent", 100):
                    copied_to = mirror["backendRef"]["name"].removeprefix("fraud-")
                    self._answer(cluster, copied_to, up[copied_to])

    def _chosen(self, backends: list[dict[str, Any]]) -> str:
        names = [backend["name"].removeprefix("fraud-") for backend in backends]
        weights = [backend["weight"] for backend in backends]
        return self._random.choices(names, weights)[0]

    def _answer(self, cluster: str, version: str, up: list[Counter[str]]) -> bool:
        if not up:
            return True
        share = self.errors.get(version, 0.0)
        if version != "v1":
            share = max(share, self.failing_clusters.get(cluster, 0.0))
        failed = self._random.random() < share
        self._random.choice(up)["failure" if failed else "success"] += 1
        return failed

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        if any(f"fraud-{version}-" in asked.replica.name for version in self.silent):
            return Unavailable("no answer in time")
        if asked.path != "/metrics":
            body: JsonValue = {"outputs": []}
            return Answer(200, str(body).encode())
        if self.drop_metrics:
            return Answer(200, b"# nothing to see\n")
        counters = self._counters[asked.replica.uid]
        lines = [
            "# TYPE model_infer_request_success_total counter",
            f"model_infer_request_success_total {counters['success']}",
            "# TYPE model_infer_request_failure_total counter",
            f"model_infer_request_failure_total {counters['failure']}",
        ]
        return Answer(200, "\n".join(lines).encode() + b"\n")
