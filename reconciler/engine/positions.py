"""Positions of rollouts: between the journal, which is durable, and the passes that act on it.

Separate so that a pass and the promotion of rollouts share one lock. The invariant: nobody accepts
a plan that was made for a position which has been left meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reconciler.core.access.expiring import glass_units, standing_at
from reconciler.core.desired import DesiredState
from reconciler.core.outstanding import Place
from reconciler.core.problems import Problem
from reconciler.core.rollouts.courses import Course, Courses
from reconciler.core.rollouts.relocating import applied_homes, relocation_problems
from reconciler.core.rollouts.rewording import rewording_problems, serving_texts
from reconciler.core.rollouts.runtimes import Loaded
from reconciler.core.rollouts.staging import Staged
from reconciler.core.rollouts.states import RolloutState
from reconciler.engine.books import Books
from reconciler.ports import Clock


class Positions:
    """The rollouts of one repository. Hold `moving` to change or rely on where one stands."""

    def __init__(self, books: Books, clock: Clock, *, gradual: bool) -> None:
        """Without `gradual`, nobody measures: every version gets its traffic at once."""
        self._gradual = gradual
        self._books = books
        self._clock = clock
        self._courses = Courses()
        self._epoch = clock.now().timestamp() - clock.monotonic()
        self.moving = asyncio.Lock()
        self.loaded: dict[Place, frozenset[Loaded]] = {}
        """Adapters that may get traffic, as far as was seen since this process began."""

    def states(self) -> Mapping[str, RolloutState]:
        """Where each rollout stands now."""
        return self._courses.states(self._books.position.journal)

    def course(self, desired: DesiredState) -> Course:
        """What of a commit is to be so now."""
        if not self._gradual:
            current = standing_at(desired, self.now())
            return Course(desired, Staged(current, {}, {}, {}), {}, {})
        ledgers = {name: self._books.ledger(name) for name in self._books.clusters}
        journal = self._books.position.journal
        return self._courses.make(desired, journal, ledgers, self.loaded, now=self.now())

    def is_over(self, course: Course) -> bool:
        """Whether what is given for an hour is no longer what the course has of it."""
        if not course.target.emergencies:
            return False
        return glass_units(standing_at(course.target, self.now())) != glass_units(course.state)

    def relocations(
        self, desired: DesiredState, accepted: DesiredState | None
    ) -> tuple[Problem, ...]:
        """Rollouts that a commit would take away from where they serve, or from what they say."""
        if not self._gradual:
            return ()
        ledgers = (self._books.ledger(name) for name in self._books.clusters)
        homes = applied_homes(desired, ledgers, accepted=accepted)
        return (
            *relocation_problems(desired, homes),
            *rewording_problems(desired, serving_texts(self.states())),
        )

    def stands(self, course: Course) -> bool:
        return course.stands(self.states())

    def now(self) -> float:
        """Seconds since the epoch, since positions outlive the process and its monotonic clock.

        Within the process they pass evenly, whatever is done to the clock of the machine.
        """
        return self._epoch + self._clock.monotonic()
