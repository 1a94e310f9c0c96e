"""Pull requests: from the push to the comment, and what never differs between two plans.

Separate from the daemon's scenario, because the forge is in memory here: what a forge itself takes
to answer is its own. Git, API server and the plan are real. Several clusters are one API server
under several names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.estate import REPOSITORY, Estate, manifest
from bench.process import percentile
from bench.server import Server
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_lease import ClusterLease
from reconciler.adapters.forge_memory import MemoryForge
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_proposals import GitProposals
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.change_requests import CheckState
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.reviewed import pull_ref
from reconciler.engine.books import Books
from reconciler.engine.driving import Engine
from reconciler.engine.performing import Context
from reconciler.engine.reviewing import Reviewer
from reconciler.engine.reviewing_plans import LiveSurveyor
from reconciler.engine.reviewing_presenting import ReviewOptions
from reconciler.surfaces.metrics import Metrics
from reconciler.wiring.reviewing import ReviewPorts, reviewer_of

SAME_PLANS = 1_000
LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class ReviewFigures:
    """`seconds` from push to comment and check; `plans` different ones among SAME_PLANS of one
    commit, none where that was not tried; `changed` lines of a change that changes nothing."""

    objects: int
    clusters: int
    placeholder: list[float]
    seconds: list[float]
    plans: int | None
    changed: int


class ReviewBench:
    """Measures the answers to the pull requests of one estate."""

    def __init__(self, kubeconfig: Path, directory: Path, estate: Estate) -> None:
        self._kubeconfig = kubeconfig
        self._directory = directory
        self._estate = estate
        self._clock = SystemClock()
        self._forge = MemoryForge()
        self._base = CommitSha("")

    async def measure(self, *, rounds: int) -> ReviewFigures:
        async with self._engine() as (engine, proposals):
            ports = ReviewPorts(self._forge, proposals, MemoryStateStore())
            reviewer = reviewer_of(
                ports,
                engine,
                name=REPOSITORY,
                statuses=lambda: (),
                clock=self._clock,
                options=ReviewOptions(poll_seconds=600),
                tally=Metrics(),
            )
            running = asyncio.create_task(reviewer.run())
            try:
                return await self._measured(engine, proposals, reviewer, rounds=rounds)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    async def _measured(
        self, engine: Engine, proposals: GitProposals, reviewer: Reviewer, *, rounds: int
    ) -> ReviewFigures:
        unchanged = await self._unchanged(reviewer)
        times = [await self._push(reviewer, number) for number in range(rounds)]
        few = self._estate.objects <= 100
        return ReviewFigures(
            objects=self._estate.objects,
            clusters=len(self._estate.clusters),
            placeholder=[first for first, _ in times],
            seconds=[last for _, last in times],
            plans=await self._plans(engine, proposals) if few else None,
            changed=unchanged,
        )

    async def _unchanged(self, reviewer: Reviewer) -> int:
        """Lines of a difference in the comment on a change that declares nothing else."""
        number = self._open({"README.md": "words\n"})
        await self._until_answered(reviewer, number)
        body = self._forge.ours(number)[0].body
        assert "No changes" in body, body
        self._forge.shut(number)
        fenced = body.split("```")[1::2]
        return sum(line.startswith(("+", "-")) for part in fenced for line in part.splitlines())

    def _open(self, files: dict[str, str]) -> int:
        ref = pull_ref(len(self._forge._pulls) + 1)
        head = CommitSha(self._estate.propose(files, ref=ref))
        return self._forge.open(head, base=self._base)

    async def _push(self, reviewer: Reviewer, number: int) -> tuple[float, float]:
        """Seconds until the check says that the head is being planned, and until all is there."""
        file, text = self._estate.file_of(number), manifest(number, f"v{number}")
        began = time.perf_counter()
        opened = self._open({file: text})
        first, last = await self._until_answered(reviewer, opened)
        assert f"{len(self._estate.clusters)} to change" in self._forge.ours(opened)[0].body
        self._forge.shut(opened)
        return first - began, last - began

    async def _until_answered(self, reviewer: Reviewer, number: int) -> tuple[float, float]:
        head = (await self._forge.pull_request(number)).head
        reviewer.hint(number)
        await _until(lambda: self._forge.check(head, "fairlead") is not None)
        first = time.perf_counter()
        await _until(lambda: self._is_green(head))
        return first, time.perf_counter()

    def _is_green(self, head: CommitSha) -> bool:
        found = self._forge.check(head, "fairlead")
        return found is not None and found.state is CheckState.SUCCESS

    async def _plans(self, engine: Engine, proposals: GitProposals) -> int:
        """How many plans one commit has, planned over and over."""
        ref = "refs/pull/9999/head"
        head = CommitSha(self._estate.propose({self._estate.file_of(0): manifest(0, "x")}, ref=ref))
        await proposals.fetch_ref(ref)
        surveyor = LiveSurveyor(
            proposals=proposals, engine=engine, clock=self._clock, name=REPOSITORY, release="bench"
        )
        seen = set()
        for _ in range(SAME_PLANS):
            found = await surveyor.review(head, self._base, live=True)
            assert found.plan is not None, found
            seen.add(found.plan.canonical)
        return len(seen)

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[tuple[Engine, GitProposals]]:
        """An engine that has applied the estate."""
        self._estate.commit_policy()
        self._base = CommitSha(self._estate.commit_everything())
        source = GitSource(url=str(self._estate.path))
        async with AsyncExitStack() as opened:
            server = Server(self._kubeconfig)
            opened.push_async_callback(server.cluster.close)
            await server.create_namespaces()
            mirror = GitMirror(source, self._directory / "mirror.git")
            proposals = GitProposals(source, self._directory / "proposals.git")
            opened.callback(mirror.close)
            opened.callback(proposals.close)
            engine = await self._made(mirror, opened)
            task = asyncio.create_task(engine.run())
            try:
                names = engine.books.clusters
                await _until(
                    lambda: all(
                        engine.books.position.applied.get(name) == self._base for name in names
                    )
                )
                yield engine, proposals
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _made(self, mirror: GitMirror, opened: AsyncExitStack) -> Engine:
        clusters = {}
        for chosen in self._estate.clusters:
            access = Kubeconfig(self._kubeconfig)
            cluster = KubernetesCluster(ClusterName(chosen), access, clock=self._clock)
            opened.push_async_callback(cluster.close)
            clusters[cluster.name] = cluster
        store = MemoryStateStore()
        return Engine(
            repository=mirror,
            clusters=clusters,
            leases={
                name: ClusterLease(MemoryLeaseStore(), identity="bench", clock=self._clock)
                for name in clusters
            },
            store=store,
            books=await Books.open(store, list(clusters)),
            clock=self._clock,
            context=Context(repository=REPOSITORY, actor="bench"),
            poll_seconds=5.0,
        )


async def _until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(1200):
        while not so():  # noqa: ASYNC110  What is waited for is memory of somebody else.
            await asyncio.sleep(LOOK_SECONDS)


_TARGETS = {(100, 1): "5 s", (1000, 3): "15 s", (10000, 1): "60 s"}


def review_table(measured: Sequence[ReviewFigures]) -> str:
    """Markdown, one row for each figure."""
    lines = ["| what | target | measured |", "| --- | --- | --- |"]
    for f in measured:
        where = f"{f.objects:,} objects × {f.clusters}"
        target = _TARGETS.get((f.objects, f.clusters), "")
        first, last = percentile(f.placeholder, 0.95), percentile(f.seconds, 0.95)
        half = percentile(f.seconds, 0.5)
        what = f"push → comment and check, {where}, p50 / p95"
        lines.append(f"| {what} | p95 ≤ {target} | {half:.2f} s / {last:.2f} s |")
        lines.append(f"| … until the check says that it is planned, p95 | ≤ 2 s | {first:.2f} s |")
        what = f"changed lines of a change that changes nothing, {where}"
        lines.append(f"| {what} | 0 | {f.changed} |")
        if f.plans is not None:
            what = f"different plans of one commit in {SAME_PLANS:,}, {where}"
            lines.append(f"| {what} | 1 | {f.plans} |")
    return "\n".join(lines) + "\n"
