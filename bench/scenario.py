"""One size of estate, measured from the first apply to the last drift.

Separate from the table that is made of it. Each figure is taken from outside the daemon: from the
API server's counters, from a watch of our own, and from /proc.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.estate import Estate, is_deployment, name_of, namespace_of
from bench.page import VIEWERS, PageBench, PageFigures
from bench.process import cpu_seconds, peak_mebibytes, percentile
from bench.server import Arrivals, Server
from reconciler.core.identifiers import GroupVersionKind, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.demo.daemon_process import DaemonProcess

CONFIG_MAPS = GroupVersionKind("", "v1", "ConfigMap")
IDLE_SECONDS = 60.0
PAGE_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. Seconds, MiB, requests; `limit` and `bulk` in objects per second."""

    objects: int
    units: int
    limit: float
    bulk: float
    commit_requests: float
    commit_seconds: tuple[float, float]
    commit_cpu: float
    plan_seconds: float
    drift_seconds: tuple[float, float]
    drift_requests: float
    idle_reads: float
    idle_writes: float
    peak_bulk: float
    peak: float
    page: PageFigures


class Scenario:
    """Measures one daemon on one estate."""

    def __init__(
        self, *, server: Server, daemon: DaemonProcess, estate: Estate, secret: bytes, rounds: int
    ) -> None:
        self._server = server
        self._daemon = daemon
        self._estate = estate
        self._secret = secret
        self._rounds = rounds

    async def measure(self, units: int, say: Callable[[str], None]) -> Figures:
        objects = self._estate.objects
        say(f"the API server's own limit, {objects} objects, dry run and apply")
        limit = await self._server.limit(objects)
        say(f"first bulk apply of {objects} objects in {units} units")
        bulk = await self._bulk_apply()
        peak_bulk = peak_mebibytes(self._daemon.pid)
        async with self._server.watching(CONFIG_MAPS) as arrivals:
            say(f"{self._rounds} commits of one object")
            before_plan = self._pass_seconds()
            commits = await self._repeat(lambda n: self._commit(arrivals, n))
            plan = (self._pass_seconds() - before_plan) / self._rounds
            say(f"{self._rounds} objects changed by somebody else")
            drifts = await self._repeat(lambda n: self._drift(arrivals, n))
        say(f"idle for {IDLE_SECONDS:.0f} s")
        reads, writes = await self._idle()
        peak = peak_mebibytes(self._daemon.pid)
        say(f"the page, and {VIEWERS} who look at it")
        page = await PageBench(self._daemon, self._commit_unwatched).measure(rounds=PAGE_ROUNDS)
        return Figures(
            objects=objects,
            units=units,
            limit=limit,
            bulk=bulk,
            commit_requests=commits.requests,
            commit_seconds=(percentile(commits.seconds, 0.5), percentile(commits.seconds, 0.95)),
            commit_cpu=commits.cpu,
            plan_seconds=plan,
            drift_seconds=(percentile(drifts.seconds, 0.5), percentile(drifts.seconds, 0.95)),
            # What somebody else does are two requests: looking, and changing.
            drift_requests=drifts.requests - 2,
            idle_reads=reads,
            idle_writes=writes,
            peak_bulk=peak_bulk,
            peak=peak,
            page=page,
        )

    async def _bulk_apply(self) -> float:
        head = self._estate.commit_everything()
        began = time.perf_counter()
        self._notify(head)
        await self._until_applied(head)
        return self._estate.objects / (time.perf_counter() - began)

    async def _commit(self, arrivals: Arrivals, number: int) -> float:
        value = f"changed-{time.monotonic_ns()}"
        head = self._estate.commit_change(number, value)
        arrived = arrivals.expect(_key(number), lambda body: _value(body) == f"{value}-{number}")
        began = time.perf_counter()
        self._notify(head)
        moment = await asyncio.wait_for(arrived, 60)
        await self._until_applied(head)
        return moment - began

    async def _commit_unwatched(self, number: int) -> str:
        head = self._estate.commit_change(number, f"looked-at-{time.monotonic_ns()}")
        self._notify(head)
        return head

    async def _drift(self, arrivals: Arrivals, number: int) -> float:
        key = _key(number)
        live = await self._server.cluster.get(key, "v1")
        wanted = _value(live)
        arrived = arrivals.expect(key, lambda body: _value(body) == wanted)
        began = await self._server.overwrite(key, "somebody else was here")
        return await asyncio.wait_for(arrived, 60) - began

    async def _repeat(self, round_of: Callable[[int], Awaitable[float]]) -> _Repeated:
        numbers = [n for n in range(self._estate.objects) if not is_deployment(n)]
        step = max(1, len(numbers) // self._rounds)
        chosen = numbers[::step][: self._rounds]
        await round_of(chosen[0])
        cpu, before = cpu_seconds(self._daemon.pid), await self._server.requests()
        seconds = []
        for number in chosen:
            seconds.append(await round_of(number))
        after = await self._server.requests()
        return _Repeated(
            seconds=seconds,
            cpu=(cpu_seconds(self._daemon.pid) - cpu) / len(chosen),
            requests=(_total(after) - _total(before)) / len(chosen),
        )

    async def _idle(self) -> tuple[float, float]:
        before = await self._server.requests()
        await asyncio.sleep(IDLE_SECONDS)
        after = await self._server.requests()
        reads = sum(after.get(v, 0) - before.get(v, 0) for v in ("GET", "LIST", "WATCH"))
        return reads, _total(after) - _total(before) - reads

    def _pass_seconds(self) -> float:
        """Seconds that the daemon has spent on compiling and planning, by its own metrics."""
        text = self._get("/metrics").decode()
        found = re.findall(
            r'^fairlead_pass_seconds_sum\{phase="(?:compile|plan)"\} (\S+)$', text, re.MULTILINE
        )
        return sum(map(float, found))

    def _notify(self, head: str) -> None:
        body = json.dumps({"ref": "refs/heads/main", "after": head}).encode()
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"http://{self._daemon.address}/hooks/git",
            data=body,
            headers={
                "X-Hub-Signature-256": f"sha256={signature}",
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": str(time.monotonic_ns()),
                "Content-Type": "application/json",
            },
        )
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self._daemon.address}{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content

    async def _until_applied(self, head: str) -> None:
        await asyncio.to_thread(
            self._daemon.until,
            lambda status: bool(status["asDeclared"]) and status["accepted"] == head,
            what=f"commit {head}",
            seconds=600,
        )


@dataclass(frozen=True, slots=True)
class _Repeated:
    seconds: list[float]
    cpu: float
    requests: float


def _key(number: int) -> ObjectKey:
    return ObjectKey("", "ConfigMap", namespace_of(number), name_of(number))


def _value(body: JsonObject | None) -> str:
    data = (body or {}).get("data")
    return str(data.get("value")) if isinstance(data, dict) else ""


def _total(counts: dict[str, float]) -> float:
    return sum(counts.values())


def prepared(directory: Path, *, kubeconfig: Path, estate: Estate) -> tuple[DaemonProcess, bytes]:
    """A daemon that is not started yet, and the secret of its webhook."""
    secret = b"bench-secret-of-this-run"
    (directory / "webhook.secret").write_bytes(secret)
    daemon = DaemonProcess(
        directory,
        remote=estate.path,
        kubeconfigs={"bench": kubeconfig},
        repository="bench",
        more={"webhook": {"secretFile": str(directory / "webhook.secret")}},
    )
    return daemon, secret
