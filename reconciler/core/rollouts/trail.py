"""Trail: how the evidence about a version grew, for people who ask why.

Separate from the evidence itself, which is of one moment and decides. The invariant: a trail has
a bounded number of points, whatever the time that it covers, and the newest is always among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import ConfigDict, TypeAdapter

from reconciler.core.manifests import JsonValue
from reconciler.core.rollouts.evidence import Evidence
from reconciler.core.verdicts import Outcome, Verdict

MOST_POINTS = 120

_STORED = ConfigDict(ser_json_inf_nan="strings")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gate said. `abort` and `promote` are its numbers on the way to either line."""

    outcome: Outcome
    abort: float | None = None
    promote: float | None = None

    __pydantic_config__ = _STORED


@dataclass(frozen=True, slots=True)
class Point:
    """One look. `at` is seconds since the epoch; requests and errors are the candidate's so far."""

    at: float
    wave: int
    step: int
    requests: int
    errors: int
    gates: Mapping[str, Reading]

    __pydantic_config__ = _STORED


def point_of(evidence: Evidence, verdicts: Sequence[Verdict]) -> Point:
    exposures = evidence.samples.exposures
    return Point(
        at=evidence.now,
        wave=evidence.state.wave,
        step=evidence.state.step,
        requests=sum(exposure.candidate_requests for exposure in exposures),
        errors=sum(exposure.candidate_errors for exposure in exposures),
        gates={
            verdict.gate: Reading(
                verdict.outcome,
                verdict.abort.value if verdict.abort else None,
                verdict.promote.value if verdict.promote else None,
            )
            for verdict in verdicts
        },
    )


class Trail:
    """Points at even distances, which double whenever there would be too many."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._every = 1
        self._looks = 0

    def add(self, point: Point) -> None:
        if self._points and (self._looks - 1) % self._every:
            self._points[-1] = point  # in place of the newest, which was not its turn either
        else:
            self._points.append(point)
        self._looks += 1
        if len(self._points) > MOST_POINTS:
            self._points = self._points[::-2][::-1]
            self._every *= 2

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(self._points)


_TRAIL = TypeAdapter(tuple[Point, ...])


def trail_json(points: Sequence[Point]) -> JsonValue:
    """The points as JSON, without loss."""
    body = _TRAIL.dump_json(tuple(points), exclude_none=True)
    return cast(JsonValue, TypeAdapter(list).validate_json(body))


def trail_from_json(body: JsonValue) -> tuple[Point, ...]:
    """What `trail_json` made. Raises ValueError on anything else."""
    return _TRAIL.validate_python(body)
