"""The gate on failed requests.

Separate because it alone decides within a few requests. Sequential tests look for harm: against
the stable version over the same time, where requests are divided at random, and against the limit
itself where they are not. The invariant: the chance that a version no worse than the stable one,
and within its limit, is ever taken back is at most one minus the confidence, over all looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.gates.wording import counted, e_value, number, percent, possible
from reconciler.core.kinds.gate import ErrorRate
from reconciler.core.samples import Exposure, Samples, Traffic
from reconciler.core.statistics.sequential import (
    Arrivals,
    clean_requests_needed,
    log_e_bernoulli,
    log_e_ratio_from_each,
    log_e_share,
    log_threshold,
    upper_bound,
)
from reconciler.core.verdicts import Line, Outcome, Verdict

LEAST_ERRORS = 3
"""Before so many, one client that tries again and again could decide."""

LEAST_BETWEEN = 64
"""Requests to the candidate between two such moments, at the least."""

_RELATIVE_PART, _COHORT_PART, _FULL_PART = 0.6, 0.2, 0.2
"""How much of the chance of a false alarm each test may spend. The relative test gets most: it
decides while few requests are exposed."""

_WHOLE_PART = 0.8
"""How much of a test's chance of a false alarm is for all exposures together. The rest is for those
from some moment on, so that a version that was good for long is still found out soon: a mixture of
e-processes that begin at different times, as J. Shin, A. Ramdas, A. Rinaldo, E-detectors, New
England Journal of Statistics in Data Science (2023)."""

_BEGINNINGS = 16
"""Moments at which such a test may begin, for each doubling of the requests before it."""

_MISROUTED = math.log(1e6)
"""ln E above which the gateway surely does not divide as configured. Far above chance: replicas are
not read at the same instant, so small differences are no news."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What one test says of harm: its evidence against 1/α, and the errors that it rests on."""

    what: str
    log_e: float
    alpha: float
    exposures: tuple[Exposure, ...]

    @property
    def proven(self) -> bool:
        errors = sum(e.candidate_errors for e in self.exposures)
        return self.excess >= 0 and errors >= LEAST_ERRORS

    @property
    def excess(self) -> float:
        """How far the evidence is above its line, in logarithms."""
        return self.log_e - log_threshold(self.alpha)

    @property
    def line(self) -> Line:
        limit = 1 / self.alpha if self.alpha else math.inf
        return Line(self.what, e_value(self.log_e), limit, above=True)

    @property
    def sentence(self) -> str:
        line = self.line
        return (
            f"{_observed(self.exposures)}; {line.name} is {number(line.value)}, "
            f"above {number(line.limit)}"
        )


def judge_errors(name: str, gate: ErrorRate, samples: Samples) -> Verdict:
    """FAIL on proven harm, PASS on a proven rate within the limit, HOLD until either is proven."""
    if broken := next((e for e in samples.exposures if not _possible(e)), None):
        text = (
            f"the counts of the requests by {broken.traffic} cannot be: they contradict each other"
        )
        return Verdict(name, Outcome.HOLD, text)
    harms = find_harm(gate, samples.exposures)
    worst = max(harms, key=lambda harm: (harm.proven, harm.excess), default=None)
    confidence, limit = float(gate.confidence.share), float(gate.at_most.share)
    judged = _judged(samples.exposures)
    requests = sum(e.candidate_requests for e in judged)
    errors = sum(e.candidate_errors for e in judged)
    bound = upper_bound(errors, requests, confidence)
    outcome = Outcome.HOLD
    wrong = next(filter(None, map(_misrouting, samples.exposures)), "")
    if worst is not None and worst.proven:
        # What was counted stays proven, whoever does not answer just now.
        outcome, summary = Outcome.FAIL, worst.sentence
    elif samples.trouble:
        summary = samples.trouble
    elif wrong:
        summary = wrong
    elif requests and bound <= limit:
        outcome = Outcome.PASS
        summary = (
            f"{errors:,} of {counted(requests, 'request')} failed: the error rate is surely below "
            f"{percent(bound)}, and {percent(limit)} is allowed"
        )
    else:
        summary = _waiting(errors, requests, bound, gate)
        if worst is not None and worst.excess >= 0:
            summary += f"; {worst.what} is above its line, but {LEAST_ERRORS} errors decide"
    return Verdict(
        name,
        outcome,
        summary,
        abort=worst.line if worst else None,
        promote=Line("the most that the error rate can be", bound, limit, above=False),
        numbers={"requests": float(requests), "errors": float(errors)},
    )


