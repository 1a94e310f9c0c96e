"""Backtesting: what a gate would have said, look by look, over data that was recorded.

Separate from rollouts, which it does without: a gate can be tried on last month's data before
anybody trusts it. The invariant: each verdict rests on what was known at that look, and on nothing
that came later.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from reconciler.core.errors import Invalid
from reconciler.core.gates import judge
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import Exposure, QueryPoint, Samples, Traffic
from reconciler.core.verdicts import Outcome, Verdict

_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class RecordedLook:
    """One line of a recording. Counts are those since the traffic was divided in this way.

    `at` is seconds since the epoch, `value` the answer of a query. `share` is between 0 and 1.
    """

    at: Annotated[float, Field(ge=0, le=4e9, allow_inf_nan=False)]
    traffic: Traffic = Traffic.WEIGHT
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    stable_requests: _Count = 0
    stable_errors: _Count = 0
    candidate_requests: _Count = 0
    candidate_errors: _Count = 0
    value: float | None = None

    __pydantic_config__ = ConfigDict(alias_generator=to_camel, extra="forbid")


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, the gate says this. `look` counts from 1."""

    look: int
    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of it: every change of mind, and how the gate would have decided."""

    looks: int
    changes: tuple[Change, ...]

    @property
    def aborted(self) -> Change | None:
        """Where the version would have been taken back: at the first failure."""
        return next((c for c in self.changes if c.verdict.outcome is Outcome.FAIL), None)

    @property
    def promoted(self) -> Change | None:
        """Where the gate would first have let it pass, before any failure."""
        for change in self.changes:
            if change.verdict.outcome is not Outcome.HOLD:
                return change if change.verdict.outcome is Outcome.PASS else None
        return None


def backtest(name: str, gate: GateSpec, looks: Sequence[RecordedLook]) -> Backtest:
    """Judge every look. They must be in the order of time."""
    return Backtest(len(looks), tuple(_changes(name, gate, looks)))


def _changes(name: str, gate: GateSpec, looks: Sequence[RecordedLook]) -> Iterator[Change]:
    before: Outcome | None = None
    earlier: list[Exposure] = []
    points: list[QueryPoint] = []
    for number, look in enumerate(looks, start=1):
        previous = looks[number - 2] if number > 1 else None
        if previous is not None and _is_another_step(previous, look):
            earlier.append(_exposure(previous))
        points.append(QueryPoint(look.at, look.value))
        samples = Samples(exposures=(*earlier, _exposure(look)), queries={name: tuple(points)})
        verdict = judge(name, gate, samples)
        if verdict.outcome is not before:
            before = verdict.outcome
            yield Change(number, look.at, verdict)


def _is_another_step(before: RecordedLook, after: RecordedLook) -> bool:
    return (before.traffic, before.share) != (after.traffic, after.share)


def _exposure(look: RecordedLook) -> Exposure:
    return Exposure(
        look.traffic,
        look.share,
        look.stable_requests,
        look.stable_errors,
        look.candidate_requests,
        look.candidate_errors,
    )


def looks_from_points(
    points: Mapping[str, Sequence[QueryPoint]], *, share: float
) -> tuple[RecordedLook, ...]:
    """Looks made of what a provider remembers, by the field of a look that each series fills.

    Totals count from the first look on, and go on from where they were when a counter began anew.
    A time at which a series has no answer is no look. Raises Invalid when none is left.
    """
    fields = {name: {p.at: p.value for p in series} for name, series in points.items()}
    times = sorted(set[float]().union(*fields.values()))
    whole = [at for at in times if all(_is_number(values.get(at)) for values in fields.values())]
    if not whole:
        raise Invalid(
            "the provider has no answers for that time",
            hint="ask it for the same queries yourself, and choose another --from",
        )
    if fields.keys() == {"value"}:
        return tuple(RecordedLook(at, value=fields["value"][at]) for at in whole)
    totals = {name: _totals([values[at] or 0.0 for at in whole]) for name, values in fields.items()}
    return tuple(
        RecordedLook(
            at,
            Traffic.WEIGHT,
            share,
            totals["stable_requests"][number],
            totals["stable_errors"][number],
            totals["candidate_requests"][number],
            totals["candidate_errors"][number],
        )
        for number, at in enumerate(whole)
    )


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _totals(readings: Sequence[float]) -> list[int]:
    total, found = 0.0, [0]
    for before, now in itertools.pairwise(readings):
        total += now - before if now >= before else now
        found.append(round(total))
    return found


_LOOK = TypeAdapter(RecordedLook)


def looks_from_lines(text: str, *, name: str) -> tuple[RecordedLook, ...]:
    """Read a recording: one JSON object a line, blank lines aside.

    Raises Invalid with every line that cannot be read, or is out of the order of time.
    """
    looks: list[RecordedLook] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            look = _LOOK.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            problems.append(f"{name}:{number}: {where} {first['msg']}".replace("  ", " "))
            continue
        if looks and look.at <= looks[-1].at:
            problems.append(f"{name}:{number}: is not later than the line before")
        looks.append(look)
    if problems or not looks:
        raise Invalid(
            "\n".join(problems) or f"{name} has no lines",
            hint='write lines such as {"at": 1767225600, "share": 0.05, "stableRequests": 950, '
            '"candidateRequests": 50, "candidateErrors": 1}',
        )
    return tuple(looks)
