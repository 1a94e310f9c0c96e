"""Kind Gate: a reusable judgement about a new version beside the stable one.

Separate from what judges (core/gates): here is only what people decide, which is how much worse is
too much, and how sure one must be.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.types import Strict

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of, refusal
from reconciler.core.kinds.scalars import (
    DnsLabel,
    Duration,
    Flag,
    Maybe,
    Number,
    PercentText,
    Principal,
    Text,
)
from reconciler.core.quantities import Percent

DEFAULT_CONFIDENCE = Percent.parse("99%")

PLACEHOLDERS = ("rollout", "namespace", "version", "stable")
"""What a query may hold between double braces."""

PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


class ErrorRate(Part):
    """Judge failed requests, at every look, against the concurrent stable version."""

    at_most: PercentText
    """Share of failed requests that is acceptable; promotion needs proof of it."""
    confidence: PercentText = DEFAULT_CONFIDENCE
    """How sure a verdict must be."""
    ratio: Annotated[float, Strict(), Field(gt=0)] = 1.0
    """How many times the stable version's error rate is acceptable; more, surely, takes back."""


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
    metric: Literal["psi", "js", "ks", "wasserstein"] = "psi"
    """Unit of `effect`: population stability index, Jensen-Shannon distance, Kolmogorov-Smirnov
    distance, or Wasserstein distance in standard deviations of the stable version."""
    effect: Number = 0.1
    """Least difference that counts, however certain it is, in units of `metric`."""
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


class PromQl(Choice):
    """Hold the answers of a metrics provider against a line: exactly one of atMost, atLeast."""

    choices: ClassVar = ("at_most", "at_least")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    query: Text
    """A PromQL expression that gives one number. {{rollout}}, {{namespace}}, {{version}} and
    {{stable}} are filled in."""
    at_most: Maybe[Annotated[float, Strict()]] = None
    """The number must not be greater."""
    at_least: Maybe[Annotated[float, Strict()]] = None
    """The number must not be less."""
    over: Duration = Field(alias="for")
    """How long every answer must agree before it decides."""

    @field_validator("query")
    @classmethod
    def _refuse_unknown_placeholders(cls, query: str) -> str:
        for name in PLACEHOLDER.findall(query):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{{{known}}}}}" for known in PLACEHOLDERS)
                raise refusal(f"has an unknown placeholder {{{{{name}}}}}", hint=f"use {known}")
        return query


class Approval(Part):
    """Wait until a person agrees."""

    by: tuple[Principal, ...] = Field(min_length=1)
    """Who may agree: roles, or agents written agent/NAME. One is enough."""


class GateSpec(Choice):
    """What is judged: exactly one of errorRate, evaluation, drift, latency, promql, approval."""

    choices: ClassVar = ("error_rate", "evaluation", "drift", "latency", "promql", "approval")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    error_rate: Maybe[ErrorRate] = None
    """Failed requests."""
    evaluation: Maybe[EvaluationGate] = None
    """Answers to known questions."""
    drift: Maybe[Drift] = None
    """Distributions of outputs."""
    latency: Maybe[Latency] = None
    """Time that requests take."""
    promql: Maybe[PromQl] = None
    """Answers of a metrics provider."""
    approval: Maybe[Approval] = None
    """A person's consent."""


class Gate(Declaration):
    """A reusable judgement that rollouts name."""

    kind: Literal["Gate"]
    """What this document declares."""
    spec: GateSpec
    """What is judged."""
