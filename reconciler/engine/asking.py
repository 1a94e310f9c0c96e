"""Asking others: metrics providers now and then, and evaluations once for each pair of versions.

Separate from the looks at replicas, which come every second and never wait for these. The
invariant: whoever does not answer is told as trouble, and asked again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reconciler.core.errors import FairleadError
from reconciler.core.gates import Names, filled
from reconciler.core.kinds import Evaluation, Gate
from reconciler.core.kinds.gate import PromQl
from reconciler.core.samples import EvaluationResult, QueryPoint
from reconciler.ports import Clock, Comparison, Evaluator, MetricsSource

QUERY_SECONDS = 5.0
"""How often a metrics provider is asked. Its own samples are seldom newer."""

AGAIN_SECONDS = 30.0
"""Pause before an evaluation that could not be made is tried again."""

MOST_POINTS = 1_000
"""Answers of one query that are kept: the audit log holds them with every decision."""


class Queries:
    """The answers of a metrics provider, by gate."""

    def __init__(self, source: MetricsSource | None, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._asked_at: float | None = None
        self._points: dict[str, list[QueryPoint]] = {}
        self._queries: dict[str, PromQl] = {}

    async def ask(self, gates: Mapping[str, Gate], names: Names) -> None:
        """Ask for every gate that has a query, when it is time."""
        queries = {name: gate.spec.promql for name, gate in gates.items() if gate.spec.promql}
        now = self._clock.monotonic()
        if self._asked_at is not None and now - self._asked_at < QUERY_SECONDS:
            return
        self._asked_at = now
        for name, query in queries.items():
            if self._queries.get(name) != query:
                # Answers to another question, or held against another line, are no evidence.
                self._points.pop(name, None)
                self._queries[name] = query
            self._keep(name, query, await self._answer(filled(query.query, names)))

    def points(self) -> Mapping[str, tuple[QueryPoint, ...]]:
        return {name: tuple(points) for name, points in self._points.items()}

    async def _answer(self, expression: str) -> QueryPoint:
        if self._source is None:
            trouble = "no metrics provider is configured: set `metrics` in the daemon's settings"
            return QueryPoint(self._clock.now().timestamp(), trouble=trouble)
        return await self._source.instant(expression)

    def _keep(self, name: str, query: PromQl, point: QueryPoint) -> None:
        points = self._points.setdefault(name, [])
        if points and points[-1].at >= point.at:
            # A clock was set back: what came before cannot be put in order with what comes.
            points.clear()
        points.append(point)
        oldest = point.at - 2 * query.over.total_seconds()
        kept = [known for known in points if known.at >= oldest][-MOST_POINTS:]
        points[:] = kept


class Evaluations:
    """Evaluations that run beside the looks, and their results by name."""

    def __init__(self, evaluator: Evaluator, clock: Clock) -> None:
        self._evaluator = evaluator
        self._clock = clock
        self._running: dict[str, asyncio.Task[EvaluationResult]] = {}
        self._results: dict[str, EvaluationResult] = {}
        self._ended_at: dict[str, float] = {}
        self._asked: dict[str, Evaluation] = {}

    def begin(self, evaluations: Mapping[str, Evaluation], versions: Comparison) -> None:
        """Begin those that have no result. One that had trouble is made again after a pause."""
        self._collect()
        now = self._clock.monotonic()
        for name, evaluation in evaluations.items():
            if self._asked.get(name) != evaluation:
                # A commit has changed it: what was found out is of another one.
                self._asked[name] = evaluation
                self._results.pop(name, None)
                if (running := self._running.pop(name, None)) is not None:
                    running.cancel()
            result = self._results.get(name)
            if name in self._running or (result is not None and not result.trouble):
                continue
            if result is None or now - self._ended_at[name] >= AGAIN_SECONDS:
                made = self._evaluator.evaluate(evaluation, versions)
                self._running[name] = asyncio.ensure_future(made)

    def results(self) -> Mapping[str, EvaluationResult]:
        self._collect()
        return dict(self._results)

    def cancel(self) -> None:
        """End those that run, as soon as they can."""
        for task in self._running.values():
            task.cancel()

    async def close(self) -> None:
        """End those that run, and wait until they have."""
        self.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    def _collect(self) -> None:
        for name in [name for name, task in self._running.items() if task.done()]:
            task = self._running.pop(name)
            try:
                self._results[name] = task.result()
            except FairleadError as error:
                self._results[name] = EvaluationResult(trouble=error.message)
            self._ended_at[name] = self._clock.monotonic()
