"""Loading: each second, replicas of model servers get exactly the adapters and prompts they need.

Separate from the passes, which write objects, since neither is one. The invariants: nothing is
asked of a replica before it is in the audit log; and an adapter is unloaded only after the clusters
are where the rollout stands, and the route has not named it for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.desired import Unit
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.outstanding import Place
from reconciler.core.rollouts.adapters import Shelf, shelf_of
from reconciler.core.rollouts.courses import Course
from reconciler.core.rollouts.placing import placement
from reconciler.core.rollouts.staging import missing_words, runtime_name
from reconciler.core.rollouts.states import RolloutState, Target
from reconciler.engine.books import Books
from reconciler.engine.equipping import Rack, Task
from reconciler.engine.leading import Leader
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.performing import Context
from reconciler.engine.reconciling import Reconciler
from reconciler.engine.sessions import ClusterSession
from reconciler.engine.sighting import is_settled
from reconciler.engine.uptimes import Uptime
from reconciler.ports import Clock, Replicas

log = structlog.get_logger()

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where a rollout stands in one cluster, by the journal and by what the passes make true."""

    course: Course
    state: RolloutState
    unit: Unit
    session: ClusterSession

    @property
    def place(self) -> Place:
        return self.unit.cluster, self.unit.name

    @property
    def course_state(self) -> RolloutState:
        return self.course.states[self.state.rollout]

    def targets(self) -> list[Target]:
        """What must be loaded for the one and for the other, what serves first."""
        spec = self.course.target.rollouts[self.state.rollout].spec
        return [
            target
            for state in (self.state, self.course_state)
            for target in placement(state, spec, wave=self.unit.stage).loaded
        ]


@dataclass(frozen=True, slots=True)
class _Errand:
    """A look at a rack, for the rollout in a place, and on behalf of a commit."""

    rack: Rack
    shelf: Shelf
    place: Place
    commit: CommitSha
    session: ClusterSession
    may_unload: bool


