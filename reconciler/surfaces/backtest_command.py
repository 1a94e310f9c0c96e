"""`fairlead rollout backtest`: try a gate on recorded data before anybody trusts it.

Separate from the commands that read the daemon's log, because this one needs neither daemon nor
settings. The invariant: the gate is the one that lies in the repository, judged by the function
that the daemon calls.

Exit codes: 0, whatever the gate would have said; 1 when it or the data cannot be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import click

from reconciler.core.errors import Missing
from reconciler.core.gates import Names, filled
from reconciler.core.kinds import Gate, Rollout
from reconciler.core.presenting.lines import Line, Tone, line, piece, plural
from reconciler.core.rollouts.backtesting import (
    Backtest,
    backtest,
    looks_from_lines,
    looks_from_points,
)
from reconciler.core.samples import QueryPoint
from reconciler.core.verdicts import Outcome
from reconciler.ports import MetricsSource
from reconciler.surfaces.printing import print_lines
from reconciler.surfaces.validate_command import valid_state

_TONES = {Outcome.PASS: Tone.GOOD, Outcome.FAIL: Tone.BAD, Outcome.HOLD: Tone.WARNING}
_COUNTERS = ("stable_requests", "stable_errors", "candidate_requests", "candidate_errors")


class MetricsTools(Protocol):
    """What the composition root hands to the command."""

    @property
    def open_metrics(self) -> Callable[[str], MetricsSource]: ...


@dataclass(frozen=True, slots=True)
class _Span:
    """Which time of a provider's memory is looked at, and how often. Seconds."""

    start: float
    end: float
    step: float


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
    help="Recorded looks, one JSON object a line.",
)
@click.option("--prometheus", help="URL of a Prometheus server, instead of a file.")
@click.option("--from", "start", help="Begin there: 2027-01-31T12:00:00Z.")
@click.option("--to", "end", help="End there; now by default.")
@click.option("--step", default=15.0, show_default=True, help="Seconds between two looks.")
@click.option("--rollout", help="Of a gate with a query: the Rollout that it asks about.")
@click.option("--version", default="", help="Version that the query calls new.")
@click.option("--stable", default="", help="Version that the query calls stable.")
@click.option("--share", default=0.5, show_default=True, help="Part of the requests that is new.")
@click.option("--stable-requests", default="", help="PromQL: total of requests so far.")
@click.option("--stable-errors", default="", help="PromQL: total of failed ones.")
@click.option("--candidate-requests", default="", help="PromQL: the same of the new version.")
@click.option("--candidate-errors", default="", help="PromQL: the same of the new version.")
@click.pass_obj
def backtest_command(
    tools: MetricsTools,
    /,
    *,
    gate: str,
    repository: Path,
    recording: Path | None,
    prometheus: str | None,
    **asked: str | float | None,
) -> None:
    """Say what GATE would have done with recorded looks, and when.

    A line of --file has "at" (seconds since the epoch) and what was counted since the traffic was
    divided in this way: "share", "stableRequests", "stableErrors", "candidateRequests",
    "candidateErrors"; for a gate with a query, "value". With --prometheus, the query of the gate is
    asked, or the four totals.
    """
    found, rollouts = _declared(repository, gate)
    if (recording is None) == (prometheus is None):
        raise click.UsageError("give one of --file and --prometheus")
    if recording is not None:
        text = recording.read_bytes().decode("utf-8", "replace")
        looks = looks_from_lines(text, name=str(recording))
    else:
        queries = _queries(found, rollouts, asked)
        source = tools.open_metrics(str(prometheus))
        points = asyncio.run(_answers(source, queries, _span(asked)))
        looks = looks_from_points(points, share=float(asked["share"] or 0))
    result = backtest(gate, found.spec, looks)
    print_lines([*_changes(result), _verdict(gate, result)])


async def _answers(
    source: MetricsSource, queries: Mapping[str, str], span: _Span
) -> Mapping[str, Sequence[QueryPoint]]:
    try:
        return {
            name: await source.over(query, start=span.start, end=span.end, step=span.step)
            for name, query in queries.items()
        }
    finally:
        await source.close()


def _queries(
    gate: Gate, rollouts: Mapping[str, Rollout], asked: Mapping[str, object]
) -> Mapping[str, str]:
    """What the provider is asked, by the field of a look that it fills."""
    if gate.spec.promql is not None:
        rollout = rollouts.get(str(asked["rollout"]))
        if rollout is None:
            raise click.UsageError(f"--rollout must be one of {', '.join(sorted(rollouts))}")
        names = Names(
            rollout.name, rollout.spec.namespace, str(asked["version"]), str(asked["stable"])
        )
        return {"value": filled(gate.spec.promql.query, names)}
    queries = {name: str(asked[name]) for name in _COUNTERS if asked[name]}
    if len(queries) < len(_COUNTERS):
        missing = ", ".join(f"--{n.replace('_', '-')}" for n in _COUNTERS if n not in queries)
        raise click.UsageError(f"a gate without a query needs {missing}")
    return queries


def _span(asked: Mapping[str, object]) -> _Span:
    start, end = asked["start"], asked["end"]
    if not start:
        raise click.UsageError("--prometheus needs --from")
    now = datetime.now(UTC).timestamp()
    step = asked["step"]
    assert isinstance(step, float)
    return _Span(_moment(str(start)), _moment(str(end)) if end else now, step)


def _moment(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a time such as 2027-01-31T12:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _declared(repository: Path, name: str) -> tuple[Gate, Mapping[str, Rollout]]:
    desired = valid_state(repository)
    if name not in desired.gates:
        known = ", ".join(sorted(desired.gates)) or "there are none"
        raise Missing(f"{repository} declares no Gate {name}", hint=f"known: {known}")
    return desired.gates[name], desired.rollouts


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
