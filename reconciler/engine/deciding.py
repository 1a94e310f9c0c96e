"""Deciding about commits, durably: accepted, refused, applied.

Separate from the pass (reconciling.py), which finds out what is to be decided. The invariant: the
position and the units change together with the record that says why; a refusal is written once,
however often the same commit is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace

import structlog

from reconciler.core.approvals.judging import Judgement, judgement_json
from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.ledger import LedgerUpdate, Position, Standing, UnitState
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.outstanding import Outstanding, Place
from reconciler.core.plans import Plan
from reconciler.core.presenting.access_told import access_detail
from reconciler.core.presenting.impact import state_access_changes
from reconciler.core.problems import Problem, errors_among
from reconciler.core.refusing import culprits, refusal_text, refusal_updates
from reconciler.core.rollouts.courses import Course
from reconciler.core.secret_versions import Pin
from reconciler.engine.books import Books
from reconciler.engine.executing import Group
from reconciler.engine.performing import Context
from reconciler.ports import Clock

log = structlog.get_logger()

MOST_LISTED = 50
"""Problems and refusals that a record lists. A commit may have thousands."""


class Decisions:
    """Writes what is decided about commits."""

    def __init__(self, books: Books, clock: Clock, context: Context) -> None:
        self._books = books
        self._clock = clock
        self._context = context

    async def accept(
        self,
        course: Course,
        made: Plan,
        groups: Sequence[Group],
        *,
        before: DesiredState | None,
        approved: Judgement | None = None,
        pins: Sequence[Pin] = (),
    ) -> None:
        """Record that the commit is in force instead of `before`, ahead of anything of it."""
        desired = course.state
        position = self._books.position
        accepted = position.accepted
        updates = self._progressing(groups)
        records: list[AuditRecord] = []
        if desired.commit != position.accepted:
            detail: JsonObject = {
                "changes": sum(len(c.changes) for c in made.clusters),
                **access_detail(state_access_changes(before, course.target)),
            }
            detail |= {"approved": judgement_json(approved)} if approved else {}
            detail |= {"pins": [asdict(pin) for pin in pins]} if pins else {}
            records.append(self._decision(desired.commit, Verb.ACCEPT, made.digest, "ok", detail))
            records += self._broken(before, course.target, approved)
            position = replace(_unjudged(position), accepted=desired.commit)
        if not groups:
            position = self.applied(position, course, updates)
        records += [self._revision(course, name, body) for name, body in course.news.items()]
        if records or updates or pins or position != self._books.position:
            await self._books.write(
                records, updates=updates, position=position, journal=course.news, pins=pins
            )
        if desired.commit != accepted:
            log.info("commit.accepted", commit=desired.commit, plan=made.digest)

    def _broken(
        self, before: DesiredState | None, after: DesiredState, approved: Judgement | None
    ) -> Iterator[AuditRecord]:
        """What is given in an emergency: told apart, so that nobody overlooks it."""
        known = before.emergencies if before else {}
        for name, glass in after.emergencies.items():
            if known.get(name) == glass:
                continue
            told = glass.spec.model_dump(mode="json", by_alias=True)
            who: list[JsonValue] = [a.person[0] for a in approved.counted] if approved else []
            log.critical("glass.broken", commit=after.commit, name=name, approved=who, **told)
            detail: JsonObject = {"name": name, **told, "approved": who}
            yield self._decision(after.commit, Verb.BREAK_GLASS, None, "given", detail)

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
                    heading_for=group.origin,
                )
                if state != known:
                    states.setdefault(cluster, []).append(state)
        return [LedgerUpdate(cluster, units=tuple(units)) for cluster, units in states.items()]

    def _revision(self, course: Course, name: str, body: JsonObject | None) -> AuditRecord:
        """What the commit does to a rollout, from which all of its later positions follow."""
        commit = course.target.commit
        detail: JsonObject = {"rollout": name, "state": body}
        return self._decision(commit, Verb.ROLLOUT, None, "revise", detail)

    def applied(
        self, position: Position, course: Course, updates: Sequence[LedgerUpdate]
    ) -> Position:
        """The position with every cluster in which all units are settled moved up to the commit.

        Not where a rollout is still on its way, or had to go back.
        """
        desired = course.state
        unfinished = {cluster for cluster, _ in course.staged.unfinished}
        applied, since = dict(position.applied), dict(position.since)
        for cluster in self._books.clusters:
            if applied.get(cluster) == desired.commit or cluster in unfinished:
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

    async def note_applied(self, course: Course) -> None:
        """Move the clusters up in which everything is settled by now."""
        position = self.applied(self._books.position, course, [])
        if position != self._books.position:
            await self._books.write([], position=position)

    async def forget_refusal(self, head: CommitSha) -> None:
        """A refused commit that was taken from the branch again is not shown as its head."""
        position = self._books.position
        if head == position.accepted and position != _unjudged(position):
            await self._books.write([], position=_unjudged(position))

    async def hold(
        self, judgement: Judgement, *, before: DesiredState | None, after: DesiredState
    ) -> None:
        """Write down, once, whose approval a commit waits for. Nothing of it was applied."""
        position, head = self._books.position, judgement.candidate.head.sha
        text = judgement.explanation
        if position.held == head and position.waits_for == text:
            return
        log.warning("commit.held", commit=head, reason=text)
        access = access_detail(state_access_changes(before, after))
        detail: JsonObject = {"explanation": text, **judgement_json(judgement), **access}
        record = self._decision(head, Verb.AWAIT, None, "held", detail)
        held = replace(_unjudged(position), held=head, waits_for=text)
        await self._books.write([record], position=held)

    async def refuse_invalid(self, head: CommitSha, problems: Sequence[Problem]) -> None:
        """Refuse a commit that did not validate."""
        first, *others = errors_among(problems)
        more = f" (and {len(others)} more)" if others else ""
        await self.refuse(
            head,
            "invalid",
            f"{first.location} {first.message}{more}",
            detail={"problems": [_problem_json(p) for p in problems[:MOST_LISTED]]},
        )

    async def refuse_plan(
        self, made: Plan, work: Sequence[Outstanding], *, together: AbstractSet[Place]
    ) -> None:
        """Refuse the commit of a plan. Units of `together` wait for those at fault."""
        reasons: list[JsonValue] = [f"{c}: {u}: {why}" for (c, u), why in culprits(made).items()]
        await self.refuse(
            made.head,
            "refused",
            refusal_text(made),
            plan=made.digest,
            detail={"refusals": reasons[:MOST_LISTED]},
            updates=self._refusal(made, work, together),
        )

    async def set_aside(self, made: Plan, work: Sequence[Outstanding]) -> None:
        """Note which units were refused, each by itself, without refusing the commit."""
        await self._books.write([], updates=self._refusal(made, work, frozenset()))

    def _refusal(
        self, made: Plan, work: Sequence[Outstanding], together: AbstractSet[Place]
    ) -> Sequence[LedgerUpdate]:
        ledgers = {name: self._books.ledger(name) for name in self._books.clusters}
        return refusal_updates(made, work, ledgers, together=together)

    async def refuse(
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
            [record],
            updates=updates,
            position=replace(_unjudged(position), refused=head, explanation=text),
        )

    def _decision(
        self, commit: CommitSha, verb: Verb, plan: Digest | None, result: str, detail: JsonObject
    ) -> AuditRecord:
        now = self._clock.now()
        return self._context.decision(now, commit, verb, plan=plan, result=result, detail=detail)


def _unjudged(position: Position) -> Position:
    """As it was before a newer commit than the one in force was looked at."""
    return replace(position, refused=None, explanation="", held=None, waits_for="")


def _problem_json(problem: Problem) -> JsonObject:
    return {
        "path": problem.path,
        "line": problem.span.line if problem.span else None,
        "column": problem.span.column if problem.span else None,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }
