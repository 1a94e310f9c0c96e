"""The gate on the answers of a metrics provider, and the filling of its query.

Separate because others measured, and how is not known: only answers that agree over a whole time
decide. The invariant: an answer that is missing, not a number, or older than a gap allows holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.gates.wording import number
from reconciler.core.kinds.gate import PLACEHOLDER, PromQl
from reconciler.core.quantities import duration_text
from reconciler.core.samples import QueryPoint, Samples
from reconciler.core.verdicts import Line, Outcome, Verdict

LEAST_POINTS = 3
"""Answers that must agree. Between two of them, half of the time may pass at most."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a query may ask about."""

    rollout: str
    namespace: str
    version: str
    stable: str


def filled(query: str, names: Names) -> str:
    """The query with its placeholders replaced. Unknown ones stay: validation refuses them.

    Values are escaped for a string of PromQL in double quotes, so that none can leave it.
    """

    def value(name: str) -> str:
        text = str(getattr(names, name))
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    known = Names.__dataclass_fields__
    return PLACEHOLDER.sub(lambda found: value(found[1]) if found[1] in known else found[0], query)


def judge_query(name: str, gate: PromQl, samples: Samples) -> Verdict:
    """PASS or FAIL when every answer over `for` is within, or beyond, the line."""
    points = samples.queries.get(name, ())
    seconds = gate.over.total_seconds()
    if trouble := samples.trouble or _missing(points, seconds):
        return Verdict(name, Outcome.HOLD, trouble)
    values = [point.value for point in _window(points, seconds) if point.value is not None]
    over, last = duration_text(gate.over), values[-1]
    if len(values) < LEAST_POINTS or not _covered(points, seconds):
        text = f"{number(last)} so far; {LEAST_POINTS} or more answers over {over} are needed"
        return _verdict(name, Outcome.HOLD, text, gate, last)
    beyond = [_beyond(gate, value) for value in values]
    line = f"{'at most' if gate.at_most is not None else 'at least'} {number(_limit(gate))}"
    span = f"between {number(min(values))} and {number(max(values))} over {over}"
    if all(beyond):
        return _verdict(name, Outcome.FAIL, f"{span}, always beyond {line}", gate, last)
    if not any(beyond):
        return _verdict(name, Outcome.PASS, f"{span}, always {line}", gate, last)
    text = f"{span}: {sum(beyond)} of {len(beyond)} answers are beyond {line}"
    return _verdict(name, Outcome.HOLD, text, gate, last)


def _verdict(name: str, outcome: Outcome, text: str, gate: PromQl, last: float) -> Verdict:
    at_most = gate.at_most is not None
    what = "last answer of the query"
    return Verdict(
        name,
        outcome,
        text,
        abort=Line(what, last, _limit(gate), above=at_most),
        promote=Line(what, last, _limit(gate), above=not at_most),
    )


def _limit(gate: PromQl) -> float:
    limit = gate.at_most if gate.at_most is not None else gate.at_least
    assert limit is not None, "a line is one of atMost and atLeast"
    return limit


def _beyond(gate: PromQl, value: float) -> bool:
    return value > _limit(gate) if gate.at_most is not None else value < _limit(gate)


def _missing(points: Sequence[QueryPoint], seconds: float) -> str:
    """Why the answers say nothing; empty when they say something."""
    if not points:
        return "the query was not answered yet"
    times = [point.at for point in points]
    ordered = all(earlier < later for earlier, later in itertools.pairwise(times))
    if not ordered or not all(map(math.isfinite, times)):
        return "the answers of the query are not in the order of time"
    for point in reversed(_window(points, seconds)):
        if point.trouble:
            return point.trouble
        if point.value is None:
            return "the query gave no sample"
        if not math.isfinite(point.value):
            return f"the query gave {point.value}, which is not a number to judge"
    return ""


def _window(points: Sequence[QueryPoint], seconds: float) -> list[QueryPoint]:
    return [point for point in points if point.at >= points[-1].at - seconds]


def _covered(points: Sequence[QueryPoint], seconds: float) -> bool:
    """Whether answers reach back over the whole time, without a gap of more than half of it."""
    start = points[-1].at - seconds
    if points[0].at > start:
        return False
    times = [start, *(point.at for point in _window(points, seconds))]
    gaps = (later - earlier for earlier, later in itertools.pairwise(times))
    return max(gaps) <= seconds / 2
