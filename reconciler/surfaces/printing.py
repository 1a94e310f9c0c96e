"""Lines to a terminal: the one place that knows colours.

Separate from what is said. The invariant: nothing but text goes to a pipe, or to a person who
asked for no colour (https://no-color.org).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from reconciler.core.presenting.lines import Line, Piece, Tone

_COLOURS = {
    Tone.GOOD: "green",
    Tone.WARNING: "yellow",
    Tone.BAD: "red",
    Tone.ADDED: "green",
    Tone.CHANGED: "yellow",
    Tone.REMOVED: "red",
}


def print_lines(lines: Iterable[Line]) -> None:
    """Write lines to standard output, coloured on a terminal."""
    color = False if os.environ.get("NO_COLOR") else None
    for found in lines:
        click.echo("".join(map(_styled, found)).rstrip(), color=color)


def _styled(part: Piece) -> str:
    if part.tone is Tone.PLAIN:
        return part.text
    if part.tone is Tone.STRONG:
        return click.style(part.text, bold=True)
    if part.tone is Tone.FAINT:
        return click.style(part.text, dim=True)
    return click.style(part.text, fg=_COLOURS[part.tone])
