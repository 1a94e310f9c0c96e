"""Kind Gate: a reusable judgement about a new version beside the stable one.

Separate from the tests that judge (core/gates.py): here is only what people decide, which is
how much worse is too much, and how sure one must be.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of
from reconciler.core.kinds.scalars import (
    DnsLabel,
    Duration,
    Flag,
    Maybe,
    Number,
    PercentText,
    Text,
)
from reconciler.core.quantities import Percent

DEFAULT_CONFIDENCE = Percent.parse("99%")


class ErrorRate(Part):
    """Judge failed requests, at every look, against the concurrent stable version."""

    at_most: PercentText
    """Share of failed requests that is acceptable; promotion needs proof of it."""
    confidence: PercentText = DEFAULT_CONFIDENCE
    """How sure a verdict must be."""


class EvaluationGate(Part):
    """Compare the answers of both versions to the same items of an Evaluation."""

    name: DnsLabel
    """Name of the Evaluation document."""
    margin: PercentText = Percent.parse("0%")
    """How much worse than the stable version is acceptable."""
    confidence: PercentText = DEFAULT_CONFIDENCE
    """How sure a verdict must be."""


class Drift(Part):
    """Compare the distributions of what both versions put out."""

    signals: tuple[Text, ...] = Field(min_length=1)
    """Names of output statistics that the replicas report."""
    effect: Number = 0.1
    """Least difference that counts, however certain it is (population stability index)."""
    confidence: PercentText = DEFAULT_CONFIDENCE
    """How sure one must be that the difference is not sampling noise."""


class Latency(Part):
    """Judge how long requests take."""

    quantile: PercentText = Percent.parse("99%")
    """Share of the requests that must be as fast."""
    at_most: Duration
    """Longest acceptable time at that quantile."""
    enforced: Flag = False
    """Whether it decides; without, it only advises."""


class GateSpec(Choice):
    """What is judged: exactly one of errorRate, evaluation, drift, latency."""

    choices: ClassVar = ("error_rate", "evaluation", "drift", "latency")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    error_rate: Maybe[ErrorRate] = None
    """Failed requests."""
    evaluation: Maybe[EvaluationGate] = None
    """Answers to known questions."""
    drift: Maybe[Drift] = None
    """Distributions of outputs."""
    latency: Maybe[Latency] = None
    """Time that requests take."""


class Gate(Declaration):
    """A reusable judgement that rollouts name."""

    kind: Literal["Gate"]
    """What this document declares."""
    spec: GateSpec
    """What is judged."""
