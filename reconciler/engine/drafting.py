"""Drafting: the plan of a pass, by its dry runs, and what of it is refused by itself.

Separate from reconciling.py, which decides what to do with a plan. The invariant: units that
earlier commits left over are set aside when they are refused, so that no commit waits for
another's fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from opentelemetry import trace

from reconciler.core.authorship import NOBODY, Attribution
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.ledger import UnitState
from reconciler.core.outstanding import (
    ClusterView,
    Outstanding,
    Place,
    is_news,
    outstanding,
    wanted_digest,
)
from reconciler.core.planning import plan
from reconciler.core.plans import Plan
from reconciler.core.refusing import culprits
from reconciler.core.rollouts.courses import Course
from reconciler.engine.attributing import Attributor, Standpoint
from reconciler.engine.books import Books
from reconciler.engine.deciding import Decisions
from reconciler.engine.leading import Leader
from reconciler.engine.previewing import preview

tracer = trace.get_tracer("fairlead")


class Drafts:
    """Makes plans. `accepted` is, everywhere, the state that is in force."""

    def __init__(
        self, leader: Leader, books: Books, decisions: Decisions, attributor: Attributor | None
    ) -> None:
        """Without an `attributor` everything is written as the daemon."""
        self._attributor = attributor
        self._leader = leader
        self._books = books
        self._decisions = decisions

    async def of_new(
        self,
        course: Course,
        views: Sequence[ClusterView],
        *,
        accepted: DesiredState | None,
        every_object: bool,
        retry_refused: bool,
    ) -> tuple[Plan, Sequence[Outstanding]]:
        """The plan for a new commit. Units left over from earlier ones, when they are refused, are
        set aside: the new commit need not wait for them."""
        aside: set[Place] = set()
        while True:
            work = outstanding(
                course.state,
                views,
                every_object=every_object,
                retry_refused=retry_refused,
                still_refused=aside,
            )
            made = await self.of(course, views, work, accepted=accepted)
            guilty = culprits(made).keys()
            known = {(item.cluster, unit) for item in work for unit in item.units}
            news = self.news(work, course.target, accepted=accepted)
            if not guilty or not guilty <= known or guilty & news:
                return made, work
            aside |= guilty
            await self._decisions.set_aside(made, work)

    async def of(
        self,
        course: Course,
        views: Sequence[ClusterView],
        work: Sequence[Outstanding],
        *,
        accepted: DesiredState | None,
    ) -> Plan:
        """The plan for this work."""
        desired = course.state
        with tracer.start_as_current_span("plan"):
            clusters = {name: s.cluster for name, s in self._leader.sessions.items()}
            asked = [item for item in work if item.cluster in clusters]
            authors = await self._authors(asked, course.target, accepted)
            answers = await preview(clusters, asked, head=desired.commit, authors=authors)
            return plan(
                desired,
                base=self._books.position.accepted,
                rules=_rules(desired, accepted),
                views=views,
                work=work,
                previews=answers,
                authors=authors,
            )

    async def _authors(
        self, work: Sequence[Outstanding], target: DesiredState, accepted: DesiredState | None
    ) -> Attribution:
        if self._attributor is None:
            return NOBODY
        known = (accepted,) if accepted else ()
        at = Standpoint(target, self._books.position, self._units, known)
        return await self._attributor.attribute(work, at)

    def _units(self, cluster: ClusterName) -> Mapping[UnitName, UnitState]:
        return self._books.ledger(cluster).units

    def news(
        self, work: Sequence[Outstanding], target: DesiredState, *, accepted: DesiredState | None
    ) -> AbstractSet[Place]:
        """Units that this very commit changes. A step of a rollout is not its commit's news."""
        news = set()
        for item in work:
            states = self._books.ledger(item.cluster).units if item.units else {}
            for name, digest in item.units.items():
                place, state = (item.cluster, name), states.get(name)
                refused_before = (
                    state and state.refused == digest and state.refused_commit != target.commit
                )
                declared = wanted_digest(target.units.get(place))
                if not refused_before and is_news(place, declared, accepted):
                    news.add(place)
        return news


def _rules(desired: DesiredState, accepted: DesiredState | None) -> RepositorySpec:
    return accepted.policy if accepted else desired.policy
