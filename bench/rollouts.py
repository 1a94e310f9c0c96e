"""Rollouts under real requests: what a bad version costs, and how fast the way back is.

Separate from the estates, which measure the daemon without traffic. Every trial is a version of its
own, shipped by a commit; what users get is counted by the users, moments are the daemon's log lines
and a poll of the route. The daemon pushes its reverts itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.process import percentile
from reconciler.core.identifiers import ObjectKey
from reconciler.demo.daemon_process import DaemonProcess
from reconciler.demo.evidence import Administrator
from reconciler.demo.users import Users
from reconciler.demo.workshop import Workshop
from reconciler.sandbox import ControlPlane
from reconciler.sandbox.traffic import Cohort, Traffic

MODEL, NAMESPACE, HOST = "bench", "bench-models", "bench.example.com"
ROUTE = ObjectKey("gateway.networking.k8s.io", "HTTPRoute", NAMESPACE, MODEL)
EVERYBODY = (Cohort("everybody"),)

_FILES = {
    "fairlead.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: bench}
spec:
  clusters: {names: [bench]}
  manifests:
  - path: platform/*
  allow: {namespaces: [bench-models]}
  deletionBudget: {percent: 100%, objects: 100}
  defaults: {gateway: {name: models, namespace: gateway-system}, replicas: 2}
""",
    "cluster.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: bench, labels: {env: bench}}
spec: {}
""",
    "gate.yaml": """\
apiVersion: fairlead.dev/v1alpha1
kind: Gate
metadata: {name: errors}
spec: {errorRate: {atMost: 1%}}
""",
    "platform/namespace/namespace.yaml": f"""\
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
""",
}


def _model(count: int) -> str:
    versions = "".join(
        f"  - name: v{n}\n    artifact: oci://registry.example.com/bench@sha256:{n:064x}\n"
        for n in range(1, count + 1)
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: {MODEL}}}
spec:
  owner: bench
  versions:
{versions}\
  serving:
    runtime: deployment
    container: {{image: "registry.example.com/serve@sha256:{"a" * 64}", port: 8000}}
    route: {{hostnames: [{HOST}]}}
"""


def _rollout(version: int, steps: str) -> str:
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: {MODEL}}}
spec:
  model: {MODEL}
  version: v{version}
  namespace: {NAMESPACE}
  waves:
  - clusters: {{env: bench}}
  gates: [errors]
  strategy:
    canary: {{steps: [{steps}]}}
    keepWarm: 10m
