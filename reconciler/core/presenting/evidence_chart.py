"""Pictures of evidence over time: as SVG, and in the characters of a terminal.

Separate from the wording of an explanation. The invariant: both are drawn from the same curve, and
the line that decides is in each of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from reconciler.core.rollouts.trail import Point
from reconciler.core.verdicts import Line, Verdict

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 44
_COLUMNS, _ROWS = 64, 9

_STYLE = """\
svg { background: #fff; color: #1b1f24; font: 12px system-ui, sans-serif; }
text { fill: currentColor; } .title { font-weight: 600; font-size: 14px; }
.axis, .step { fill: none; stroke: currentColor; stroke-opacity: .25; }
.curve { fill: none; stroke: #0969da; stroke-width: 2; }
.limit { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 6 4; }
.crossed { fill: none; stroke: #cf222e; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; color: #e6edf3; } .curve { stroke: #58a6ff; }
.limit, .crossed { stroke: #ff7b72; } }
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """How the number of one gate went towards its line. Times are seconds since the first."""

    gate: str
    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    limit: float
    above: bool
    steps: tuple[tuple[float, str], ...] = ()

    @property
    def crossed_at(self) -> float | None:
        """Seconds after the first look at which the number first lay beyond the line."""
        for time, value in zip(self.times, self.values, strict=True):
            if (value >= self.limit) if self.above else (value <= self.limit):
                return time
        return None

    def height(self, value: float) -> float:
        """Where a value lies between 0 and 1. Evidence multiplies, so its scale is logarithmic."""
        low, high = self._range
        return (min(max(_scaled(value), low), high) - low) / (high - low)

    @property
    def _range(self) -> tuple[float, float]:
        scaled = [_scaled(value) for value in (*self.values, self.limit)]
        low, high = min(scaled), max(scaled)
        margin = (high - low) * 0.1 or 1.0
        return low - margin, high + margin


def curve_of(points: Sequence[Point], verdict: Verdict) -> Curve | None:
    """The curve of a gate towards the line of its abort, else of its promotion."""
    line = verdict.abort or verdict.promote
    if line is None or not math.isfinite(line.limit):
        return None
    found = [(point.at, _value(point, verdict, line)) for point in points]
    shown = [(at, value) for at, value in found if value is not None and not math.isnan(value)]
    if not shown:
        return None
    first = shown[0][0]
    return Curve(
        gate=verdict.gate,
        name=line.name,
        times=tuple(at - first for at, _ in shown),
        values=tuple(value for _, value in shown),
        limit=line.limit,
        above=line.above,
        steps=tuple(_steps(points, first)),
    )


def _value(point: Point, verdict: Verdict, line: Line) -> float | None:
    reading = point.gates.get(verdict.gate)
    if reading is None:
        return None
    return reading.abort if line is verdict.abort else reading.promote


def _steps(points: Sequence[Point], first: float) -> Iterator[tuple[float, str]]:
    before: tuple[int, int] | None = None
    for point in points:
        if (point.wave, point.step) != before:
            before = (point.wave, point.step)
            yield max(0.0, point.at - first), f"step {point.step + 1}"


def _scaled(value: float) -> float:
    return math.log10(min(max(value, 1e-9), 1e12))


def terminal_chart(curve: Curve) -> list[str]:
    """Rows of characters: the curve, and the line that decides with its number."""
    span = curve.times[-1] or 1.0
    columns: list[float | None] = [None] * _COLUMNS
    for time, value in zip(curve.times, curve.values, strict=True):
        columns[round(time / span * (_COLUMNS - 1))] = curve.height(value)
    level = round(curve.height(curve.limit) * (_ROWS - 1))
    rows = []
    for row in reversed(range(_ROWS)):
        cells = [
            "●"
            if height is not None and round(height * (_ROWS - 1)) == row
            else "╌"
            if row == level
            else " "
            for height in columns
        ]
        label = _number(curve.limit) if row == level else ""
        rows.append(f"{label:>10} ┤{''.join(cells)}")
    return [*rows, f"{'':>10} └{'─' * _COLUMNS}", f"{'':>11} 0 s{f'{span:.0f} s':>{_COLUMNS - 3}}"]


def svg_chart(curve: Curve, *, title: str) -> str:
    """A picture of the curve, readable on light and dark ground, with its data as a title."""
    span = curve.times[-1] or 1.0
    points = " ".join(
        f"{_x(time, span):.1f},{_y(curve.height(value)):.1f}"
        for time, value in zip(curve.times, curve.values, strict=True)
    )
    level = _y(curve.height(curve.limit))
    marks = "".join(
        f'<line class="step" x1="{_x(at, span):.1f}" x2="{_x(at, span):.1f}" y1="{_TOP}" '
        f'y2="{_HEIGHT - _BOTTOM}"/><text x="{_x(at, span) + 4:.1f}" y="{_TOP + 12}">'
        f"{escape(name)}</text>"
        for at, name in curve.steps
    )
    crossed = ""
    if curve.crossed_at is not None:
        x = _x(curve.crossed_at, span)
        crossed = f'<circle class="crossed" cx="{x:.1f}" cy="{level:.1f}" r="5"/>'
    last = _number(curve.values[-1])
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">
<title>{escape(title)}</title>
<desc>{escape(curve.name)}: {last} at the end, the line is {_number(curve.limit)}</desc>
<style>
{_STYLE}</style>
<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>
<path class="axis" d="M{_LEFT},{_TOP} V{_HEIGHT - _BOTTOM} H{_WIDTH - _RIGHT}"/>
{marks}
<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>
<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{_number(curve.limit)}</text>
<polyline class="curve" points="{points}"/>
{crossed}
<text x="{_LEFT}" y="{_HEIGHT - 24}">0 s</text>
<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 24}" text-anchor="end">{span:.0f} s</text>
<text x="{_LEFT}" y="{_HEIGHT - 8}">{escape(curve.name)} (logarithmic)</text>
</svg>
"""


def _x(time: float, span: float) -> float:
    return _LEFT + time / span * (_WIDTH - _LEFT - _RIGHT)


def _y(height: float) -> float:
    return _HEIGHT - _BOTTOM - height * (_HEIGHT - _TOP - _BOTTOM)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
