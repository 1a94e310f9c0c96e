"""The status of a running engine.

Separate from core/standing.py, which orders the facts that are gathered here. The invariant:
gathering reads memory only, so that asking often costs the clusters nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime

from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger
from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.reporting import RolloutStatus, rollout_status
from reconciler.core.rollouts.states import RolloutState
from reconciler.core.standing import ClusterFacts, Status, Unfinished, cluster_status
from reconciler.engine.driving import Engine
from reconciler.engine.leading import NOT_CONNECTED
from reconciler.ports import Clock

SAMPLE_SECONDS = 5.0
"""How often the troubles of clusters are looked at: `troubleSince` is as exact as this."""


class EngineStatus:
    """Asks one engine. Remembers since when a cluster has been in trouble."""

    def __init__(self, engine: Engine, *, repository: str, clock: Clock) -> None:
        self.engine = engine
        self._repository = repository
        self.clock = clock
        self._since: dict[ClusterName, datetime] = {}

    async def sample_for_ever(self) -> None:
        while True:
            self.sample()
            await self.clock.sleep(SAMPLE_SECONDS)

    def sample(self) -> None:
        """Note which clusters are in trouble now."""
        for name in self.engine.books.clusters:
            if self.trouble(name):
                self._since.setdefault(name, self.clock.now())
            else:
                self._since.pop(name, None)

    def trouble(self, cluster: ClusterName) -> str:
        """Why a cluster cannot be seen; empty when it can."""
        session = self.engine.leader.sessions.get(cluster)
        if session is not None:
            return session.observer.stale
        return self.engine.leader.troubles.get(cluster, NOT_CONNECTED)

    def unready(self) -> tuple[str, ...]:
        """Why nothing can be said of the clusters yet: empty from then on, even in trouble."""
        engine = self.engine
        reasons = [
            f"cluster {name} is {NOT_CONNECTED}"
            for name in sorted(engine.books.clusters)
            if self.trouble(name) == NOT_CONNECTED
        ]
        if engine.branch.head is None:
            why = f": {engine.branch.trouble}" if engine.branch.trouble else ""
            reasons.insert(0, f"the repository was not fetched yet{why}")
        return tuple(reasons)

    def fetch_age(self) -> float | None:
        """Seconds since the remote last answered."""
        fetched = self.engine.branch.fetched_at
        return None if fetched is None else self.clock.monotonic() - fetched

    def status(self) -> Status:
        self.sample()
        engine, position = self.engine, self.engine.books.position
        accepted = engine.reconciler.accepted
        return Status(
            repository=self._repository,
            time=self.clock.now().isoformat(),
            running=True,
            head=engine.branch.head,
            accepted=position.accepted,
            refused=position.refused,
            explanation=position.explanation,
            held=position.held,
            waits_for=position.waits_for,
            fetch_age_seconds=self.fetch_age(),
            fetch_trouble=engine.branch.trouble,
            clusters=tuple(
                cluster_status(self._facts(name), position) for name in sorted(self._clusters())
            ),
            notices=(
                *engine.reconciler.pinning.notices(accepted),
                *(accepted.notices if accepted else ()),
            ),
            rollouts=tuple(self._rollouts()),
        )

    def _rollouts(self) -> Iterator[RolloutStatus]:
        engine = self.engine
        accepted = engine.reconciler.accepted
        looks = engine.rollouts.looks if engine.rollouts else {}
        for name, state in sorted(engine.reconciler.positions.states().items()):
            rollout = accepted.rollouts.get(name) if accepted else None
            if rollout is None:
                continue
            look = looks.get(name)
            if look is None:
                yield rollout_status(rollout, state, why=self._waits(state))
                continue
            yield rollout_status(
                rollout,
                state,
                # What moved it is over: it waits for the next look to say what for.
                why=look.decision.why if look.decision.move is Move.HOLD else "",
                looked_at=look.evidence.now,
                verdicts=look.verdicts,
                exposures=look.evidence.samples.exposures,
            )

    def _waits(self, state: RolloutState) -> str:
        """Why a rollout is not where it stands, though nothing moves it."""
        course, loops = self.engine.reconciler.course, self.engine.rollouts
        return "; ".join(loops.loader.waits(course, state)) if loops and course else ""

    def _clusters(self) -> AbstractSet[ClusterName]:
        """Those of the settings, and those that the commit in force wants something in."""
        accepted = self.engine.reconciler.accepted
        wanted = {cluster for cluster, _ in accepted.units} if accepted else set()
        return self.engine.books.clusters | wanted

    def _facts(self, name: ClusterName) -> ClusterFacts:
        engine, now = self.engine, self.clock.monotonic()
        if name not in engine.books.clusters:
            return ClusterFacts(Ledger(name), "the daemon has no settings for this cluster")
        session, since = engine.leader.sessions.get(name), self._since.get(name)
        contested = (
            [key for key, past in session.corrections.items() if past.contested(now)]
            if session
            else []
        )
        plan = engine.reconciler.plan
        waiting = [w for c in plan.clusters if c.cluster == name for w in c.waiting] if plan else []
        return ClusterFacts(
            ledger=engine.books.ledger(name),
            trouble=self.trouble(name),
            trouble_since=since.isoformat() if since else "",
            leading=session is not None,
            contested=tuple(contested),
            waiting=tuple(waiting),
            unfinished=tuple(self._unfinished(name)),
        )

    def _unfinished(self, cluster: ClusterName) -> Iterator[Unfinished]:
        course = self.engine.reconciler.course
        if course is None:
            return
        for (where, unit), words in course.staged.unfinished.items():
            if where == cluster:
                state = course.states[unit.removeprefix("rollout/")]
                yield Unfinished(unit, words, taken_back=state.candidate is None)
