"""Driving: the loops that keep everything going, and the one place that starts and ends them.

Separate from what a pass does (reconciling.py). The invariant: whatever happens outside, such as
a remote that is away, a cluster that is gone or a storm of commits, ends in a later pass and
never in silence; only a bug or the loss of the books ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from opentelemetry import context as otel_context
from opentelemetry import trace

from reconciler.core.errors import Transient
from reconciler.core.identifiers import ClusterName, CommitSha, short
from reconciler.core.ledger import Standing
from reconciler.core.pacing import Pace
from reconciler.engine.advising import NOBODY, Advisers
from reconciler.engine.books import Books
from reconciler.engine.concurrency import together
from reconciler.engine.correcting import Correctors
from reconciler.engine.executing import Superseded
from reconciler.engine.following import RETRY_SECONDS, BranchFollower, backoff
from reconciler.engine.leading import Leader
from reconciler.engine.performing import Context, Performer
from reconciler.engine.reconciling import Reconciler
from reconciler.engine.rollout_loops import Instruments, RolloutLoops, Surroundings
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock, Cluster, Lease, Repository, StateStore

log = structlog.get_logger()
tracer = trace.get_tracer("fairlead")

REFUSED_RETRY_SECONDS = 300.0
"""How often the API server is asked again about a commit that it refused: a quota or a webhook
may have changed without a commit."""

REMINDERS_PER_LOOK = 12
"""After so many, every object is held against its declaration: in memory, and at no cost to the
API server unless one differs. What the watches told was acted upon long before."""


@dataclass(slots=True)
class _Due:
    """What the next pass is to do beside the ordinary."""

    retry_refused: bool = False
    every_object: bool = False


class Engine:
    """The reconciler as a whole. `run` ends only by cancellation or with an error."""

    def __init__(
        self,
        *,
        repository: Repository,
        clusters: Mapping[ClusterName, Cluster],
        leases: Mapping[ClusterName, Lease],
        store: StateStore,
        books: Books,
        clock: Clock,
        context: Context,
        poll_seconds: float,
        instruments: Instruments | None = None,
        advisers: Advisers = NOBODY,
    ) -> None:
        """Without `instruments` nothing is measured: every version gets its traffic at once."""
        self.books = books
        self._clock = clock
        self._context = context
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._passed = asyncio.Event()
        self._pace = Pace()
        self._busy = False
        self._due = _Due()
        self._fresh_sessions: list[ClusterSession] = []
        self._correctors = Correctors(Performer(books, clock), clock, context)
        self.branch = BranchFollower(
            repository, clock, poll_seconds=poll_seconds, on_move=self._moved
        )
        self.leader = self._leader(clusters, leases, store)
        self.reconciler = Reconciler(
            repository=repository,
            leader=self.leader,
            books=books,
            clock=clock,
            context=context,
            advisers=advisers,
            gradual=instruments is not None,
        )
        around = Surroundings(self.reconciler, self.leader, repository, books, clock, context)
        self.rollouts = self._loops(around, instruments) if instruments else None

    def _loops(self, around: Surroundings, instruments: Instruments) -> RolloutLoops:
        return RolloutLoops.of(
            around, instruments, on_move=self._rollout_moved, on_push=self.branch.hint
        )

    def _leader(
        self,
        clusters: Mapping[ClusterName, Cluster],
        leases: Mapping[ClusterName, Lease],
        store: StateStore,
    ) -> Leader:
        return Leader(
            clusters=clusters,
            leases=leases,
            books=self.books,
            store=store,
            clock=self._clock,
            on_ready=self._session_ready,
            on_end=self._correctors.end,
        )

    async def run(self) -> None:
        """Fetch, lead and reconcile until cancelled."""
        leading = asyncio.ensure_future(
            together([self.leader.lead(name, self._context) for name in self.books.clusters])
        )
        try:
            await together(
                [
                    self.branch.follow(),
                    self._work_for_ever(),
                    self._remind_for_ever(),
                    self._ask_for_ever(),
                    self._correctors.crashed(),
                    self.reconciler.pinning.look_for_ever(lambda: self.reconciler.accepted),
                    *([self.rollouts.run()] if self.rollouts else []),
                    asyncio.shield(leading),
                ]
            )
        finally:
            # The leases go last: the next holder may write as soon as it has them.
            await self._correctors.stop()
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)

    def _moved(self) -> None:
        self._pace = self._pace.arrived(self._clock.monotonic(), busy=self._busy)
        if self._busy:
            self.reconciler.superseded.set()
        self._wake.set()

    def _rollout_moved(self) -> None:
        # What runs now is of a position that is over. Commits are paced, positions never.
        self.reconciler.superseded.set()
        self._wake.set()

    async def _work_for_ever(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._prepare_sessions()
            # While the remote is away, the commit in force is carried out and judged all the same.
            head = self.branch.head or self.books.position.accepted
            if head is None or not self.leader.sessions:
                continue
            while (wait := self._pace.wait(self._clock.monotonic())) > 0:
                await self._clock.sleep(wait)
                head = self.branch.head or head
            self._pace = Pace()
            try:
                done = await self._pass(head)
            except Transient as error:
                log.warning("pass.interrupted", commit=short(head), reason=error.message)
                done = False
            failures = 0 if done else failures + 1
            if not done:
                self._wake_later(backoff(failures))

    async def _pass(self, head: CommitSha) -> bool:
        self.reconciler.superseded.clear()
        self._busy = True
        due, self._due = self._due, _Due()
        arrival = otel_context.attach(self.branch.arrival)
        try:
            return await self.reconciler.reconcile(
                head, retry_refused=due.retry_refused, every_object=due.every_object
            )
        except Superseded:
            log.info("pass.superseded", commit=short(head))
            return True
        finally:
            otel_context.detach(arrival)
            self._busy = False
            self._passed.set()

    async def _remind_for_ever(self) -> None:
        while True:
            for _ in range(REMINDERS_PER_LOOK):
                today = self._clock.now().date()
                await self._clock.sleep(REFUSED_RETRY_SECONDS)
                if self._clock.now().date() != today:
                    # Scopes of agents end with their last day.
                    self._wake.set()
                if self._has_refused():
                    self._due.retry_refused = True
                    self._wake.set()
            self._due.every_object = True
            self._wake.set()

    async def _ask_for_ever(self) -> None:
        """Whether what a commit waits for was approved, which no forge tells of, and whether
        something begins or ends that was given for an hour."""
        reconciler = self.reconciler
        while True:
            self._passed.clear()
            course = reconciler.course
            if not (reconciler.approver.waits or (course and course.target.emergencies)):
                await self._passed.wait()
                continue
            await self._clock.sleep(self._poll_seconds)
            over = reconciler.course is not None and reconciler.positions.is_over(reconciler.course)
            if over or await reconciler.approver.has_news():
                self._wake.set()

    def _has_refused(self) -> bool:
        return any(
            state.standing is Standing.REFUSED
            for name in self.books.clusters
            for state in self.books.ledger(name).units.values()
        )

    def _wake_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._wake.set)

    def _session_ready(self, session: ClusterSession) -> None:
        self._fresh_sessions.append(session)
        self._wake.set()

    async def _prepare_sessions(self) -> None:
        """Let a new session begin: finish what a dead process began, then watch for drift."""
        while self._fresh_sessions:
            session = self._fresh_sessions.pop()
            try:
                await self.reconciler.reopen()
                await self.reconciler.restore_held(session.name)
            except Transient as error:
                log.warning("session.interrupted", cluster=session.name, reason=error.message)
                self._fresh_sessions.append(session)
                self._wake_later(RETRY_SECONDS[0])
                return
            self._correctors.start(session)
