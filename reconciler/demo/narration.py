"""What the demo prints: steps with their time, evidence under them, and the output of commands.

Separate from what happens, so that the story reads like one. It prints plain text where colour is
not wanted (NO_COLOR, no terminal), and nothing that a pipe could not hold.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from reconciler.core.errors import Terminal
from reconciler.core.problems import printable

WIDTH = 110


class StepFailed(Terminal):
    """Something that the demo promises did not happen."""

    code = "demo-failed"


class Narrator:
    """Tells the story. Steps are numbered, and timed from the beginning."""

    def __init__(self, *, steps: int) -> None:
        self._steps = steps
        self._step = 0
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        self._step += 1
        click.echo()
        number = click.style(f"[{self._step}/{self._steps}]", fg="cyan", bold=True)
        moment = click.style(f"{self.elapsed:5.1f} s", dim=True)
        click.echo(f"{number} {moment}  {click.style(title, bold=True)}")

    def say(self, text: str) -> None:
        click.echo(f"      {text}")

    def moment(self, text: str) -> None:
        """Something that happens now, with its time."""
        click.echo(f"      {click.style(f'{self.elapsed:5.1f} s', dim=True)}  {text}")

    def proof(self, text: str) -> None:
        """Something that was checked and is so."""
        click.echo(f"      {click.style('✓', fg='green')} {text}")

    def command(self, words: Iterable[str]) -> None:
        click.echo(click.style(f"      $ {' '.join(words)}", fg="yellow"))

    def output(self, text: str, *, most: int = 24) -> None:
        """Show the beginning of what a command printed; long lines end in an ellipsis."""
        lines = [line for line in text.splitlines() if line.strip()]
        for line in lines[:most]:
            click.echo(f"        {click.style(printable(line, limit=WIDTH), dim=True)}")
        if len(lines) > most:
            click.echo(click.style(f"        … {len(lines) - most} more lines", dim=True))

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.proof(f"{what} after {time.monotonic() - began:.2f} s")
