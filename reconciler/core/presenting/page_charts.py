"""Charts of evidence for the page: coordinates, a sentence, and the numbers behind them.

Separate from evidence_chart.py, which has the curve and draws it alone. The invariants: the line
that decides is always inside the picture; the picture stretches to any width, so no text is in it;
and whoever cannot see it reads the same in a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.presenting.evidence_chart import Curve, curve_of
from reconciler.core.rollouts.trail import Point
from reconciler.core.verdicts import Line, Verdict

WIDTH, HEIGHT = 600, 160
MOST_ROWS = 12


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One look: seconds since the first, the number, the candidate's requests and failures."""

    seconds: float
    value: str
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Step:
    """Where a step began in the picture."""

    x: float
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Coordinates in a picture of WIDTH by HEIGHT. `crossed` is an x, if the line was crossed."""

    name: str
    sentence: str
    points: str
    area: str
    level: float
    limit: str
    last: str
    crossed: float | None
    seconds: float
    steps: tuple[Step, ...]
    rows: tuple[ChartRow, ...]


def chart_of(points: Sequence[Point], verdict: Verdict) -> Chart | None:
    """The way of a gate's number towards its line; None when it has no such number."""
    curve = curve_of(points, verdict)
    if curve is None:
        return None
    span = curve.times[-1] or 1.0
    places = [(_x(t, span), _y(curve, v)) for t, v in zip(curve.times, curve.values, strict=True)]
    if len(places) == 1:
        places = [(0.0, places[0][1]), (float(WIDTH), places[0][1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    crossed = curve.crossed_at
    return Chart(
        name=curve.name,
        sentence=_sentence(curve, crossed),
        points=line,
        area=f"{places[0][0]:.1f},{HEIGHT} {line} {places[-1][0]:.1f},{HEIGHT}",
        level=round(_y(curve, curve.limit), 1),
        limit=number(curve.limit),
        last=number(curve.values[-1]),
        crossed=None if crossed is None else round(_x(crossed, span), 1),
        seconds=curve.times[-1],
        steps=tuple(Step(round(_x(at, span), 1), name) for at, name in curve.steps),
        rows=tuple(_rows(points, verdict)),
    )


def _sentence(curve: Curve, crossed: float | None) -> str:
    side = "above" if curve.above else "below"
    ends = f"{curve.name} is {number(curve.values[-1])}"
    if crossed is None:
        return f"{ends}; the line at {number(curve.limit)} was not crossed"
    return f"{ends}; it went {side} the line at {number(curve.limit)} after {crossed:.0f} s"


def _rows(points: Sequence[Point], verdict: Verdict) -> Iterator[ChartRow]:
    """At even distances; the newest always among them."""
    every = max(1, math.ceil(len(points) / MOST_ROWS))
    first = points[0].at
    for point in points[::-every][::-1]:
        reading = point.gates.get(verdict.gate)
        value = None
        if reading is not None:
            value = reading.abort if verdict.abort else reading.promote
        yield ChartRow(
            seconds=point.at - first,
            value="–" if value is None else number(value),
            requests=point.requests,
            errors=point.errors,
        )


def line_words(line: Line, *, what: str) -> str:
    """A number and the line that it must cross, as a sentence."""
    side = "above" if line.above else "below"
    limit, value = number(line.limit), number(line.value)
    return f"{what} when {line.name} is {side} {limit}; now {value}"


def number(value: float) -> str:
    """For people: few digits, and thousands set apart."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "unknown"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _x(time: float, span: float) -> float:
    return time / span * WIDTH


def _y(curve: Curve, value: float) -> float:
    return HEIGHT - curve.height(value) * HEIGHT