"""


@dataclass(frozen=True, slots=True)
class Aborts:
    """Trials of one kind of bad version: each number is of one trial."""

    requests: list[float] = field(default_factory=list)
    """Requests that the version answered until the decision."""
    errors: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    """Seconds from the decision until no request is led to it by the route."""
    pushed: list[float] = field(default_factory=list)
    """Seconds from the decision until the revert commit is at the remote."""


@dataclass(frozen=True, slots=True)
class RolloutFigures:
    """What was measured."""

    hard: Aborts
    fifth: Aborts
    twentieth: Aborts
    warm: list[float]
    moved: int
    requests: int
    dropped: int
    kills: int
    wrong_weights: int


class RolloutBench:
    """One rollout, one version after the other."""

    def __init__(self, plane: ControlPlane, directory: Path, say: Callable[[str], None]) -> None:
        source = directory / "source"
        texts = {**_FILES, "model.yaml": _model(200), "rollout.yaml": _rollout(1, "{weight: 100%}")}
        for path, text in texts.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text)
        self._say = say
        self._plane = plane
        self._workshop = Workshop(directory, example=source)
        self._daemon = DaemonProcess(
            directory,
            remote=self._workshop.remote,
            kubeconfigs={"bench": plane.kubeconfig},
            repository="bench",
            more={
                "reverts": {"email": "bench@example.com"},
                # One that was killed keeps the next one out for as long.
                "lease": {"namespace": "default", "duration": "3s"},
            },
        )
        self._administrator = Administrator("bench", plane.kubeconfig)
        self._version = 1

    def measure(self, *, trials: int) -> RolloutFigures:
        """Play all trials: `trials` of the hard failures, fewer of those that take longer."""
        head = self._workshop.git("rev-parse", "HEAD")
        with self._daemon:
            self._until_declared(head)
            self._say("versions that fail every request, at 2 requests a second")
            with self._users(rate=40.0) as users:
                hard = self._aborts(users, trials, share=5, faults="errors=1")
            with self._users(rate=200.0) as users:
                self._say("versions that fail one request in five, and one in twenty")
                fifth = self._aborts(users, max(2, trials // 2), share=5, faults="errors=0.2")
                twentieth = self._aborts(users, max(2, trials // 4), share=25, faults="errors=0.05")
                self._say("versions that are good, and back to the warm one")
                warm, moved, requests, dropped = self._promotions(users, max(2, trials // 4))
        self._say("a daemon that is killed again and again")
        kills, wrong = self._kills(trials)
        return RolloutFigures(hard, fifth, twentieth, warm, moved, requests, dropped, kills, wrong)

    def _users(self, *, rate: float) -> Users:
        def send(address: str) -> Traffic:
            return Traffic(address, MODEL, host=HOST, rate=rate, cohorts=EVERYBODY)

        gateways = {"bench": self._plane.gateway_address}
        return Users(gateways, send, host=HOST, path=f"/v2/models/{MODEL}/ready")

    def _aborts(self, users: Users, trials: int, *, share: int, faults: str) -> Aborts:
        found = Aborts()
        for _ in range(trials):
            # The fault begins when the weight is in place, as one that shows under traffic does.
            version = self._ship(f"{{weight: {share}%, requests: 100000}}, {{weight: 100%}}")
            self._until(lambda r: r["exposures"] and r["candidate"])
            began = time.time()
            before = users.counts().by_version.get(version, 0)
            self._administrator.behave(NAMESPACE, version, faults)
            decided = self._decision(version)
            back = self._until_weights({"v1": 100})
            counts = users.counts(since=began)
            pushed = self._until_reverted()
            found.requests.append(users.counts().by_version.get(version, 0) - before)
            found.errors.append(counts.failed_by_version.get(version, 0))
            found.back.append(back - decided)
            found.pushed.append(pushed - decided)
        return found

    def _promotions(self, users: Users, trials: int) -> tuple[list[float], int, int, int]:
        """Seconds back to the warm version, changes of weights, requests, and those dropped."""
        steps = "{weight: 20%, requests: 20}, {weight: 50%, requests: 50}, {weight: 100%}"
        warm: list[float] = []
        began = time.time()
        for _ in range(trials):
            version = self._ship(steps)
            self._until(partial(_serves, version), seconds=120)
            self._until_weights({version: 100})
            sha = self._workshop.git("rev-parse", "HEAD")
            pushed = time.time()
            self._workshop.revert(sha)
            warm.append(self._until_weights({"v1": 100}) - pushed)
            self._until(partial(_serves, "v1"))
        counts = users.counts(since=began)
        return warm, trials * 4, counts.requests, counts.dropped

    def _kills(self, trials: int) -> tuple[int, int]:
        """Daemons killed during rollouts, and weights seen that no step has."""
        chance = random.Random(1)  # noqa: S311 - repeatable on purpose
        steps = "{weight: 20%, requests: 50}, {weight: 50%, requests: 50}, {weight: 100%}"
        kills = wrong = 0
        while kills < trials:
            with self._daemon:
                version = self._ship(steps)
            allowed: Iterator[int] = iter((0, 20, 50, 100))
            reached, following = next(allowed), next(allowed)
            with self._users(rate=200.0):
                while reached != 100:
                    with self._daemon:
                        until = time.monotonic() + chance.uniform(6.0, 12.0)
                        while time.monotonic() < until and reached != 100:
                            weight = self._weights().get(version, 0)
                            if weight == following:
                                reached, following = following, next(allowed, 100)
                            wrong += weight not in (reached, following)
                            time.sleep(0.02)
                        os.kill(self._daemon.pid, signal.SIGKILL)
                        kills += 1
            with self._daemon:
                self._until(partial(_serves, version))
                self._workshop.revert(self._workshop.git("rev-parse", "HEAD"))
                self._until(partial(_serves, "v1"))
        return kills, wrong

    def _ship(self, steps: str) -> str:
        self._version += 1
        (self._workshop.clone / "rollout.yaml").write_text(_rollout(self._version, steps))
        self._workshop.commit(f"Ship v{self._version}")
        return f"v{self._version}"

    def _decision(self, version: str) -> float:
        """When the daemon decided to take a version back, by its log: seconds since the epoch."""
        self._until(lambda r: (r["failure"] or {}).get("version") == version or not r["candidate"])
        for line in reversed(self._daemon.log.read_text().splitlines()):
            event = json.loads(line)
            if event.get("event") == "rollout.moved" and event["move"] == "abort":
                return datetime.fromisoformat(event["timestamp"]).timestamp()
        raise AssertionError("the log has no abort")

    def _until_reverted(self) -> float:
        """Wait until the revert is in force; returns when its commit was made."""
        self._daemon.until(
            lambda status: bool(status["asDeclared"]) and not _rollout_of(status)["failure"],
            what="the revert",
        )
        self._workshop.pull()
        return float(self._workshop.git("log", "-1", "--format=%ct"))

    def _until_weights(self, weights: dict[str, int]) -> float:
        deadline = time.monotonic() + 60
        while self._weights() != weights:
            assert time.monotonic() < deadline, f"weights are {self._weights()}"
            time.sleep(0.005)
        return time.time()

    def _weights(self) -> dict[str, int]:
        route: Any = self._administrator.get(ROUTE, "gateway.networking.k8s.io/v1")
        backends = route["spec"]["rules"][-1]["backendRefs"]
        return {b["name"].removeprefix(f"{MODEL}-"): b["weight"] for b in backends if b["weight"]}

    def _until(self, so: Callable[[dict[str, Any]], object], *, seconds: float = 60.0) -> None:
        self._daemon.until(
            lambda status: bool(status["rollouts"]) and bool(so(_rollout_of(status))),
            what="the rollout",
            seconds=seconds,
        )

    def _until_declared(self, sha: str) -> None:
        self._daemon.until(
            lambda status: bool(status["asDeclared"]) and status["accepted"] == sha, what="start"
        )


def _serves(version: str, rollout: dict[str, Any]) -> bool:
    return rollout["stable"] == version and not rollout["candidate"]


def _rollout_of(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in status["rollouts"] if r["rollout"] == MODEL)
    return found


def rollout_table(f: RolloutFigures) -> str:
    """Markdown: what was measured beside the targets of the design."""
    rows = (
        (
            f"errors users got until the decision, every request failing, p50 / p95"
            f" ({len(f.hard.errors)} trials)",
            "p95 ≤ 5",
            _pair(f.hard.errors, "{:.0f}"),
        ),
        (
            f"requests until the decision, one in five failing ({len(f.fifth.requests)} trials)",
            "p95 ≤ 50",
            _pair(f.fifth.requests, "{:.0f}"),
        ),
        (
            f"requests until the decision, one in twenty failing"
            f" ({len(f.twentieth.requests)} trials)",
            "p95 ≤ 600",
            _pair(f.twentieth.requests, "{:.0f}"),
        ),
        (
            "decision → weight zero in the route, p50 / p95",
            "≤ 1 s",
            _pair([*f.hard.back, *f.fifth.back, *f.twentieth.back], "{:.2f} s"),
        ),
        (
            "decision → revert commit made, p50 / p95",
            "≤ 5 s",
            _pair([*f.hard.pushed, *f.fifth.pushed, *f.twentieth.pushed], "{:.1f} s"),
        ),
        ("push of a revert → warm version has all, p50 / p95", "≤ 3 s", _pair(f.warm, "{:.2f} s")),
        (
            f"dropped requests in {f.moved} changes of weights, {f.requests:,} requests",
            "0",
            str(f.dropped),
        ),
        (f"weights seen that no step has, {f.kills} daemons killed", "0", str(f.wrong_weights)),
    )
    lines = ["| what | target | measured |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {a} | {b} | {c} |" for a, b, c in rows)]) + "\n"


def _pair(values: list[float], form: str) -> str:
    return f"{form.format(percentile(values, 0.5))} / {form.format(percentile(values, 0.95))}"
