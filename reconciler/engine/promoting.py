"""Promoting: looks at every moving rollout each second, decides, and writes down where it goes.

Separate from the passes (reconciling.py), which make positions true and do not choose them. The
invariants: a position changes only together with the record of the evidence for it; one that was
left while somebody looked is not moved; and this never writes to a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from reconciler import __version__
from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.errors import FairleadError
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.advancing import Decision, Move, step_name
from reconciler.core.rollouts.courses import Course
from reconciler.core.rollouts.evidence import Evidence, decide, evidence_json
from reconciler.core.rollouts.states import RolloutState, state_json
from reconciler.core.rollouts.trail import Point, trail_json
from reconciler.core.verdicts import Verdict, verdict_json
from reconciler.engine.books import Books
from reconciler.engine.looking import Looker
from reconciler.engine.performing import Context
from reconciler.engine.positions import Positions
from reconciler.engine.reconciling import Reconciler
from reconciler.ports import Clock

log = structlog.get_logger()

LOOK_SECONDS = 1.0

SAVE_SECONDS = 5.0
"""How often counts are written down while nothing fails. What is lost with the process is counted
again from the replicas' own counters."""


@dataclass(frozen=True, slots=True)
class Look:
    """The newest look at a rollout, as people are shown it."""

    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    decision: Decision
    trail: tuple[Point, ...]


class Promoter:
    """Moves rollouts. `on_move` is told of each move; it must not block."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        looker: Looker,
        books: Books,
        clock: Clock,
        context: Context,
        on_move: Callable[[], None],
    ) -> None:
        self._reconciler = reconciler
        self._positions: Positions = reconciler.positions
        self._looker = looker
        self._books = books
        self._clock = clock
        self._context = context
        self._on_move = on_move
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._saved: dict[str, tuple[float, object]] = {}
        self.looks: dict[str, Look] = {}

    async def run(self) -> None:
        """Look for ever. Ends only by cancellation or a bug."""
        try:
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                self._begin_looks()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._looker.close()

    def _begin_looks(self) -> None:
        for name in [name for name, task in self._tasks.items() if task.done()]:
            self._tasks.pop(name).result()
        course = self._reconciler.course
        states = self._positions.states()
        active = {name for name, state in states.items() if state.active}
        for name in self.looks.keys() - active:
            del self.looks[name]
        self._looker.forget_all_but(active)
        for name in sorted(active - self._tasks.keys()):
            # A slow cluster delays its own rollouts only.
            if course is not None and name in course.states:
                looking = self._look(course, states[name])
                self._tasks[name] = asyncio.create_task(looking, name=f"rollout {name}")

    async def _look(self, course: Course, state: RolloutState) -> None:
        name = state.rollout
        try:
            seen = await self._looker.look(course, state, now=self._positions.now)
            if seen is None:
                return
            evidence, measurement = seen
            verdicts, decision = decide(evidence)
            trail = measurement.noted(evidence, verdicts)
            self.looks[name] = look = Look(evidence, verdicts, decision, trail)
            if decision.move is Move.HOLD:
                await self._save(evidence.state)
            elif await self._move(course, look):
                self._on_move()
        except FairleadError as error:
            # Such as a full disk: the position stays, and so does what the clusters run.
            log.warning("rollout.look_failed", rollout=name, reason=error.message)

    async def _save(self, state: RolloutState) -> None:
        """Write the counts down: at once where counting began, or another request has failed."""
        now = self._clock.monotonic()
        failed = sum(count.candidate.counted.errors for count in state.counts.values())
        news = (state.place, state.counts.keys(), failed)
        at, known = self._saved.get(state.rollout, (0.0, None))
        if not state.counts or (news == known and now - at < SAVE_SECONDS):
            return
        async with self._positions.moving:
            if self._stands(state):
                await self._books.write([], journal={state.rollout: state_json(state)})
                self._saved[state.rollout] = now, news

    async def _move(self, course: Course, look: Look) -> bool:
        evidence, after = look.evidence, look.decision.state
        async with self._positions.moving:
            if not self._stands(evidence.state) or self._reconciler.course is not course:
                return False
            await self._books.write(
                [self._record(course, look)], journal={after.rollout: state_json(after)}
            )
        log.info(
            "rollout.moved",
            rollout=after.rollout,
            move=look.decision.move.value,
            step=step_name(evidence.state, evidence.spec),
            why=look.decision.why,
        )
        return True

    def _stands(self, state: RolloutState) -> bool:
        now = self._positions.states().get(state.rollout)
        return now is not None and now.place == state.place and now.failure == state.failure

    def _record(self, course: Course, look: Look) -> AuditRecord:
        evidence, decision = look.evidence, look.decision
        detail: JsonObject = {
            "rollout": decision.state.rollout,
            "step": step_name(evidence.state, evidence.spec),
            "why": decision.why,
            "evidence": evidence_json(evidence),
            "verdicts": [verdict_json(verdict) for verdict in look.verdicts],
            "state": state_json(decision.state),
            "trail": trail_json(look.trail),
            "release": __version__,
        }
        now, commit, move = self._clock.now(), course.target.commit, decision.move.value
        return self._context.decision(now, commit, Verb.ROLLOUT, result=move, detail=detail)
