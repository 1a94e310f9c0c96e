"""What was found, the targets of the design, and whether they are held.

Separate from the simulations and from the page, so that a test can hold figures against the
targets. The invariant: a target is never moved to where the figures are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a plot. `x` and `y` as long as each other."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 95th percentile of many runs."""

    middle: int
    high: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Spread:
        ordered = sorted(values)
        return cls(ordered[len(ordered) // 2], ordered[-(-95 * len(ordered) // 100) - 1])


@dataclass(frozen=True, slots=True)
class Exposure:
    """Requests to a new version, and their errors, before FAIL.

    `beside` is the stable version's error rate; None in a cohort, where there is none beside.
    """

    rate: float
    beside: float | None
    requests: Spread
    errors: Spread


@dataclass(frozen=True, slots=True)
class Late:
    """Failed requests to a version that goes bad after `before` requests, till FAIL; by the share
    of the requests that it has."""

    rate: float
    before: int
    beside: Spread
    full: Spread


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is published. Shares are between 0 and 1; `runs` are of each claim."""

    runs: int
    false_aborts: Mapping[str, Mapping[str, float]]
    """By kind of healthy rollout, then by who judged."""
    aborted_by_look: Sequence[Curve]
    rule_aborts: Mapping[tuple[float, int], Mapping[str, float]]
    """By the error rate of both versions and the canary's requests in a look, then by rule."""
    exposures: Sequence[Exposure]
    late: Sequence[Late]
    rule_exposures: Mapping[float, Mapping[str, Spread]]
    """Requests before the abort, by the canary's error rate, then by rule."""
    false_promotions: Mapping[float, Mapping[str, float]]
    """By the canary's error rate, then by who judged."""
    promoted_without_data: int
    asked_without_data: int
    drift_alarms: Sequence[Curve]
    """Over the number of observations, where nothing drifts."""
    drift_looks: Mapping[str, float]
    """Share of undrifted rollouts alarmed at any of many looks, by who judged."""
    drift_power: Mapping[str, float]
    """By metric: half a standard deviation, 200 observations of each."""
    power_by_shift: Sequence[Curve]

    def worst_requests(self, rate: float) -> int:
        """95th percentile where the candidate has 5 % of the traffic, beside the worst stable."""
        return max(e.requests.high for e in self._exposures(rate) if e.beside is not None)

    def worst_errors(self, rate: float) -> int:
        return max(e.errors.high for e in self._exposures(rate))

    def _exposures(self, rate: float) -> list[Exposure]:
        return [item for item in self.exposures if item.rate == rate]


@dataclass(frozen=True, slots=True)
class Target:
    """A promise of the design: `value` must be at most the limit, or at least it."""

    what: str
    value: float
    limit: float
    is_share: bool = False
    is_least: bool = False

    @property
    def held(self) -> bool:
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def texts(self) -> tuple[str, str]:
        """The limit and the value, for a table."""
        sign = "≥" if self.is_least else "≤"
        if not self.is_share:
            return f"{sign} {self.limit:g}", f"{self.value:,.0f}"
        return f"{sign} {self.limit * 100:g} %", f"{self.value * 100:.2f} %"


def targets(figures: Figures) -> list[Target]:
    """The promises, each with what was found in the worst case."""
    aborts = max(by["gate"] for by in figures.false_aborts.values())
    alarms = max(max(c.y) for c in figures.drift_alarms if c.name.startswith("gate"))
    return [
        Target("false aborts of a healthy rollout, at any look", aborts, 0.01, is_share=True),
        Target(
            "false promotions at 5 % errors, where 1 % is allowed",
            figures.false_promotions[0.05]["gate"],
            0.01,
            is_share=True,
        ),
        Target("promotions on missing or too little data", figures.promoted_without_data, 0),
        Target("errors before the abort when all requests fail, p95", figures.worst_errors(1.0), 5),
        Target("canary requests before the abort at 20 %, p95", figures.worst_requests(0.2), 50),
        Target("canary requests before the abort at 5 %, p95", figures.worst_requests(0.05), 600),
        Target("false alarms of drift, at any sample size", alarms, 0.01, is_share=True),
        Target(
            "false alarms of drift, over many looks",
            figures.drift_looks["gate"],
            0.01,
            is_share=True,
        ),
        Target(
            "drift of 0.5 σ seen with 200 observations of each",
            min(figures.drift_power.values()),
            0.95,
            is_share=True,
            is_least=True,
        ),
    ]
