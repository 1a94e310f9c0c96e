"""`fairlead rollout`: where rollouts stand, why they moved, and whether that can be relied on.

Separate from `fairlead status`, which is about clusters. The invariant: these commands only read;
what moves a rollout is evidence and Git.

Exit codes: 0; of `replay` 1 when a decision comes out otherwise than it was recorded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import orjson

from reconciler.core.audit.records import Verb
from reconciler.core.errors import Missing, Unavailable
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.evidence_chart import curve_of, svg_chart
from reconciler.core.presenting.lines import Line, line
from reconciler.core.presenting.rollout_text import (
    explanation_lines,
    moves_table,
    rollout_lines,
)
from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.history import RecordedMove, move_of
from reconciler.core.standing import Status, status_json
from reconciler.ports import AuditLog, MetricsSource
from reconciler.settings import Settings
from reconciler.settings_loading import load_settings
from reconciler.surfaces.audit_reading import Filter, newest
from reconciler.surfaces.backtest_command import backtest_command
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.run_command import config_option
from reconciler.surfaces.simulate_command import simulate_command

MOST_MOVES = 200


@dataclass(frozen=True, slots=True)
class RolloutTools:
    """What the composition root hands to the commands, as the context's object."""

    status: Callable[[Settings], Coroutine[object, object, Status]]
    open_log: Callable[[Settings], AbstractAsyncContextManager[AuditLog]]
    open_metrics: Callable[[str], MetricsSource]


@click.group("rollout")
def rollout_group() -> None:
    """See where rollouts stand, and why they moved."""


rollout_group.add_command(backtest_command)
rollout_group.add_command(simulate_command)


@rollout_group.command("status")
@click.argument("name", default="", metavar="[ROLLOUT]")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.make_pass_decorator(RolloutTools)
def status_command(tools: RolloutTools, *, name: str, config: Path, as_json: bool) -> None:
    """Show where each rollout stands, what it waits for, and what comes next."""
    status = asyncio.run(tools.status(load_settings(config, os.environ)))
    if not status.running:
        raise Unavailable(
            "no daemon answers, and only it knows where rollouts stand",
            hint="start it with `fairlead run`, or read what happened: `fairlead rollout explain`",
        )
    found = [rollout for rollout in status.rollouts if name in ("", rollout.rollout)]
    if name and not found:
        known = ", ".join(rollout.rollout for rollout in status.rollouts) or "there are none"
        raise Missing(f"no rollout {name} goes step by step", hint=f"known: {known}")
    if as_json:
        bodies = cast("list[JsonObject]", status_json(status)["rollouts"])
        shown = [body for body in bodies if name in ("", body["rollout"])]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        return
    lines: list[Line] = []
    for rollout in found:
        lines += [*([()] if lines else []), *rollout_lines(rollout)]
    print_lines(lines or [line("no rollout goes step by step")])


@rollout_group.command("explain")
@click.argument("name", metavar="ROLLOUT")
@config_option
@click.option("--record", type=int, help="Explain this record of the log, not the newest move.")
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw the evidence to a file."
)
@click.make_pass_decorator(RolloutTools)
def explain_command(
    tools: RolloutTools, *, name: str, config: Path, record: int | None, svg: Path | None
) -> None:
    """Say why ROLLOUT last moved: the number that decided, its line, and when it was crossed."""
    moves = _moves(tools, config, name)
    move = moves[-1]
    if record is not None:
        chosen = [known for known in moves if known.index == record]
        if not chosen:
            raise Missing(
                f"record {record} is no move of rollout {name}",
                hint="leave --record out to see which there are",
            )
        move = chosen[0]
    print_lines(explanation_lines(move))
    if record is None:
        print_lines([(), line("All moves"), *moves_table(moves)])
    if svg is not None:
        _draw(move, svg)


@rollout_group.command("replay")
@click.argument("name", metavar="ROLLOUT")
@config_option
@click.make_pass_decorator(RolloutTools)
@click.pass_context
def replay_command(context: click.Context, tools: RolloutTools, *, name: str, config: Path) -> None:
    """Make every recorded decision about ROLLOUT again, from its evidence in the audit log."""
    moves = _moves(tools, config, name)
    otherwise = 0
    for move in moves:
        differences = move.replayed()
        otherwise += bool(differences)
        words = "; ".join(differences) if differences else "the same, bit for bit"
        print_lines([line(f"record {move.index:<6} {move.move:<11} {words}")])
    context.exit(1 if otherwise else 0)


def _moves(tools: RolloutTools, config: Path, name: str) -> list[RecordedMove]:
    settings = load_settings(config, os.environ)

    async def read() -> list[RecordedMove]:
        async with tools.open_log(settings) as log:
            wanted = Filter(verb=Verb.ROLLOUT, rollout=name)
            logged = await newest(log, wanted, limit=10 * MOST_MOVES)
        found = (move_of(item.index, item.record) for item in logged)
        return [move for move in found if move is not None]

    moves = asyncio.run(read())[-MOST_MOVES:]
    if not moves:
        raise Missing(
            f"the log has no decision about a rollout {name}",
            hint="rollouts that go step by step have some: see `fairlead rollout status`",
        )
    return moves


def _draw(move: RecordedMove, path: Path) -> None:
    """Draw the gate that decided, else the first that has a curve."""
    failure = move.after.failure
    decided = failure.gate if failure and move.move == Move.ABORT else ""
    for verdict in sorted(move.verdicts, key=lambda verdict: verdict.gate != decided):
        curve = curve_of(move.trail, verdict)
        if curve is not None:
            title = f"{move.rollout}: {move.move}, gate {verdict.gate}"
            path.write_text(svg_chart(curve, title=title), encoding="utf-8")
            click.echo(f"drew {path}")
            return
    raise Missing("this move has no evidence that can be drawn", hint="choose one with --record")
