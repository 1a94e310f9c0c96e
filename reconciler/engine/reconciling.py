"""Reconciling: one pass takes one commit the whole way, and every new commit begins another.

Separate from the loops that wake it (driving.py) and from the parts that do the work. The order of
a pass is the order of the design: compile, look, dry-run, plan, accept, execute. The invariant: a
commit is accepted only when all of it may be applied; until then the last good commit is in
force, and whatever happens, why is written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog
from opentelemetry import trace

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.errors import (
    Corrupt,
    Misconfigured,
    Missing,
    Terminal,
    Transient,
    Untrusted,
)
from reconciler.core.identifiers import ClusterName, CommitSha, short
from reconciler.core.ledger import Standing, UnitState
from reconciler.core.outstanding import (
    ClusterView,
    Outstanding,
    Place,
    entries_by_unit,
    outstanding,
)
from reconciler.core.plans import Plan, WaitReason
from reconciler.core.problems import Problem
from reconciler.core.restoring import is_as_settled
from reconciler.core.rollouts.courses import Course
from reconciler.engine.advising import NOBODY, Advisers
from reconciler.engine.approving import Approver
from reconciler.engine.attributing import Attributor
from reconciler.engine.books import Books
from reconciler.engine.concurrency import bounded, together
from reconciler.engine.deciding import Decisions
from reconciler.engine.drafting import Drafts
from reconciler.engine.executing import Executor, Group, Superseded
from reconciler.engine.fetching import Compiled, Compiler, Invalid, verify_history
from reconciler.engine.grouping import groups_of
from reconciler.engine.leading import Leader
from reconciler.engine.performing import Context
from reconciler.engine.pinning import Pinning, Undecided
from reconciler.engine.positions import Positions
from reconciler.engine.recovering import Recovery
from reconciler.engine.settling import SettledUnits
from reconciler.engine.viewing import views_of
from reconciler.ports import Clock, Repository

log = structlog.get_logger()
tracer = trace.get_tracer("fairlead")

SLOTS = 4
"""Units left over from earlier commits that may be worked on at once, beside the newest commit."""


class Reconciler:
    """Takes commits to the clusters, one pass at a time. `superseded` ends a pass early."""

    def __init__(
        self,
        *,
        repository: Repository,
        leader: Leader,
        books: Books,
        clock: Clock,
        context: Context,
        advisers: Advisers = NOBODY,
        gradual: bool = False,
    ) -> None:
        self._repository = repository
        self._review = advisers.review
        self.pinning = Pinning(books, clock, advisers.stores)
        self._compiler = Compiler(repository, self.pinning.book)
        self._recovery = Recovery(repository, books, self._compiler)
        self._leader = leader
        self._books = books
        self._clock = clock
        self._context = context
        self.superseded = asyncio.Event()
        self._settled = SettledUnits(repository, books)
        self._decisions = Decisions(books, clock, context)
        compiler = Compiler(repository, self.pinning.book)
        self.people = advisers.people
        attributor = Attributor(repository, self.people, compiler) if self.people else None
        self._drafts = Drafts(leader, books, self._decisions, attributor)
        self.positions = Positions(books, clock, gradual=gradual)
        self.approver = Approver(
            repository, self._compiler, advisers.approvals, self.positions, clock
        )
        self.accepted: DesiredState | None = None
        self.course: Course | None = None
        """What the last pass was to make true."""
        self.plan: Plan | None = None
        self.problems: tuple[Problem, ...] = ()

    async def reopen(self) -> None:
        """Compile the commit that was accepted before a restart: its policy judges the next one.

        Raises Corrupt when it does not compile any more.
        """
        accepted = self._books.position.accepted
        if accepted is None or (self.accepted and self.accepted.commit == accepted):
            return
        try:
            result = await self._compiler.compile(accepted, rules=None)
        except Missing:
            # The branch was rewritten and the mirror made anew: then no head descends from it,
            # and every commit is refused for that reason. What was applied is kept in place.
            log.warning("commit.lost", commit=accepted)
            return
        if isinstance(result, Invalid):
            raise Corrupt(
                f"the accepted commit {short(accepted)} is not valid for this release: "
                f"{result.first.location} {result.first.message}",
                hint="run the release that accepted it, mend the file in a commit, then upgrade",
            )
        self.accepted = result.compilation.state

    async def reconcile(
        self, head: CommitSha, *, every_object: bool = False, retry_refused: bool = False
    ) -> bool:
        """One pass for one commit. True when nothing is left to do that time alone would do.

        Raises Superseded when a newer commit waits, and Transient when the pass must be repeated.
        """
        with tracer.start_as_current_span("reconcile", attributes={"fairlead.commit": head}):
            await self.reopen()
            await self._require_rights(self.accepted)
            restored = [await self.restore_held(name) for name in list(self._leader.sessions)]
            done = await self._take(head, every_object=every_object, retry_refused=retry_refused)
            return done and all(restored)

    async def _take(self, head: CommitSha, *, every_object: bool, retry_refused: bool) -> bool:
        """Take the commit to the clusters or, when it is refused, the last good one."""
        try:
            desired = await self._compile(head)
        except Undecided:
            # Nothing of it may be applied before it is known which secrets it would bring.
            await self._fall_back()
            return False
        except Terminal as error:
            await self._decisions.refuse(head, error.code, error.message, hint=error.hint)
            done = await self._fall_back()
            # Keys are kept outside Git, so this may become right without a commit.
            return done and not isinstance(error, Untrusted | Misconfigured)
        if desired is not None:
            if (hold := await self.approver.hold(desired, self.accepted)) is not None:
                await self._decisions.hold(hold.judgement, before=self.accepted, after=desired)
                return await (self._step(hold.step) if hold.step else self._fall_back())
            if not all(self._books.ledger(name).entries for name in self._books.clusters):
                await self._recovery.recover(desired, await self._views(desired))
            course = self.positions.course(desired)
            views = await self._views(course.state)
            # What was refused is asked again, or it would seem to be in force by and by.
            again = retry_refused or head == self._books.position.refused
            made, work = await self._drafts.of_new(
                course,
                views,
                accepted=self.accepted,
                every_object=every_object,
                retry_refused=again,
            )
            self.plan = made
            if _unseen(made) and head != self._books.position.accepted:
                # No API server was asked: that is not the same as none having refused.
                await self._fall_back()
                return False
            if not made.refused:
                await self._decisions.forget_refusal(head)
                return await self._carry_out(course, made, work)
            together = self._drafts.news(work, course.target, accepted=self.accepted)
            await self._decisions.refuse_plan(made, work, together=together)
        return await self._fall_back()

    async def _step(self, commit: CommitSha) -> bool:
        """Go as far towards a commit that waits as was approved; the rest is another pass."""
        await self._take(commit, every_object=False, retry_refused=False)
        if self._books.position.accepted != commit:
            self.approver.given_up(commit)
        return False

    async def _compile(self, head: CommitSha) -> DesiredState | None:
        """The commit as a DesiredState, or None after its refusal was recorded.

        Raises Terminal when it cannot be trusted, when its trees are malformed or too large, when
        the daemon may do too much where it would have to write, or when a store has no version of
        a secret for it; Undecided while that store is away.
        """
        rules = self.accepted.policy if self.accepted else None
        with tracer.start_as_current_span("compile"):
            if head != self._books.position.accepted:
                signed = rules.signatures.required if rules else False
                await verify_history(
                    self._repository,
                    accepted=self._books.position.accepted,
                    head=head,
                    signed=signed,
                )
            result = await self._compiler.compile(head, rules=rules)
        self.problems = result.problems
        if isinstance(result, Invalid):
            await self._decisions.refuse_invalid(head, result.problems)
            return None
        state = result.compilation.state
        if state.repository != self._context.repository:
            await self._decisions.refuse(
                head,
                "renamed",
                f"fairlead.yaml names the repository {state.repository}, but objects in the "
                f"clusters are labelled {self._context.repository}",
                hint="keep metadata.name",
            )
            return None
        if moved := self.positions.relocations(state, self.accepted):
            self.problems += moved
            await self._decisions.refuse_invalid(head, moved)
            return None
        await self._require_rights(state)
        if not await self.pinning.decide(state):
            return state
        pinned = await self._compiler.compile(head, rules=rules)
        assert isinstance(pinned, Compiled), "a version makes nothing invalid"
        return pinned.compilation.state

    async def _require_rights(self, desired: DesiredState | None) -> None:
        if self._review and desired:
            await self._review.require_in_all(desired, list(self._leader.sessions))

    async def _fall_back(self) -> bool:
        """Go on with the last good commit, which stays in force while a newer one is refused."""
        if self.accepted is None:
            return True
        course = self.positions.course(self.accepted)
        views = await self._views(course.state)
        work = outstanding(course.state, views, fallback=True)
        made = await self._drafts.of(course, views, work, accepted=self.accepted)
        if made.refused:
            await self._decisions.set_aside(made, work)
            return True
        return await self._carry_out(course, made, work)

    async def _carry_out(self, course: Course, made: Plan, work: Sequence[Outstanding]) -> bool:
        groups = groups_of(
            made,
            work,
            desired=course.state,
            accepted=self.accepted,
            states=self._states(work),
            rollouts={unit for _, unit in course.staged.fallback},
        )
        executor = self._executor(course, resumed=self._resumed(course))
        async with self.positions.moving:
            if not self.positions.stands(course):
                # A rollout moved while the plan was made: it is of a position that is over.
                raise Superseded
            await self._decisions.accept(
                course,
                made,
                groups,
                before=self.accepted,
                approved=self.approver.judgement_of(course.target.commit),
                pins=self.pinning.made_for(course.target),
            )
        self.accepted, self.course = course.target, course
        with tracer.start_as_current_span("execute", attributes={"fairlead.plan": made.digest}):
            results = await self._execute(executor, course.state, made, groups)
        # Groups that settle at the same moment do not see each other.
        await self._decisions.note_applied(course)
        waiting = any(cluster.waiting for cluster in made.clusters)
        return all(results) and not waiting and not self._may_go_on(course)

    def _may_go_on(self, course: Course) -> bool:
        """Whether what a position waited for has come with what was applied."""
        held = course.staged.held.keys()
        return bool(held) and not held <= self.positions.course(course.target).staged.held.keys()

    async def _views(self, desired: DesiredState) -> Sequence[ClusterView]:
        return await views_of(desired, self._leader, self._books, self._clock)

    async def _execute(
        self, executor: Executor, desired: DesiredState, made: Plan, groups: Sequence[Group]
    ) -> Sequence[bool]:
        span = trace.get_current_span().get_span_context()
        context = replace(
            self._context, plan=made.digest, trace=f"{span.trace_id:032x}" if span.is_valid else ""
        )
        results: dict[int, bool] = {}

        async def run(number: int) -> None:
            try:
                results[number] = await executor.execute(groups[number], context)
            except Transient as error:
                # The other groups go on; this one carries on in the next pass.
                log.warning("group.interrupted", reason=error.message)
                results[number] = False
            if results[number]:
                self._settled.remember(desired, groups[number].units)

        async def run_leftovers() -> None:
            await bounded(range(1, len(groups)), run, limit=SLOTS)

        await together([run(0), run_leftovers()] if groups else [])
        return [results[number] for number in sorted(results)]

    def _states(self, work: Sequence[Outstanding]) -> Mapping[Place, UnitState]:
        return {
            (item.cluster, name): state
            for item in work
            if item.units
            for name, state in self._books.ledger(item.cluster).units.items()
        }

    def _resumed(self, course: Course) -> Mapping[Place, Unit]:
        """Units that an earlier pass began to change and did not see through."""
        wanted = {**course.state.units, **course.staged.needed}
        return {
            (cluster, name): unit
            for cluster in self._leader.sessions
            for name, state in self._books.ledger(cluster).units.items()
            if state.standing is Standing.PROGRESSING and (unit := wanted.get((cluster, name)))
        }

    def _executor(self, course: Course, *, resumed: Mapping[Place, Unit]) -> Executor:
        async def settled(place: Place) -> Unit | None:
            return course.staged.fallback.get(place) or await self._settled.get(place)

        return Executor(
            sessions=self._leader.sessions,
            books=self._books,
            clock=self._clock,
            superseded=self.superseded,
            resumed=resumed,
            settled_unit=settled,
            position_after=lambda updates: self._decisions.applied(
                self._books.position, course, updates
            ),
            health_seconds=course.target.policy.defaults.health_timeout.total_seconds(),
        )

    async def restore_held(self, cluster: ClusterName) -> bool:
        """Finish what was begun to be put back, by a process that died or before an outage.

        False when some of it must be tried again; that delays neither other units nor new commits.
        """
        ledger = self._books.ledger(cluster)
        held = [
            state
            for state in ledger.units.values()
            if state.standing in (Standing.HELD, Standing.WAITING)
        ]
        if self.accepted is None or not held:
            return True
        executor = self._executor(self.positions.course(self.accepted), resumed={})
        entries, done = entries_by_unit(ledger), True
        for state in held:
            if is_as_settled(state, entries.get(state.unit, ())):
                continue
            try:
                await executor.restore((cluster, state.unit), self._context)
            except Transient as error:
                log.warning("restore.interrupted", cluster=cluster, reason=error.message)
                done = False
        return done


def _unseen(made: Plan) -> bool:
    """Whether something waits for a cluster that cannot be seen, and nothing could be looked at."""
    stale = any(
        wait.reason is WaitReason.CLUSTER_STALE
        for cluster in made.clusters
        for wait in cluster.waiting
    )
    return stale and not any(made.all_changes())
