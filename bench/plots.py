"""Line plots as SVG that GitHub shows, in light and in dark.

Separate from what is plotted. A writer of our own, because a plotting library is large and its
output changes with every release. The invariant: the same curves give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 62, 60
"""Room around the curves; the names of the curves are to the right."""

_LIGHT = ("#0550ae", "#b35900", "#1a7f37", "#8250df", "#57606a")
_DARK = ("#6cb6ff", "#e09b4a", "#57ab5a", "#dcbdfb", "#adbac7")


_MOST_DOTS = 12
"""Points of a curve that are marked; more would hide it."""


class Line(Protocol):
    """A curve with a name."""

    @property
    def name(self) -> str: ...
    @property
    def x(self) -> Sequence[float]: ...
    @property
    def y(self) -> Sequence[float]: ...


@dataclass(frozen=True, slots=True)
class Axis:
    """What is along an axis, from the first mark to the last."""

    title: str
    marks: Sequence[float]
    log: bool = False
    percent: bool = False

    def place(self, value: float) -> float:
        """Between 0 and 1."""
        low, high, here = self.marks[0], self.marks[-1], min(max(value, self.marks[0]), 1e300)
        if self.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return min(1.0, (here - low) / (high - low))

    def text(self, value: float) -> str:
        return f"{value * 100:g} %" if self.percent else f"{value:,g}"


def plot(title: str, x: Axis, y: Axis, lines: Sequence[Line], *, limit: float | None = None) -> str:
    """The plot as the text of a file. `limit` is a dashed line across, the target."""
    parts = [_head(title, lines), *_grid(x, y)]
    if limit is not None:
        parts.extend(_across(y, limit))
    for number, line in enumerate(lines):
        dots = [f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in zip(line.x, line.y, strict=True)]
        parts.append(f'  <polyline class="line c{number}" points="{" ".join(dots)}"/>')
        if len(dots) <= _MOST_DOTS:
            parts.extend(_dot(number, dot) for dot in dots)
        parts.extend(_named(number, line.name))
    return "\n".join([*parts, "</svg>", ""])


def _dot(number: int, place: str) -> str:
    left, top = place.split(",")
    return f'  <circle class="c{number}" cx="{left}" cy="{top}" r="3.2"/>'


def _named(number: int, name: str) -> Iterator[str]:
    """The name of a curve, with its colour."""
    left, top = WIDTH - RIGHT + 16, TOP + 10 + 22 * number
    yield f'  <line class="line c{number}" x1="{left}" x2="{left + 18}" y1="{top}" y2="{top}"/>'
    yield f'  <text x="{left + 24}" y="{top + 4}">{escape(name)}</text>'


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _head(title: str, lines: Sequence[Line]) -> str:
    names = ", ".join(line.name for line in lines)
    light, dark = (
        " ".join(
            f"polyline.c{n}, line.c{n} {{ stroke: {c} }} circle.c{n} {{ fill: {c} }}"
            for n, c in enumerate(colours)
        )
        for colours in (_LIGHT, _DARK)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" \
aria-labelledby="title description" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, \
Arial, sans-serif" font-size="12.5">
  <title id="title">{escape(title)}</title>
  <desc id="description">Curves: {escape(names)}.</desc>
  <style>
    .page {{ fill: #ffffff }} text {{ fill: #1f2328 }} .head {{ font-size: 15px; font-weight: 600 }}
    .grid {{ stroke: #d0d7de }} .limit {{ stroke: #cf222e; stroke-dasharray: 6 4 }}
    .line {{ fill: none; stroke-width: 2.2 }} {light}
    @media (prefers-color-scheme: dark) {{
      .page {{ fill: #0d1117 }} text {{ fill: #e6edf3 }}
      .grid {{ stroke: #30363d }} .limit {{ stroke: #ff7b72 }} {dark}
    }}
  </style>
  <rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>
  <text class="head" x="{LEFT}" y="28">{escape(title)}</text>"""


def _grid(x: Axis, y: Axis) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for mark in y.marks:
        at = _y(y, mark)
        parts.append(f'  <line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'  <text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y.text(mark)}</text>'
        )
    for mark in x.marks:
        at = _x(x, mark)
        parts.append(
            f'  <text x="{at:.1f}" y="{bottom + 20}" text-anchor="middle">{x.text(mark)}</text>'
        )
    middle = (LEFT + right) / 2
    parts.append(
        f'  <text x="{middle:g}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x.title)}</text>'
    )
    parts.append(f'  <text x="{LEFT}" y="{TOP - 6}">{escape(y.title)}</text>')
    return parts


def _across(y: Axis, limit: float) -> list[str]:
    at, right = _y(y, limit), WIDTH - RIGHT
    return [
        f'  <line class="limit" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>',
        f'  <text x="{right + 8}" y="{at + 4:.1f}">target: at most {y.text(limit)}</text>',
    ]
