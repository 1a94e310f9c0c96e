"""Outputs in simulation, for the gate on drift.

Separate because outputs are histograms. The invariant: the gate and the rules in common use judge
the same histograms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

from bench.gates.chances import chance, spread
from reconciler.core.gates import judge
from reconciler.core.gates.histograms import all_of
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import Batch, Distribution, Samples
from reconciler.core.statistics.divergence import binned_js, binned_wasserstein, psi
from reconciler.core.statistics.homogeneity import ks_p
from reconciler.core.statistics.special import normal_tail
from reconciler.core.verdicts import Outcome

EDGES = (-1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816, math.inf)
"""Tenths of a standard normal distribution."""

LABELS = (0.9, 0.06, 0.03, 0.01)
"""Shares of four answers of a classifier, of which one is rare."""

METRICS = ("psi", "js", "ks", "wasserstein")


def normal(shift: float) -> list[float]:
    """Shares of the cells when the mean is moved by so many standard deviations."""
    below = [1 - normal_tail(edge - shift) for edge in EDGES]
    return [high - low for low, high in zip([0.0, *below], below, strict=False)]


def _raw_psi(one: Distribution, other: Distribution) -> float:
    shares = [[count / part.total for count in part.counts] for part in (one, other)]
    return psi(*shares)


RULES: Mapping[str, Callable[[Distribution, Distribution], bool]] = {
    "PSI ≥ 0.1": lambda a, b: _raw_psi(a, b) >= 0.1,
    "Jensen-Shannon ≥ 0.1": lambda a, b: binned_js(a, b) >= 0.1,
    "Wasserstein ≥ 0.1 σ": lambda a, b: binned_wasserstein(a, b) >= 0.1,
    "KS test, p ≤ 0.05": lambda a, b: ks_p(a, b) <= 0.05,
}


def alarms(
    who: str, size: int, shares: tuple[Sequence[float], Sequence[float]], seeds: range
) -> int:
    """How many runs of one batch are called drift, by a metric of the gate or by a rule."""
    found = 0
    for seed in seeds:
        source = chance("drift", size, shares[1][0], seed)
        parts = (Distribution(_edges(one), spread(source, size, one)) for one in shares)
        found += _judged(who, [Batch(*parts)])
    return found


def _edges(shares: Sequence[float]) -> tuple[float, ...]:
    return EDGES if len(shares) == len(EDGES) else (*map(float, range(1, len(shares))), math.inf)


def looked_at(who: str, looks: int, per_look: int, seeds: range) -> int:
    """How many undrifted rollouts are called drift at any look, with so many observations more of
    each version at each."""
    found = 0
    for seed in seeds:
        source = chance("looks", seed)
        batches: list[Batch] = []
        for _ in range(looks):
            pair = (Distribution(EDGES, spread(source, per_look, normal(0))) for _ in range(2))
            batches.append(Batch(*pair))
            if _judged(who, batches):
                found += 1
                break
    return found


def _judged(who: str, batches: Sequence[Batch]) -> bool:
    """Whether it is drift. A rule takes everything that was observed so far as one sample."""
    if who in RULES:
        whole = all_of(batches)
        return RULES[who](whole.stable, whole.candidate)
    samples = Samples(signals={"score": tuple(batches)})
    return judge("drift", gate_of(who), samples).outcome is Outcome.FAIL


@functools.cache
def gate_of(metric: str) -> GateSpec:
    return GateSpec.model_validate({"drift": {"signals": ["score"], "metric": metric}})
