"""Answers that are remembered for seconds, so that most requests wait for nobody.

Separate from who gives them. The invariant: an answer is never used after its time, however often
it was used within it; a yes lives for at most two seconds, and a no for at most one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

ALLOWED_SECONDS = 2.0
DENIED_SECONDS = 1.0
MOST_ANSWERS = 10_000

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class _Answer(Generic[A]):
    value: A
    ageing: float
    until: float


class Remembered(Generic[Q, A]):
    """Times are of a monotonic clock, in seconds, and are of the moment of asking."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Q, _Answer[A]] = OrderedDict()

    def get(self, question: Q, now: float) -> A | None:
        found = self._answers.get(question)
        return found.value if found is not None and now < found.until else None

    def is_ageing(self, question: Q, now: float) -> bool:
        """Whether half of the answer's time is over."""
        found = self._answers.get(question)
        return found is not None and now >= found.ageing

    def keep(self, question: Q, value: A, *, now: float, seconds: float) -> None:
        self._answers[question] = _Answer(value, now + seconds / 2, now + seconds)
        self._answers.move_to_end(question)
        if len(self._answers) > MOST_ANSWERS:
            self._answers.popitem(last=False)
