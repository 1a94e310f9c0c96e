"""The gate on what the versions put out.

Separate because it compares histograms. Drift is told only when it is both large enough to matter
and larger than chance makes it at this number of observations. The invariant: however often one
looks, and however many signals there are, versions that put out the same are told apart with a
probability of one minus the confidence at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.gates.histograms import all_of, blocks, comparable, trouble_of
from reconciler.core.gates.wording import counted, e_value, number
from reconciler.core.kinds.gate import Drift
from reconciler.core.samples import Batch, Distribution, Samples
from reconciler.core.statistics.combining import (
    bonferroni,
    highest_product,
    log_e_decisive,
    smaller_p,
)
from reconciler.core.statistics.divergence import (
    binned_js,
    binned_ks,
    binned_psi,
    binned_wasserstein,
    psi_noise,
)
from reconciler.core.statistics.homogeneity import chi_square_p, ks_p, rank_p
from reconciler.core.verdicts import Line, Outcome, Verdict

LEAST_OBSERVATIONS = 200
"""Of each version and signal, before anything is said."""

_Measure: TypeAlias = Callable[[Distribution, Distribution], float]


@dataclass(frozen=True, slots=True)
class _Metric:
    """A unit of distance, and the test of chance that fits it beside the rank sum test."""

    words: str
    distance: _Measure
    p: _Measure


_METRICS: Mapping[str, _Metric] = {
    "psi": _Metric("stability index", binned_psi, chi_square_p),
    "js": _Metric("Jensen-Shannon distance", binned_js, chi_square_p),
    "ks": _Metric("Kolmogorov-Smirnov distance", binned_ks, ks_p),
    "wasserstein": _Metric("Wasserstein distance", binned_wasserstein, ks_p),
}


@dataclass(frozen=True, slots=True)
class _Signal:
    """What is known of one signal."""

    name: str
    fewest: int
    distance: float
    noise: float
    log_e: float

    def drifts(self, effect: float, log_limit: float) -> bool:
        enough = self.fewest >= LEAST_OBSERVATIONS
        return enough and self.distance >= effect and self.log_e >= log_limit


def judge_drift(name: str, gate: Drift, samples: Samples) -> Verdict:
    """FAIL when a signal differs by `effect` at least, and surely not by chance."""
    batches = {signal: samples.signals.get(signal, ()) for signal in gate.signals}
    for signal, own in batches.items():
        if trouble := samples.trouble or trouble_of(own) or comparable(own):
            return Verdict(name, Outcome.HOLD, f"{signal}: {trouble}")
    metric = _METRICS[gate.metric]
    alpha = bonferroni(float(1 - gate.confidence.share), len(batches))
    signals = [_measured(signal, own, metric, alpha) for signal, own in batches.items()]
    return _verdict(name, gate, metric, signals, 1 / alpha if alpha else math.inf)


def _verdict(
    name: str, gate: Drift, metric: _Metric, signals: Sequence[_Signal], limit: float
) -> Verdict:
    log_limit = math.log(limit)
    worst = max(signals, key=lambda s: (s.drifts(gate.effect, log_limit), s.log_e, s.distance))
    few = min(signals, key=lambda s: s.fewest)
    evidence = e_value(worst.log_e)
    summary = f"{metric.words} of {worst.name} is {number(worst.distance)}"
    if worst.drifts(gate.effect, log_limit):
        outcome = Outcome.FAIL
        summary += (
            f", and {number(gate.effect)} counts; evidence that this is not chance is "
            f"{number(evidence)}, above {number(limit)}"
        )
    elif few.fewest < LEAST_OBSERVATIONS:
        outcome = Outcome.HOLD
        summary = (
            f"{counted(few.fewest, 'observation')} of {few.name} of each version so far; "
            f"{LEAST_OBSERVATIONS} are needed"
        )
    else:
        outcome = Outcome.PASS
        small = worst.distance < gate.effect
        why = f"less than {number(gate.effect)}" if small else "which chance explains"
        summary += f", {why}, with {counted(few.fewest, 'observation')} or more of each signal"
    enough = float(LEAST_OBSERVATIONS)
    return Verdict(
        name,
        outcome,
        summary,
        abort=Line(f"evidence that {worst.name} differs", evidence, limit, above=True),
        promote=Line("observations of each signal", float(few.fewest), enough, above=True),
        numbers={key: value for signal in signals for key, value in _numbers(signal).items()},
    )


def _measured(name: str, batches: Sequence[Batch], metric: _Metric, alpha: float) -> _Signal:
    whole = all_of(batches)
    stable, candidate = whole.stable, whole.candidate
    log_es = []
    for block in blocks(batches, LEAST_OBSERVATIONS):
        # The first test sees any change of shape, the second a shift, and that much better.
        p = smaller_p(
            metric.p(block.stable, block.candidate), rank_p(block.stable, block.candidate)
        )
        log_es.append(log_e_decisive(p, alpha))
    return _Signal(
        name,
        min(stable.total, candidate.total),
        metric.distance(stable, candidate),
        psi_noise(stable, candidate) if metric.distance is binned_psi else 0.0,
        highest_product(log_es),
    )


def _numbers(signal: _Signal) -> Mapping[str, float]:
    return {
        f"{signal.name} observations": float(signal.fewest),
        f"{signal.name} distance": signal.distance,
        f"{signal.name} noise": signal.noise,
        f"{signal.name} evidence": e_value(signal.log_e),
    }
