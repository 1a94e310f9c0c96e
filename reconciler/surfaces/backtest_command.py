"""`fairlead rollout backtest`: try a gate on recorded data before anybody trusts it.

Separate from the commands that read the daemon's log, because this one needs neither daemon nor
settings. The invariant: the gate is the one that lies in the repository, judged by the function
that the daemon calls.

Exit codes: 0, whatever the gate would have said; 1 when it or the data cannot be read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from reconciler.core.errors import Invalid, Missing
from reconciler.core.kinds import Gate
from reconciler.core.presenting.lines import Line, Tone, line, piece, plural
from reconciler.core.rollouts.backtesting import Backtest, backtest, looks_from_lines
from reconciler.core.verdicts import Outcome
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.validate_command import validate_directory

_TONES = {Outcome.PASS: Tone.GOOD, Outcome.FAIL: Tone.BAD, Outcome.HOLD: Tone.WARNING}


@click.command("backtest")
@click.argument("gate", metavar="GATE")
@click.option(
    "--repo",
    "repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Work tree of the config repository; the current directory by default.",
)
@click.option(
    "--file",
    "recording",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Recorded looks, one JSON object a line.",
)
def backtest_command(*, gate: str, repository: Path, recording: Path) -> None:
    """Say what GATE would have done with recorded looks, and when.

    A line has "at" (seconds since the epoch) and what was counted since the traffic was divided
    in this way: "share", "stableRequests", "stableErrors", "candidateRequests",
    "candidateErrors"; for a gate with a query, "value".
    """
    found = _gate(repository, gate)
    looks = looks_from_lines(recording.read_text(encoding="utf-8"), name=str(recording))
    result = backtest(gate, found.spec, looks)
    print_lines([*_changes(result), _verdict(gate, result)])


def _gate(repository: Path, name: str) -> Gate:
    validation = validate_directory(repository)
    if validation.compilation is None:
        raise Invalid(
            f"{repository} is not valid", hint=f"see what is wrong: fairlead validate {repository}"
        )
    gates = validation.compilation.state.gates
    if name not in gates:
        known = ", ".join(sorted(gates)) or "there are none"
        raise Missing(f"{repository} declares no Gate {name}", hint=f"known: {known}")
    return gates[name]


def _changes(result: Backtest) -> list[Line]:
    return [
        line(
            f"{_time(change.at)}  look {change.look:<6,} ",
            piece(f"{change.verdict.outcome:<5}", _TONES[change.verdict.outcome]),
            f" {change.verdict.summary}",
        )
        for change in result.changes
    ]


def _verdict(gate: str, result: Backtest) -> Line:
    over = f"over {plural(result.looks, 'look')}"
    if result.aborted is not None:
        text = (
            f"gate {gate} would have taken the version back at {_time(result.aborted.at)}, {over}"
        )
        return line(piece(text, Tone.BAD))
    if result.promoted is not None:
        text = f"gate {gate} would have let it pass from {_time(result.promoted.at)} on, {over}"
        return line(piece(text, Tone.GOOD))
    return line(piece(f"gate {gate} would have held all the time, {over}", Tone.WARNING))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
