"""Reconciling: one pass takes one commit the whole way, and every new commit begins another.

Separate from the loops that wake it (driving.py) and from the parts that do the work. The order of
a pass is the order of the design: compile, look, dry-run, plan, accept, execute. The invariant: a
commit is accepted only when all of it may be applied; until then the last good commit is in
force, and whatever happens, why is written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import structlog
from opentelemetry import trace

from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.errors import (
    Corrupt,
    Misconfigured,
    Missing,
    Terminal,
    Transient,
    Untrusted,
)
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, short
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.ledger import Ledger, LedgerUpdate, Position, Standing, UnitState
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.outstanding import (
    ClusterView,
    Outstanding,
    Place,
    entries_by_unit,
    is_news,
    outstanding,
)
from reconciler.core.planning import plan
from reconciler.core.plans import Plan
from reconciler.core.problems import Problem, errors_among
from reconciler.core.refusing import culprits, refusal_text, refusal_updates
from reconciler.core.restoring import is_as_settled
from reconciler.core.snapshots import FrozenSnapshot
from reconciler.engine.books import Books
from reconciler.engine.concurrency import bounded, together
from reconciler.engine.executing import Executor, Group
from reconciler.engine.fetching import Compiler, Invalid, verify_history
from reconciler.engine.grouping import groups_of
from reconciler.engine.leading import Leader
from reconciler.engine.performing import Context
from reconciler.engine.previewing import preview
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
        superseded: asyncio.Event,
    ) -> None:
        self._repository = repository
        self._compiler = Compiler(repository)
        self._leader = leader
        self._books = books
        self._clock = clock
        self._context = context
        self._superseded = superseded
        self._settled: dict[Place, Unit] = {}
        self.accepted: DesiredState | None = None
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
                f"{result.problems[0].location} {result.problems[0].message}",
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
            for cluster in list(self._leader.sessions):
                await self.restore_held(cluster)
            try:
                desired = await self._compile(head)
            except Terminal as error:
                await self._refuse(head, error.code, error.message, hint=error.hint)
                done = await self._fall_back()
                # Keys are kept outside Git, so this may become right without a commit.
                return done and not isinstance(error, Untrusted | Misconfigured)
            if desired is not None:
                views = await self._look(desired)
                # What was refused is asked again, or it would seem to be in force by and by.
                again = retry_refused or head == self._books.position.refused
                made, work = await self._plan_new(
                    desired, views, every_object=every_object, retry_refused=again
                )
                self.plan = made
                if not made.refused:
                    return await self._carry_out(desired, made, work)
                await self._refuse_plan(made, work)
            return await self._fall_back()

    async def _compile(self, head: CommitSha) -> DesiredState | None:
        """The commit as a DesiredState, or None after its refusal was recorded.

        Raises Terminal when it cannot be trusted, or when its trees are malformed or too large.
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
            first, *others = errors_among(result.problems)
            more = f" (and {len(others)} more)" if others else ""
            await self._refuse(
                head,
                "invalid",
                f"{first.location} {first.message}{more}",
                detail={"problems": [_problem_json(p) for p in result.problems[:50]]},
            )
            return None
        state = result.compilation.state
        if state.repository != self._context.repository:
            await self._refuse(
                head,
                "renamed",
                f"fairlead.yaml names the repository {state.repository}, but objects in the "
                f"clusters are labelled {self._context.repository}",
                hint="keep metadata.name",
            )
            return None
        return state

    async def _fall_back(self) -> bool:
        """Go on with the last good commit, which stays in force while a newer one is refused."""
        if self.accepted is None:
            return True
        views = await self._look(self.accepted)
        work = outstanding(self.accepted, views, fallback=True)
        made = await self._plan(self.accepted, views, work)
        if made.refused:
            await self._books.write([], updates=self._refusal(made, work, together=frozenset()))
            return True
        return await self._carry_out(self.accepted, made, work)

    async def _carry_out(
        self, desired: DesiredState, made: Plan, work: Sequence[Outstanding]
    ) -> bool:
        groups = groups_of(made, work, desired=desired, accepted=self.accepted)
        executor = self._executor(desired, resumed=self._resumed(desired))
        await self._accept(desired, made, groups)
        with tracer.start_as_current_span("execute", attributes={"fairlead.plan": made.digest}):
            results = await self._execute(executor, desired, made, groups)
        # Groups that settle at the same moment do not see each other.
        position = self._applied(self._books.position, desired, [])
        if position != self._books.position:
            await self._books.write([], position=position)
        return all(results) and not any(cluster.waiting for cluster in made.clusters)

    async def _look(self, desired: DesiredState) -> Sequence[ClusterView]:
        """A view of every cluster that this repository has, or should have, anything in."""
        sessions = self._leader.sessions
        wanted = {cluster for cluster, _ in desired.units}
        names = sorted(wanted | self._books.clusters)
        for name in names:
            if name in sessions:
                units = (u for (cluster, _), u in desired.units.items() if cluster == name)
                types = frozenset().union(*(unit.types for unit in units))
                await sessions[name].observer.watch_types(types)
        return [self._view(name) for name in names]

    def _view(self, name: ClusterName) -> ClusterView:
        session = self._leader.sessions.get(name)
        if session is not None:
            return session.view(self._clock.monotonic())
        trouble = self._leader.troubles.get(name, "the daemon has no settings for this cluster")
        ledger = self._books.ledger(name) if name in self._books.clusters else Ledger(name)
        return ClusterView(ledger, FrozenSnapshot(name, stale=trouble))

    async def _plan_new(
        self,
        desired: DesiredState,
        views: Sequence[ClusterView],
        *,
        every_object: bool,
        retry_refused: bool,
    ) -> tuple[Plan, Sequence[Outstanding]]:
        """The plan for a new commit. Units left over from earlier ones, when they are refused, are
        set aside: the new commit need not wait for them."""
        aside: set[Place] = set()
        while True:
            work = outstanding(
                desired,
                views,
                every_object=every_object,
                retry_refused=retry_refused,
                still_refused=aside,
            )
            made = await self._plan(desired, views, work)
            guilty = culprits(made).keys()
            known = {(item.cluster, unit) for item in work for unit in item.units}
            if not guilty or not guilty <= known or guilty & self._news(work, desired.commit):
                return made, work
            aside |= guilty
            await self._books.write([], updates=self._refusal(made, work, together=frozenset()))

    def _news(self, work: Sequence[Outstanding], head: CommitSha) -> AbstractSet[Place]:
        """Units that this very commit changes."""
        news = set()
        for item in work:
            states = self._books.ledger(item.cluster).units if item.units else {}
            for name, digest in item.units.items():
                state = states.get(name)
                refused_before = state and state.refused == digest and state.refused_commit != head
                if not refused_before and is_news((item.cluster, name), digest, self.accepted):
                    news.add((item.cluster, name))
        return news

    async def _plan(
        self, desired: DesiredState, views: Sequence[ClusterView], work: Sequence[Outstanding]
    ) -> Plan:
        with tracer.start_as_current_span("plan"):
            clusters = {name: s.cluster for name, s in self._leader.sessions.items()}
            asked = [item for item in work if item.cluster in clusters]
            answers = await preview(clusters, asked, head=desired.commit)
            return plan(
                desired,
                base=self._books.position.accepted,
                rules=self._rules(desired),
                views=views,
                work=work,
                previews=answers,
            )

    def _rules(self, desired: DesiredState) -> RepositorySpec:
        return self.accepted.policy if self.accepted else desired.policy

    async def _accept(self, desired: DesiredState, made: Plan, groups: Sequence[Group]) -> None:
        """Record that the commit is in force, before anything of it is written."""
        position = self._books.position
        updates = self._progressing(groups)
        records: list[AuditRecord] = []
        if desired.commit != position.accepted:
            detail: JsonObject = {"changes": sum(len(c.changes) for c in made.clusters)}
            records.append(self._decision(desired.commit, Verb.ACCEPT, made.digest, "ok", detail))
            position = replace(position, accepted=desired.commit, refused=None, explanation="")
        if not groups:
            position = self._applied(position, desired, updates)
        if records or updates or position != self._books.position:
            await self._books.write(records, updates=updates, position=position)
        if records:
            log.info("commit.accepted", commit=desired.commit, plan=made.digest)
        self.accepted = desired

    def _progressing(self, groups: Sequence[Group]) -> list[LedgerUpdate]:
        states: dict[ClusterName, list[UnitState]] = {}
        for group in groups:
            for cluster, unit in group.units:
                known = self._books.ledger(cluster).units.get(unit)
                state = replace(
                    known or UnitState(unit, Standing.PROGRESSING),
                    standing=Standing.PROGRESSING,
                    refused=None,
                    refused_commit=None,
                    explanation="",
                )
                if state != known:
                    states.setdefault(cluster, []).append(state)
        return [LedgerUpdate(cluster, units=tuple(units)) for cluster, units in states.items()]

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
                self._remember_settled(desired, groups[number])

        async def run_leftovers() -> None:
            await bounded(range(1, len(groups)), run, limit=SLOTS)

        await together([run(0), run_leftovers()] if groups else [])
        return [results[number] for number in sorted(results)]

    def _resumed(self, desired: DesiredState) -> Mapping[Place, Unit]:
        """Units that an earlier pass began to change and did not see through."""
        return {
            (cluster, name): unit
            for cluster in self._leader.sessions
            for name, state in self._books.ledger(cluster).units.items()
            if state.standing is Standing.PROGRESSING
            and (unit := desired.units.get((cluster, name)))
        }

    def _executor(self, desired: DesiredState, *, resumed: Mapping[Place, Unit]) -> Executor:
        return Executor(
            sessions=self._leader.sessions,
            books=self._books,
            clock=self._clock,
            superseded=self._superseded,
            resumed=resumed,
            settled_unit=self.settled_unit,
            position_after=lambda updates: self._applied(self._books.position, desired, updates),
            health_seconds=desired.policy.defaults.health_timeout.total_seconds(),
        )

    async def restore_held(self, cluster: ClusterName) -> None:
        """Finish what was begun to be put back, by a process that died or before an outage."""
        ledger = self._books.ledger(cluster)
        held = [
            state
            for state in ledger.units.values()
            if state.standing in (Standing.HELD, Standing.WAITING)
        ]
        if self.accepted is None or not held:
            return
        executor = self._executor(self.accepted, resumed={})
        entries = entries_by_unit(ledger)
        for state in held:
            if not is_as_settled(state, entries.get(state.unit, ())):
                await executor.restore((cluster, state.unit), self._context)

    def _remember_settled(self, desired: DesiredState, group: Group) -> None:
        for place in group.units:
            if place in desired.units:
                self._settled[place] = desired.units[place]
            else:
                self._settled.pop(place, None)

    async def settled_unit(self, place: Place) -> Unit | None:
        """What a unit was when it last settled: from memory, else from the commit in Git."""
        cluster, name = place
        state = self._books.ledger(cluster).units.get(name)
        if state is None or state.commit is None:
            return None
        known = self._settled.get(place)
        if known is None or known.digest != state.digest:
            result = await Compiler(self._repository).compile(state.commit, rules=None)
            if isinstance(result, Invalid):
                raise Terminal(f"commit {short(state.commit)} of {name} does not compile any more")
            known = result.compilation.state.units.get(place)
            if known is not None:
                self._settled[place] = known
        return known

    def _applied(
        self, position: Position, desired: DesiredState, updates: Sequence[LedgerUpdate]
    ) -> Position:
        """The position with every cluster in which all units are settled moved up to the commit."""
        applied, since = dict(position.applied), dict(position.since)
        for cluster in self._books.clusters:
            if applied.get(cluster) == desired.commit:
                continue
            if self._all_settled(cluster, desired, updates):
                applied[cluster] = desired.commit
                since[cluster] = self._clock.now().isoformat()
        return replace(position, applied=applied, since=since)

    def _all_settled(
        self, cluster: ClusterName, desired: DesiredState, updates: Sequence[LedgerUpdate]
    ) -> bool:
        states = dict(self._books.ledger(cluster).units)
        for update in updates:
            if update.cluster == cluster:
                states.update((state.unit, state) for state in update.units)
                for unit in update.forget_units:
                    states.pop(unit, None)
        wanted = {name: unit for (where, name), unit in desired.units.items() if where == cluster}
        return states.keys() == wanted.keys() and all(
            state.standing is Standing.SETTLED and state.digest == wanted[name].digest
            for name, state in states.items()
        )

    async def _refuse_plan(self, made: Plan, work: Sequence[Outstanding]) -> None:
        reasons: list[JsonValue] = [f"{c}: {u}: {why}" for (c, u), why in culprits(made).items()]
        await self._refuse(
            made.head,
            "refused",
            refusal_text(made),
            plan=made.digest,
            detail={"refusals": reasons[:50]},
            updates=self._refusal(made, work, together=self._news(work, made.head)),
        )

    def _refusal(
        self, made: Plan, work: Sequence[Outstanding], *, together: AbstractSet[Place]
    ) -> Sequence[LedgerUpdate]:
        ledgers = {name: self._books.ledger(name) for name in self._books.clusters}
        return refusal_updates(made, work, ledgers, together=together)

    async def _refuse(
        self,
        head: CommitSha,
        code: str,
        explanation: str,
        *,
        hint: str = "",
        plan: Digest | None = None,
        detail: JsonObject | None = None,
        updates: Sequence[LedgerUpdate] = (),
    ) -> None:
        """Write down, once, why a commit is not in force. Nothing of it was applied."""
        position = self._books.position
        text = f"{explanation}; {hint}" if hint else explanation
        if position.refused == head and position.explanation == text:
            return
        log.error("commit.refused", commit=head, code=code, reason=text)
        record = self._decision(
            head, Verb.REFUSE, plan, code, {"explanation": text, **(detail or {})}
        )
        await self._books.write(
            [record], updates=updates, position=replace(position, refused=head, explanation=text)
        )

    def _decision(
        self, commit: CommitSha, verb: Verb, plan: Digest | None, result: str, detail: JsonObject
    ) -> AuditRecord:
        return AuditRecord(
            time=self._clock.now(),
            repository=self._context.repository,
            commit=commit,
            actor=self._context.actor,
            verb=verb,
            phase=Phase.DECISION,
            plan=plan,
            result=result,
            detail=detail,
        )


def _problem_json(problem: Problem) -> JsonObject:
    return {
        "path": problem.path,
        "line": problem.span.line if problem.span else None,
        "column": problem.span.column if problem.span else None,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
