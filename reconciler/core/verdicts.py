"""Verdict: what a gate says, with the numbers that decided.

Separate from the gates, because the position of a rollout, the page and the audit log hold
verdicts and never judge. The invariant: a verdict without evidence is HOLD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from pydantic import ConfigDict, TypeAdapter

from reconciler.core.manifests import JsonObject

_LOSSLESS = ConfigDict(ser_json_inf_nan="strings")
"""JSON has no NaN and no infinity."""


class Outcome(StrEnum):
    """PASS: proven good enough; FAIL: proven too bad; HOLD: neither is proven yet."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Line:
    """A number and the line that it must cross for the outcome, or crossed.

    `name` says in words what the number is, `above` whether the outcome lies above the line.
    """

    name: str
    value: float
    limit: float
    above: bool

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says. `summary` is a sentence for people, with the deciding numbers.

    `abort` and `promote` are the lines that lead to FAIL and to PASS, where there are any. An
    `advisory` verdict is shown and decides nothing. `numbers` are others worth keeping.
    """

    gate: str
    outcome: Outcome
    summary: str
    abort: Line | None = None
    promote: Line | None = None
    advisory: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)

    __pydantic_config__ = _LOSSLESS


_VERDICT = TypeAdapter(Verdict)


def verdict_json(verdict: Verdict) -> JsonObject:
    """The verdict as JSON, without loss: NaN and infinity are strings."""
    return cast(JsonObject, TypeAdapter(dict).validate_json(_VERDICT.dump_json(verdict)))


def verdict_from_json(body: JsonObject) -> Verdict:
    """What `verdict_json` made. Raises ValueError on anything else."""
    return _VERDICT.validate_python(body)