def find_harm(gate: ErrorRate, exposures: Sequence[Exposure]) -> list[Harm]:
    """Every test that has data. Exposures whose division is broken are no longer random ones."""
    alpha, limit = float(1 - gate.confidence.share), float(gate.at_most.share)
    random = tuple(e for e in exposures if e.traffic.random and not _misrouting(e))
    full = tuple(e for e in exposures if e.traffic is Traffic.FULL)
    cohort = tuple(e for e in exposures if e not in random and e.traffic is not Traffic.FULL)
    found = []
    if any(0 < _share(e) < 1 for e in random):
        arrivals = [Arrivals(e.candidate_errors, e.stable_errors, _share(e)) for e in random]
        what = "evidence of more errors than the stable version makes"
        if gate.ratio != 1:
            what = f"evidence of more than {gate.ratio:g} times the stable version's errors"
        from_each = log_e_ratio_from_each(arrivals, gate.ratio)
        found.append(_strongest(what, alpha * _RELATIVE_PART, random, from_each))
    for part, words, own in (
        (_COHORT_PART, "in the cohort", cohort),
        (_FULL_PART, "with all traffic", full),
    ):
        if any(e.candidate_requests for e in own):
            what = f"evidence of more errors than {percent(limit)} {words}"
            found.append(_strongest(what, alpha * part, own, _from_each(own, limit)))
    return found


def _from_each(exposures: Sequence[Exposure], limit: float) -> Sequence[float]:
    """The evidence against the limit in all exposures, in all but the first, and so on."""
    found: list[float] = []
    errors = clean = 0
    for exposure in reversed(exposures):
        errors += exposure.candidate_errors
        clean += exposure.candidate_requests - exposure.candidate_errors
        found.append(log_e_bernoulli(errors, clean, limit))
    return found[::-1]


def _strongest(
    what: str, alpha: float, exposures: tuple[Exposure, ...], from_each: Sequence[float]
) -> Harm:
    """The test that says most, each with its part of the chance of a false alarm.

    The part of a beginning follows from the requests before it alone, and each is given once, so
    together they are no more than the whole.
    """
    best = Harm(what, from_each[0] + math.log(_WHOLE_PART), alpha, exposures)
    before, begun = 0, 0
    for start, log_e in enumerate(from_each[1:], start=1):
        before += exposures[start - 1].candidate_requests
        number = int(_BEGINNINGS * math.log2(1 + before / LEAST_BETWEEN))
        if number > begun:
            begun = number
            weight = (1 - _WHOLE_PART) / (number * (number + 1))
            if log_e + math.log(weight) > best.log_e:
                best = Harm(what, log_e + math.log(weight), alpha, exposures[start:])
    return best


def _judged(exposures: Sequence[Exposure]) -> list[Exposure]:
    """The exposures that may prove the rate: random ones if they have requests, else the others."""
    random = [e for e in exposures if e.traffic.random and e.candidate_requests]
    return random or [e for e in exposures if not e.traffic.random]


def _possible(exposure: Exposure) -> bool:
    stable = possible(exposure.stable_errors, exposure.stable_requests)
    return stable and possible(exposure.candidate_errors, exposure.candidate_requests)


def _share(exposure: Exposure) -> float:
    """The observed part of the requests that the candidate answered."""
    total = exposure.candidate_requests + exposure.stable_requests
    return exposure.candidate_requests / total if total else 0.0


def _misrouting(exposure: Exposure) -> str:
    if exposure.traffic is not Traffic.WEIGHT or not 0 <= exposure.share <= 1:
        return ""
    log_e = log_e_share(exposure.candidate_requests, exposure.stable_requests, exposure.share)
    if log_e < _MISROUTED or math.isinf(log_e):
        return ""
    return (
        f"traffic is not divided as configured: {percent(_share(exposure))} of "
        f"{counted(exposure.candidate_requests + exposure.stable_requests, 'request')} came to the "
        f"new version instead of {percent(exposure.share)}"
    )


def _observed(exposures: Sequence[Exposure]) -> str:
    errors = sum(e.candidate_errors for e in exposures)
    requests = sum(e.candidate_requests for e in exposures)
    text = f"{errors:,} of {counted(requests, 'request')} to the new version failed"
    beside = sum(e.stable_requests for e in exposures)
    if not beside or not all(e.traffic.random for e in exposures):
        return text
    failed = sum(e.stable_errors for e in exposures)
    return f"{text}, and {failed:,} of {beside:,} to the stable version"


def _waiting(errors: int, requests: int, bound: float, gate: ErrorRate) -> str:
    if not requests:
        return "the new version has answered no requests yet"
    confidence, limit = float(gate.confidence.share), float(gate.at_most.share)
    text = (
        f"{errors:,} of {counted(requests, 'request')} failed: the error rate is surely below "
        f"{percent(bound)} only, and {percent(limit)} is asked for"
    )
    more = clean_requests_needed(errors, requests, limit, confidence)
    return text if more < 0 else f"{text}; about {counted(more, 'more clean request')} would do"
