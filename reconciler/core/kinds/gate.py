"""Kind Gate: a reusable judgement about a new version beside the stable one.

Separate from what judges (core/gates): here is only what people decide, which is how much worse is
too much, and how sure one must be. The invariant: there is evidence on which a gate passes, and
evidence on which it does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.types import Strict

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of, refusal, unique
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


SHORTEST, LONGEST = timedelta(seconds=15), timedelta(hours=1)
"""Over which a query may be judged. Within less there are too few answers, since a provider is
asked every 5 s or a little later; of more not all answers are kept."""


def _without(ends: Mapping[str, str], *, hint: str) -> Callable[[Percent], Percent]:
    """Refuse the shares that are keys of `ends`, for the reasons there."""

    def check(share: Percent) -> Percent:
        if reason := ends.get(str(share)):
            raise refusal(f"is {share}, which {reason}", hint=hint)
        return share

    return check


_UNPROVABLE, _KEPT_BY_ALL = "no number of requests can prove", "every version keeps"

Confidence: TypeAlias = Annotated[
    PercentText,
    AfterValidator(
        _without(
            {"0%": "takes chance for proof", "100%": "no evidence can reach"},
            hint="say how sure a verdict must be: 99%",
        )
    ),
]
Tolerance: TypeAlias = Annotated[
    PercentText,
    AfterValidator(
        _without({"0%": _UNPROVABLE, "100%": _KEPT_BY_ALL}, hint="say how much is acceptable: 0.1%")
    ),
]
Quantile: TypeAlias = Annotated[
    PercentText,
    AfterValidator(
        _without(
            {"0%": _KEPT_BY_ALL, "100%": _UNPROVABLE},
            hint="say which share must be as fast: 99%",
        )
    ),
]
Margin: TypeAlias = Annotated[
    PercentText,
    AfterValidator(_without({"100%": _KEPT_BY_ALL}, hint="say how much worse is acceptable: 2%")),
]

_GREATEST_EFFECTS: Mapping[str, float] = MappingProxyType(
    {"psi": 29.0, "js": math.sqrt(math.log(2)), "ks": 1.0}
)
"""As far apart as two distributions can be. The Wasserstein distance has no bound."""


class ErrorRate(Part):
    """Judge failed requests, at every look, against the concurrent stable version."""

    at_most: Tolerance
    """Share of failed requests that is acceptable; promotion needs proof of it."""
    confidence: Confidence = DEFAULT_CONFIDENCE
    """How sure a verdict must be."""
    ratio: Annotated[float, Strict(), Field(gt=0)] = 1.0
    """How many times the stable version's error rate is acceptable; more, surely, takes back."""


class EvaluationGate(Part):
    """Compare the answers of both versions to the same items of an Evaluation."""

    name: DnsLabel
    """Name of the Evaluation document."""
    margin: Margin = Percent.parse("0%")
    """How much worse than the stable version is acceptable."""
    confidence: Confidence = DEFAULT_CONFIDENCE
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
    confidence: Confidence = DEFAULT_CONFIDENCE
    """How sure one must be that the difference is not sampling noise."""

    @model_validator(mode="after")
    def _refuse_what_never_differs_so_much(self) -> Drift:
        greatest = _GREATEST_EFFECTS.get(self.metric, math.inf)
        if self.effect >= greatest:
            raise refusal(
                f"has an effect of {self.effect:g}, and {self.metric} is never above "
                f"{math.floor(greatest * 100) / 100:g}",
                hint="say from which difference on it counts: 0.1",
            )
        return self

    @field_validator("signals")
    @classmethod
    def _refuse_repeated_signals(cls, signals: tuple[str, ...]) -> tuple[str, ...]:
        return unique(signals, name=lambda signal: signal)


class Latency(Part):
    """Judge how long requests take."""

    quantile: Quantile = Percent.parse("99%")
    """Share of the requests that must be as fast."""
    at_most: Duration
    """Longest acceptable time at that quantile."""
    enforced: Flag = False
    """Whether it decides; without, it only advises."""

    @field_validator("at_most")
    @classmethod
    def _refuse_no_time(cls, at_most: timedelta) -> timedelta:
        if not at_most:
            raise refusal("is no time, which no request keeps", hint="write a time such as 250ms")
        return at_most


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
    """How long every answer must agree before it decides: 15 s to 1 h."""

    @field_validator("over")
    @classmethod
    def _refuse_what_is_never_covered(cls, over: timedelta) -> timedelta:
        if not SHORTEST <= over <= LONGEST:
            raise refusal(
                "is not between 15s and 1h: too few of the answers would be there to decide",
                hint="write a time such as 1m",
            )
        return over

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
