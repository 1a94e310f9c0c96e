"""The MetricsSource port in memory: expressions, and the numbers that a test gives them.

Separate because simulations play days of answers in virtual time. The invariant: it passes the
contract suite of the real one; an expression that nobody gave a number to gives no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from reconciler.core.errors import FairleadError
from reconciler.core.samples import QueryPoint
from reconciler.ports import Clock

Course: TypeAlias = Callable[[float], float | None]
"""The number at a time, in seconds since the epoch."""


class MemoryMetrics:
    """A provider for tests and simulations. The port first, then what plays the world."""

    def __init__(self, clock: Clock) -> None:
        self.asked: list[str] = []
        self.trouble: FairleadError | None = None
        """Why nobody answers, while it is set."""
        self._clock = clock
        self._courses: dict[str, Course] = {}
        self._errors: dict[str, FairleadError] = {}

    async def instant(self, expression: str) -> QueryPoint:
        at = self._clock.now().timestamp()
        try:
            return QueryPoint(at, self._course(expression)(at))
        except FairleadError as error:
            return QueryPoint(at, trouble=error.message)

    async def over(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[QueryPoint]:
        course = self._course(expression)
        times = range(round(start * 1000), round(end * 1000) + 1, round(step * 1000))
        return [QueryPoint(at / 1000, course(at / 1000)) for at in times]

    async def close(self) -> None:
        pass

    # The world

    def put(self, expression: str, value: float | Course) -> None:
        """Give an expression a number, or one for every time."""
        self._errors.pop(expression, None)
        self._courses[expression] = value if callable(value) else lambda _: value

    def refuse(self, expression: str, error: FairleadError) -> None:
        """Let it be wrong, until it is given a number."""
        self._errors[expression] = error

    def _course(self, expression: str) -> Course:
        self.asked.append(expression)
        if error := self.trouble or self._errors.get(expression):
            raise error
        return self._courses.get(expression, lambda _: None)
