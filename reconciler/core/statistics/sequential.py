"""Sequential tests: valid however often one looks, and whenever one stops.

Separate from tests of one look, since only these may decide about a release that is watched. The
invariant: under its null hypothesis an e-value exceeds 1/α, at any time at all, with probability α
at most (Ville's inequality).

Sources: S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric,
nonasymptotic confidence sequences, Annals of Statistics 49 (2021); M. Lindon, A. Malek,
Anytime-valid inference for multinomial count data, NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.statistics.special import log_beta, log_beta_tail, log_mean_exp

_FACTORS = tuple(1.25 * 1.5**power for power in range(14))
"""Rate ratios that are looked for, as multiples of the tolerated one: from a quarter worse to some
two hundred times. A geometric grid, as the mixture then loses little against the best of them."""

_HALVINGS = 24
"""Of the bracket around a bound: it is then known to a ten millionth of its width."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Errors of both versions while the candidate answered `share` of the requests."""

    candidate: int
    stable: int
    share: float


def log_e_bernoulli(successes: int, failures: int, limit: float) -> float:
    """ln E against "the probability of a success is at most `limit`".

    The likelihood ratio mixed uniformly over all greater probabilities:
    E = [∫ p^c (1-p)^s dp / (1-limit)] / [limit^c (1-limit)^s], from `limit` to 1. A limit of 0 is
    refuted by the first success (infinity), a limit of 1 by nothing (0).
    """
    if limit <= 0:
        return math.inf if successes else 0.0
    if limit >= 1:
        return 0.0
    a, b = successes + 1.0, failures + 1.0
    alternative = log_beta(a, b) + log_beta_tail(limit, a, b) - math.log1p(-limit)
    null = successes * math.log(limit) + failures * math.log1p(-limit)
    return alternative - null


def log_e_ratio(arrivals: Sequence[Arrivals], tolerated: float) -> float:
    """ln E against "the candidate's error rate is at most `tolerated` times the stable one's".

    Each error comes from the candidate with a probability that follows from the ratio and from the
    share of requests at the time, whatever the error rate itself does meanwhile. Mixed over a
    geometric grid of greater ratios. 0 without arrivals.
    """
    if not arrivals:
        return 0.0
    return log_mean_exp(
        [
            math.fsum(_log_likelihood_ratio(item, tolerated, factor) for item in arrivals)
            for factor in _FACTORS
        ]
    )


def log_e_ratio_from_each(arrivals: Sequence[Arrivals], tolerated: float) -> Sequence[float]:
    """`log_e_ratio` of all arrivals, of all but the first, and so on to the last alone."""
    found: list[float] = []
    sums = [0.0] * len(_FACTORS)
    for item in reversed(arrivals):
        parts = (_log_likelihood_ratio(item, tolerated, factor) for factor in _FACTORS)
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
        found.append(log_mean_exp(sums))
    # Summed exactly where it counts most, so that the order of exposures changes nothing.
    return [log_e_ratio(arrivals, tolerated), *found[-2::-1]]


def _log_likelihood_ratio(item: Arrivals, tolerated: float, factor: float) -> float:
    if not 0 < item.share < 1:
        return 0.0  # without the other version beside it, an error says nothing of the ratio
    # p(x) = x w / (x w + 1 - w), so p(f r) / p(r) = f q and (1 - p(f r)) / (1 - p(r)) = q.
    odds = tolerated * item.share
    rest = 1 - item.share
    quotient = math.log(odds + rest) - math.log(factor * odds + rest)
    return item.candidate * math.log(factor) + (item.candidate + item.stable) * quotient


def log_e_share(one: int, other: int, share: float) -> float:
    """ln E against "each is of the first sort with probability `share`", two-sided.

    The likelihood ratio mixed uniformly over all probabilities. A share of 0 or 1 is refuted by
    the first of the wrong sort.
    """
    if (one and share <= 0) or (other and share >= 1):
        return math.inf
    null = (one * math.log(share) if one else 0.0) + (other * math.log1p(-share) if other else 0.0)
    return log_beta(one + 1.0, other + 1.0) - null


def log_e_mean(mean: float, count: int, deviation: float, spread: float) -> float:
    """ln E against "the mean of normal values of known `deviation` is 0", two-sided.

    The likelihood ratio mixed over a normal distribution of means with deviation `spread` (mSPRT:
    R. Johari, L. Pekelis, D. Walsh, arXiv 1512.04922, equation 5).
    """
    within, between = deviation**2, count * spread**2
    evidence = (count * mean * spread) ** 2 / (2 * within * (within + between))
    return evidence - math.log1p(between / within) / 2


def log_threshold(alpha: float) -> float:
    """ln 1/α: what ln E must reach. Infinite where no error is allowed."""
    return -math.log(alpha) if alpha > 0 else math.inf


def upper_bound(errors: int, requests: int, confidence: float) -> float:
    """A rate that the true one is below, at every look, with this confidence.

    The greatest rate that the mixture over smaller ones does not refute yet; 1 without requests.
    """
    return 1 - lower_bound(requests - errors, requests, confidence)


def lower_bound(errors: int, requests: int, confidence: float) -> float:
    """A rate that the true one is above, at every look, with this confidence; 0 without errors."""
    threshold = log_threshold(1 - confidence)
    if errors <= 0 or math.isinf(threshold):
        return 0.0
    high = errors / requests
    step = min(high, (threshold + 1) / requests + math.sqrt((threshold + 1) / requests) / 4)
    low = high - step
    while low > 0 and log_e_bernoulli(errors, requests - errors, low) < threshold:
        high, step = low, 2 * step
        low = max(0.0, low - step)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if log_e_bernoulli(errors, requests - errors, middle) < threshold:
            high = middle
        else:
            low = middle
    return low


def clean_requests_needed(errors: int, requests: int, limit: float, confidence: float) -> int:
    """Requests without an error, beside those there were, that bring the bound down to `limit`.

    -1 when no number below a milliard does.
    """
    threshold = log_threshold(1 - confidence)

    def proven(more: int) -> bool:
        clean = requests - errors + more
        enough = log_e_bernoulli(clean, errors, 1 - limit) >= threshold
        return enough and errors <= limit * (requests + more)

    low, high = -1, 1
    while not proven(high):
        low, high = high, 2 * high
        if high > 10**9:
            return -1
    while high - low > 1:
        middle = (low + high) // 2
        if proven(middle):
            high = middle
        else:
            low = middle
    return max(0, high)
