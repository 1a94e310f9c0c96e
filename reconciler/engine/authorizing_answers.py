"""Answers of an API server on the request path: asked for once, kept for seconds, asked for anew.

Separate from the decisions, which only want an answer. The invariants: an answer is never used
after its time; however many want the same at once, it is asked once; and while somebody goes on
asking, it is renewed before its time is over, so that nobody waits for it and a revocation is seen
within half of that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from reconciler.core.authorizing.remembering import Remembered
from reconciler.ports import Clock

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")


class Answers(Generic[Q, A]):
    """`lasting` says for how many seconds an answer is good, from the moment of asking."""

    def __init__(self, clock: Clock, lasting: Callable[[A], float]) -> None:
        self._clock = clock
        self._lasting = lasting
        self._known: Remembered[Q, A] = Remembered()
        self._asking: dict[Q, asyncio.Task[A]] = {}

    async def get(self, question: Q, ask: Callable[[], Awaitable[A]]) -> A:
        """The answer that is known, or that of `ask`. Raises what `ask` raises."""
        now = self._clock.monotonic()
        known = self._known.get(question, now)
        if known is None:
            # Whoever gives up waiting must not end it for the others.
            return await asyncio.shield(self._asked(question, ask))
        if self._known.is_ageing(question, now):
            self._asked(question, ask)
        return known

    def _asked(self, question: Q, ask: Callable[[], Awaitable[A]]) -> asyncio.Task[A]:
        running = self._asking.get(question)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._ask(question, ask))
            self._asking[question] = running
            running.add_done_callback(lambda task: self._done(question, task))
        return running

    async def _ask(self, question: Q, ask: Callable[[], Awaitable[A]]) -> A:
        now = self._clock.monotonic()
        answer = await ask()
        self._known.keep(question, answer, now=now, seconds=self._lasting(answer))
        return answer

    def _done(self, question: Q, task: asyncio.Task[A]) -> None:
        del self._asking[question]
        # Of a renewal nobody hears: the answer that is known ends by itself.
        if not task.cancelled():
            task.exception()
