"""Executing a plan: stages, waves, health between them, and the way back when one fails.

Separate from performing.py, which writes single changes, and from planning.py, which chose them:
no choice is made here. The invariant: a unit is recorded as settled only when all of its objects
are as declared and healthy; a unit that failed is recorded as held before it is put back, so that
a crash in between cannot bring the failed state again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import chain

import structlog

from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.desired import Unit
from reconciler.core.errors import FairleadError, LeadershipLost, Terminal, Transient, Unavailable
from reconciler.core.health import Condition, Health
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName, short
from reconciler.core.ledger import LedgerUpdate, Position, Standing, UnitState
from reconciler.core.ordering import Wave, wave_of, write_order
from reconciler.core.outstanding import NO_OBJECTS, Place
from reconciler.core.plans import Change
from reconciler.core.restoring import restoration
from reconciler.engine.books import Books
from reconciler.engine.concurrency import bounded, first_of, together
from reconciler.engine.performing import CHUNK, Context, Outcome, Performer
from reconciler.engine.sessions import ClusterSession
from reconciler.ports import Clock

log = structlog.get_logger()

BATCHES_AT_ONCE = 2
"""While one batch is on its way to the API server, the intents of the next are being written."""


class Superseded(Exception):
    """A newer commit arrived; what is left is for its plan."""


class _Failed(Exception):
    def __init__(self, culprits: Mapping[Place, str]) -> None:
        super().__init__(str(culprits))
        self.culprits = culprits


@dataclass(frozen=True, slots=True)
class Group:
    """Units that are applied together: those of one commit, the newest or an earlier one.

    `head` is the commit that is being made true, `origin` the one that changed these units.

    When one of them fails, all are put back, unless they are not `whole`: the very first sync has
    no earlier state to go back to, so there only what failed is put back.
    """

    head: CommitSha
    origin: CommitSha
    units: Mapping[Place, Digest]
    changes: tuple[tuple[ClusterName, Change], ...]
    whole: bool = True

    def parted(self, failed: Iterable[Place]) -> tuple[Group, Group]:
        """The failed units, and the others."""
        places = set(failed)
        return self._only(places), self._only(self.units.keys() - places)

    def _only(self, places: AbstractSet[Place]) -> Group:
        return replace(
            self,
            units={place: digest for place, digest in self.units.items() if place in places},
            changes=tuple((c, change) for c, change in self.changes if (c, change.unit) in places),
        )


@dataclass(slots=True)
class _Progress:
    """What a group has written, and what of it an earlier pass wrote that is not healthy yet."""

    lagging: Sequence[_Lagging]
    written: set[tuple[ClusterName, ObjectKey, Wave]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Lagging:
    """An object that is as declared already, but that its stage and wave must wait for."""

    stage: int
    wave: Wave
    cluster: ClusterName
    unit: UnitName
    key: ObjectKey


class Executor:
    """Executes groups of one plan. `superseded` is set when a newer commit wants its turn.

    `resumed` are units that an earlier pass did not finish: it may not have seen them healthy.
    """

    def __init__(
        self,
        *,
        sessions: Mapping[ClusterName, ClusterSession],
        books: Books,
        clock: Clock,
        superseded: asyncio.Event,
        resumed: Mapping[Place, Unit],
        settled_unit: Callable[[Place], Awaitable[Unit | None]],
        position_after: Callable[[Sequence[LedgerUpdate]], Position | None],
        health_seconds: float,
    ) -> None:
        # The sessions of now: one that ends takes its tenure along, and what is planned for it.
        self._sessions = dict(sessions)
        self._books = books
        self._clock = clock
        self._superseded = superseded
        self._resumed = resumed
        self._settled_unit = settled_unit
        self._position_after = position_after
        self._health_seconds = health_seconds
        self._performer = Performer(books, clock)

    async def execute(self, group: Group, context: Context) -> bool:
        """Carry out a group. True when it settled, False when it failed and was put back.

        Raises Superseded between two writes, and Transient when a server or the books are away:
        either way the next plan carries on from what the ledger says.
        """
        progress = _Progress(tuple(self._lagging(group)))
        stages = sorted(
            {change.stage for _, change in group.changes} | {o.stage for o in progress.lagging}
        )
        ahead = [(stage, wave) for stage in stages for wave in Wave]
        while ahead:
            try:
                await self._run_wave(group, *ahead[0], context, progress)
            except _Failed as failure:
                failed, others = group.parted(failure.culprits)
                undone = group if group.whole else failed
                await self._hold(undone, failure.culprits, context)
                await self._put_back(undone, context)
                if group.whole or not others.units:
                    return False
                group = others
            else:
                ahead.pop(0)
        await self._settle(group, context)
        return True

    def _lagging(self, group: Group) -> Iterable[_Lagging]:
        changed = {(cluster, change.key) for cluster, change in group.changes}
        for cluster, name in group.units:
            unit = self._resumed.get((cluster, name))
            for key, manifest in unit.manifests.items() if unit else ():
                live = self._session(cluster).observer.get(key)
                if (cluster, key) not in changed and live and not _holds(live.health):
                    wave = wave_of(before=manifest, after=manifest)
                    yield _Lagging(unit.stage if unit else 0, wave, cluster, name, key)

    def _session(self, cluster: ClusterName) -> ClusterSession:
        if cluster not in self._sessions:
            raise LeadershipLost(f"nobody here leads {cluster} any more")
        return self._sessions[cluster]

    async def _run_wave(
        self, group: Group, stage: int, wave: Wave, context: Context, progress: _Progress
    ) -> None:
        by_cluster: dict[ClusterName, list[Change]] = defaultdict(list)
        for cluster, change in group.changes:
            if (change.stage, change.wave) == (stage, wave) and (
                (cluster, change.key, wave) not in progress.written
            ):
                by_cluster[cluster].append(change)
        lagging: dict[ClusterName, dict[ObjectKey, UnitName]] = defaultdict(dict)
        for item in progress.lagging:
            if (item.stage, item.wave) == (stage, wave) and (
                (item.cluster, item.unit) in group.units
            ):
                lagging[item.cluster][item.key] = item.unit

        async def run(cluster: ClusterName) -> None:
            session, changes = self._session(cluster), by_cluster[cluster]
            await session.observer.watch_types({change.type for change in changes})

            async def write(batch: Sequence[Change]) -> None:
                if self._superseded.is_set():
                    raise Superseded
                outcomes = await self._performer.perform(session, batch, context)
                progress.written |= {(cluster, o.change.key, wave) for o in outcomes if not o.error}
                _require_success(cluster, outcomes)

            for ordered in _in_order(changes, wave):
                await bounded(_batches(ordered), write, limit=BATCHES_AT_ONCE)
            written = {c.key: c.unit for c in changes if c.desired is not None}
            await self._await_health(session, written | lagging[cluster])

        await together([run(cluster) for cluster in sorted({*by_cluster, *lagging})])

    async def _await_health(
        self, session: ClusterSession, units: Mapping[ObjectKey, UnitName]
    ) -> None:
        """Wait until these objects are healthy, have failed, or took too long."""
        if not units:
            return
        watch = _HealthWatch(session, units)
        with session.observer.listening(watch.look):
            for key in units:
                watch.look(key)
            await first_of(
                watch.done.wait(),
                self._superseded.wait(),
                self._clock.sleep(self._health_seconds),
            )
        if watch.failed:
            raise _Failed(watch.failed)
        if not watch.pending:
            return
        if self._superseded.is_set():
            raise Superseded
        raise _Failed(watch.late(self._health_seconds))

    async def _settle(self, group: Group, context: Context) -> None:
        states: dict[ClusterName, list[UnitState]] = defaultdict(list)
        forgotten: dict[ClusterName, list[UnitName]] = defaultdict(list)
        for (cluster, unit), digest in group.units.items():
            if digest == NO_OBJECTS:
                forgotten[cluster].append(unit)
            else:
                states[cluster].append(UnitState(unit, Standing.SETTLED, group.head, digest))
        clusters = sorted({*states, *forgotten})
        records = [
            self._decision(group, Verb.SETTLE, context, cluster=cluster, units=len(states[cluster]))
            for cluster in clusters
        ]
        updates = [
            LedgerUpdate(c, units=tuple(states[c]), forget_units=tuple(forgotten[c]))
            for c in clusters
        ]
        await self._books.write(records, updates=updates, position=self._position_after(updates))
        log.info("group.settled", commit=short(group.head), units=len(group.units))

    async def _hold(self, group: Group, culprits: Mapping[Place, str], context: Context) -> None:
        """Record who failed before anything is undone: from now on, no restart retries it."""
        states: dict[ClusterName, list[UnitState]] = defaultdict(list)
        records: list[AuditRecord] = []
        for (cluster, unit), digest in group.units.items():
            known = self._books.ledger(cluster).units.get(unit)
            explanation = culprits.get((cluster, unit))
            states[cluster].append(
                replace(
                    known or UnitState(unit, Standing.PROGRESSING),
                    standing=Standing.HELD if explanation else Standing.WAITING,
                    refused=digest,
                    refused_commit=group.head,
                    explanation=explanation or "",
                    heading_for=None,
                )
            )
            if explanation:
                records.append(
                    self._decision(
                        group, Verb.HOLD, context, cluster=cluster, unit=unit, why=explanation
                    )
                )
                log.warning("unit.held", cluster=cluster, unit=unit, reason=explanation)
        updates = [LedgerUpdate(c, units=tuple(held)) for c, held in states.items()]
        await self._books.write(records, updates=updates)

    async def _put_back(self, group: Group, context: Context) -> None:
        undo = replace(context, plan=None)
        for place in sorted(group.units):
            await self.restore(place, undo)

    async def restore(self, place: Place, context: Context) -> None:
        """Put a unit back to its settled state, as far as the cluster lets us."""
        cluster, name = place
        session = self._session(cluster)
        if session.observer.stale:
            raise Unavailable(session.observer.stale)
        state = self._books.ledger(cluster).units[name]
        commit = state.commit or state.refused_commit
        assert commit is not None
        try:
            settled = await self._settled_unit(place)
        except Terminal as error:
            # Left as it is: to guess what it was would be worse, and the others need the daemon.
            log.warning("unit.not-restored", cluster=cluster, unit=name, reason=error.message)
            return
        view = session.view(self._clock.monotonic())
        changes = restoration(name, settled, view=view, commit=commit)
        for wave in Wave:
            batches = _in_order([c for c in changes if c.wave is wave], wave)
            for batch in chain.from_iterable(map(_batches, batches)):
                outcomes = await self._performer.perform(session, batch, context)
                for outcome in outcomes:
                    if isinstance(outcome.error, Transient):
                        raise outcome.error
                    if outcome.error:
                        key, reason = str(outcome.change.key), outcome.error.message
                        log.error("unit.not-restored", cluster=cluster, object=key, reason=reason)

    def _decision(
        self,
        group: Group,
        verb: Verb,
        context: Context,
        *,
        cluster: ClusterName,
        unit: UnitName | None = None,
        units: int | None = None,
        why: str = "",
    ) -> AuditRecord:
        return context.decision(
            self._clock.now(),
            group.head,
            verb,
            cluster=cluster,
            unit=unit,
            result="held" if why else "ok",
            detail={"explanation": why} if why else {"units": units},
        )


class _HealthWatch:
    """Which of some objects are not healthy yet; looks only at what an event names."""

    def __init__(self, session: ClusterSession, units: Mapping[ObjectKey, UnitName]) -> None:
        self._session = session
        self._units = units
        self.pending = dict.fromkeys(units, "not seen yet")
        self.failed: dict[Place, str] = {}
        self.done = asyncio.Event()

    def look(self, key: ObjectKey) -> None:
        if key not in self.pending:
            return
        live = self._session.observer.get(key)
        if live is None:
            self.pending[key] = "not there"
            return
        health = live.health
        self.pending[key] = health.explanation
        if health.condition is Condition.FAILED:
            self.failed[self._session.name, self._units[key]] = f"{key}: {health.explanation}"
            self.done.set()
        elif _holds(health):
            del self.pending[key]
            if not self.pending:
                self.done.set()
        if not self.pending:
            self.done.set()

    def late(self, seconds: float) -> dict[Place, str]:
        return {
            (self._session.name, self._units[key]): (
                f"{key} is not healthy after {seconds:.0f} s: {explanation}"
            )
            for key, explanation in self.pending.items()
        }


def _holds(health: Health) -> bool:
    return health.condition is Condition.CURRENT or not health.gate


def _in_order(changes: Sequence[Change], wave: Wave) -> Iterable[Sequence[Change]]:
    by_key = {change.key: change for change in changes}
    return [[by_key[key] for key in keys] for keys in write_order(by_key, wave)]


def _batches(changes: Sequence[Change]) -> Sequence[Sequence[Change]]:
    return [changes[start : start + CHUNK] for start in range(0, len(changes), CHUNK)]


def _require_success(cluster: ClusterName, outcomes: Iterable[Outcome]) -> None:
    """Raise the first error that may pass by itself, else all the others as a failure."""
    errors: dict[Place, FairleadError] = {}
    for outcome in outcomes:
        if isinstance(outcome.error, Transient):
            raise outcome.error
        if outcome.error:
            errors.setdefault((cluster, outcome.change.unit), outcome.error)
    if errors:
        raise _Failed({place: error.message for place, error in errors.items()})