class Loader:
    """Loads and unloads. `on_loaded` is told when a position need not wait any longer; it must not
    block. Implements Uptimes."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        leader: Leader,
        replicas: Mapping[ClusterName, Replicas],
        books: Books,
        clock: Clock,
        context: Context,
        on_loaded: Callable[[], None],
    ) -> None:
        self._reconciler = reconciler
        self._positions = reconciler.positions
        self._leader = leader
        self._replicas = replicas
        self._books = books
        self._clock = clock
        self._context = context
        self._on_loaded = on_loaded
        self._racks: dict[Place, Rack] = {}
        self._left: dict[Rack, Place] = {}
        """Those of rollouts that have gone, or lead their alias elsewhere now."""
        self._tasks: dict[Place | Rack, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look for ever. Ends only by cancellation or a bug."""
        try:
            while True:
                self._begin_looks()
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            racks = (*self._racks.values(), *self._left)
            await asyncio.gather(*(rack.close() for rack in racks))

    def uptime(
        self,
        unit: Unit,
        target: Target,
        observer: ClusterObserver,  # noqa: ARG002 - other runtimes look at objects
    ) -> Uptime:
        """By the replicas' own listings, not by objects."""
        rack = self._racks.get((unit.cluster, unit.name))
        return rack.uptime(target) if rack is not None else Uptime(trouble="not looked at yet")

    def waits(self, course: Course, state: RolloutState) -> tuple[str, ...]:
        """What a rollout waits for before its alias may lead where it stands, by cluster."""
        found = []
        for place, _ in course.target.places_of(state.rollout):
            if missing := course.staged.held.get(place):
                rack = self._racks.get(place)
                refused = rack.uptime(state.stable).refused if rack and state.stable else ""
                found.append(f"cluster {place[0]}: {refused or missing_words(missing)}")
        return tuple(found)

    def _begin_looks(self) -> None:
        for key in [key for key, task in self._tasks.items() if task.done()]:
            self._tasks.pop(key).result()
        course = self._reconciler.course
        if course is None:
            return
        stands = {stand.place: stand for stand in self._stands(course)}
        for place in self._racks.keys() - stands.keys() - self._tasks.keys():
            self._leave(self._racks.pop(place), place)
            self._positions.loaded.pop(place, None)
        for place in stands.keys() - self._tasks.keys():
            # A slow server delays its own adapters only.
            looking = self._look(stands[place])
            self._tasks[place] = asyncio.create_task(looking, name=f"adapters {place}")
        for rack, place in self._left.items():
            session = self._leader.sessions.get(place[0])
            if rack not in self._tasks and session is not None:
                clearing = self._clear(rack, place, course, session)
                self._tasks[rack] = asyncio.create_task(clearing, name=f"adapters left {place}")

    def _stands(self, course: Course) -> Iterator[_Stand]:
        states = self._positions.states()
        for name in course.states.keys() & states.keys():
            if runtime_name(course.target, course.target.rollouts[name]) in ("lora", "prompt"):
                for _, unit in course.target.places_of(name):
                    if session := self._leader.sessions.get(unit.cluster):
                        yield _Stand(course, states[name], unit, session)

    async def _look(self, stand: _Stand) -> None:
        place = stand.place
        shelf = self._shelf(stand)
        rack = self._racks.get(place)
        if rack is not None and rack.shelf is not None:
            shelf = shelf.remembering(rack.shelf)
        if rack is not None and rack.shelf is not None and not rack.shelf.is_beside(shelf):
            self._leave(rack, place)
            rack = None
        if rack is None:
            rack = self._racks[place] = Rack(self._replicas[stand.unit.cluster], self._clock)
        commit = stand.course.target.commit
        in_place = self._is_in_place(stand)
        if not await self._run(_Errand(rack, shelf, place, commit, stand.session, in_place)):
            return
        self._positions.loaded[place] = rack.loaded()
        held = stand.course.staged.held.get(place)
        if held is not None and held <= self._positions.loaded[place]:
            self._on_loaded()

    def _leave(self, rack: Rack, place: Place) -> None:
        if rack.shelf is not None:  # else nobody was ever asked
            self._left[rack] = place

    async def _clear(
        self, rack: Rack, place: Place, course: Course, session: ClusterSession
    ) -> None:
        """Unload what a rollout has left behind, unless another one has taken it over."""
        assert rack.shelf is not None, "a rack is left after a look"
        ledger = self._books.ledger(place[0])
        entries = [entry for entry in ledger.entries.values() if entry.unit == place[1]]
        shelf = rack.shelf.emptied(entries)
        others = (other.shelf for where, other in self._racks.items() if where[0] == place[0])
        taken_over = any(other is not None and other.is_beside(shelf) for other in others)
        errand = _Errand(rack, shelf, place, course.target.commit, session, may_unload=True)
        done = taken_over or (await self._run(errand) and rack.is_clear())
        if done:
            rack.cancel()
            del self._left[rack]

    async def _run(self, errand: _Errand) -> bool:
        """Look at a rack, and do what follows from it. False when nobody could be asked."""
        rack = errand.rack
        try:
            await rack.look(errand.shelf)
            tasks = rack.tasks(may_unload=errand.may_unload)
            if tasks:
                errand.session.tenure.require()
                await self._record(errand, tasks)
                await rack.carry_out(tasks)
            rack.trouble = ""
        except FairleadError as error:
            rack.trouble = error.message
            return False
        return True

    def _shelf(self, stand: _Stand) -> Shelf:
        rollout = stand.course.target.rollouts[stand.state.rollout]
        ledger = self._books.ledger(stand.unit.cluster)
        known = (ledger.entries.get(key) for key in stand.unit.manifests)
        entries = [entry for entry in known if entry is not None]
        return shelf_of(stand.course.target, rollout, stand.targets(), entries)

    def _is_in_place(self, stand: _Stand) -> bool:
        """Whether the cluster is where the rollout stands."""
        known = self._books.ledger(stand.unit.cluster).units.get(stand.unit.name)
        return is_settled(stand.course, stand.state, stand.unit, known)

    async def _record(self, errand: _Errand, tasks: Sequence[Task]) -> None:
        """Write down, once, what is asked of which replicas. What fails is asked again."""
        news: dict[tuple[str, str], list[JsonValue]] = {}
        for task in tasks:
            if task not in errand.rack.told:
                news.setdefault((task.verb, task.adapter), []).append(task.replica)
        if not news:
            return
        await self._books.write([self._record_of(errand, *what, to) for what, to in news.items()])
        errand.rack.told.update(tasks)
        for (verb, adapter), replicas in news.items():
            sort = errand.shelf.loadable.sort.value
            log.info(f"{sort}.{verb}", **{sort: adapter}, replicas=len(replicas))

    def _record_of(
        self, errand: _Errand, verb: str, adapter: str, replicas: list[JsonValue]
    ) -> AuditRecord:
        shelf, (cluster, unit) = errand.shelf, errand.place
        detail: JsonObject = {
            "rollout": unit.removeprefix("rollout/"),
            "server": shelf.loadable.server,
            shelf.loadable.sort.value: adapter,
            "replicas": replicas,
        }
        if digest := shelf.digests.get(adapter):
            detail |= shelf.loadable.told(digest)
        return self._context.decision(
            self._clock.now(),
            errand.commit,
            Verb.ROLLOUT,
            cluster=cluster,
            unit=unit,
            result=verb,
            detail=detail,
        )
