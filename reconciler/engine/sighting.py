"""Sighting: what the clusters of a rollout look like, from what the watches have seen.

Separate from asking the replicas, because nothing is asked here: it is read from memory. The
invariant: a cluster that nobody leads or whose watch is broken is told as trouble, not as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Standing, UnitState
from reconciler.core.rendering.kserve import INFERENCE_SERVICE
from reconciler.core.rollouts.courses import Course
from reconciler.core.rollouts.observations import ClusterSight
from reconciler.core.rollouts.staging import runtime_name
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.engine.books import Books
from reconciler.engine.leading import LOST, NOT_CONNECTED, WAITING, Leader
from reconciler.engine.observing import ClusterObserver
from reconciler.engine.uptimes import Uptimes, is_current

_DIVIDING = frozenset({("gateway.networking.k8s.io", "HTTPRoute"), INFERENCE_SERVICE})
"""Kinds that say how requests are divided."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A cluster as a rollout sees it. `down`: too few replicas of the judged version are up."""

    cluster: ClusterSight
    down: bool = False


class Sights:
    """Reads sessions and books."""

    def __init__(self, leader: Leader, books: Books, uptimes: Mapping[str, Uptimes]) -> None:
        """`uptimes` are by the name of the runtime."""
        self._leader = leader
        self._books = books
        self._uptimes = uptimes

    def of(self, course: Course, state: RolloutState) -> dict[ClusterName, Sight]:
        """The clusters whose turn has come or is over."""
        everywhere = state.candidate is None
        return {
            unit.cluster: self._sight(course, state, unit)
            for _, unit in course.target.places_of(state.rollout)
            if everywhere or unit.stage <= state.wave
        }

    def is_led(self, course: Course, rollout: str) -> bool:
        """Whether this process decides about the rollout.

        Of several daemons that lead a cluster each, the one decides that leads the first; clusters
        that nobody can reach are passed over.
        """
        for cluster in sorted(unit.cluster for _, unit in course.target.places_of(rollout)):
            if cluster in self._leader.sessions:
                return True
            if self._leader.troubles.get(cluster) in (WAITING, LOST):
                return False
        return False

    def _sight(self, course: Course, state: RolloutState, unit: Unit) -> Sight:
        session = self._leader.sessions.get(unit.cluster)
        if session is None:
            trouble = self._leader.troubles.get(unit.cluster, NOT_CONNECTED)
            return Sight(ClusterSight(trouble=trouble))
        observer = session.observer
        if observer.stale:
            return Sight(ClusterSight(trouble=observer.stale))
        place = (unit.cluster, unit.name)
        staged = course.state.units[place]
        known = self._books.ledger(unit.cluster).units.get(unit.name)
        here = course.states.get(state.rollout)
        current = here is not None and here.place == state.place
        settled = is_settled(course, state, unit, known)
        refused = ""
        if current and known is not None and known.refused == staged.digest:
            refused = known.explanation
        judged = state.candidate or state.stable
        assert judged is not None, "a rollout without a version has no state"
        runtime = runtime_name(course.target, course.target.rollouts[state.rollout])
        uptime = self._uptimes[runtime].uptime(staged, judged, observer)
        if uptime.trouble:
            return Sight(ClusterSight(refused=refused, trouble=uptime.trouble))
        return Sight(
            ClusterSight(
                settled=settled,
                routed=_routed(observer, staged),
                ready=uptime.ready,
                refused=refused or uptime.refused,
            ),
            down=(state.phase is not Phase.STARTING or unit.stage < state.wave)
            and settled
            and uptime.down,
        )


def is_settled(course: Course, state: RolloutState, unit: Unit, known: UnitState | None) -> bool:
    """Whether a cluster is where a rollout stands; `known` is what the ledger says of its unit."""
    place = (unit.cluster, unit.name)
    here = course.states.get(state.rollout)
    return (
        here is not None
        and here.place == state.place
        and place not in course.staged.held
        and known is not None
        and known.standing is Standing.SETTLED
        and known.digest == course.state.units[place].digest
    )


def _routed(observer: ClusterObserver, unit: Unit) -> bool:
    dividing = [key for key in unit.manifests if (key.group, key.kind) in _DIVIDING]
    return bool(dividing) and all(is_current(observer, key) for key in dividing)
