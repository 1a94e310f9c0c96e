"""Simulate, and put the figures into their page.

Separate from what is simulated.

Exit codes: 0; 1 when a target of the design is missed.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from bench.gates.figures import targets
from bench.gates.page import plots, with_figures
from bench.gates.running import measure

DOCS = Path(__file__).parents[2] / "docs"


@click.command()
@click.option(
    "--runs",
    type=click.IntRange(min=400),
    default=10_000,
    show_default=True,
    help="Seeded runs of each claim.",
)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=DOCS / "gates.md",
    help="Page to put the figures into; the plots go to images/ beside it.",
)
@click.pass_context
def gates(context: click.Context, *, runs: int, page: Path) -> None:
    """Measure how often the gates err, and how many requests they need."""
    began = time.monotonic()
    figures = measure(runs, lambda text: click.echo(f"  {text}…"))
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    page.write_text(with_figures(page.read_text(encoding="utf-8"), figures), encoding="utf-8")
    for name, svg in plots(figures).items():
        (images / name).write_text(svg, encoding="utf-8")
    for target in targets(figures):
        limit, value = target.texts
        click.echo(f"{'held  ' if target.held else 'MISSED'}  {target.what}: {value} ({limit})")
    click.echo(f"wrote {page} in {time.monotonic() - began:.0f} s")
    context.exit(0 if all(target.held for target in targets(figures)) else 1)


if __name__ == "__main__":
    gates()
