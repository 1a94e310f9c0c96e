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
from typing import TypeAlias

from reconciler.core.statistics.special import log_beta, log_beta_tail, log_mean_exp

Arrivals: TypeAlias = "tuple[int, int, float]"
"""Errors of the candidate, errors of the stable version, and the candidate's share of requests."""

_RATIOS = tuple(1.25 * 1.5**power for power in range(14))
"""Rate ratios that are looked for, as multiples of the tolerated one: from a quarter worse to some
two hundred times. A geometric grid, as the mixture then loses little against the best of them."""


def log_e_bernoulli(successes: int, failures: int, limit: float) -> float:
    """ln E against "the probability of a success is at most `limit`".

    The likelihood ratio mixed uniformly over all greater probabilities. 0 < limit < 1.
    """
    a, b = successes + 1.0, failures + 1.0
    alternative = log_beta(a, b) + log_beta_tail(limit, a, b) - math.log1p(-limit)
    null = successes * math.log(limit) + failures * math.log1p(-limit)
    return alternative - null


def log_e_ratio(arrivals: Sequence[Arrivals], tolerated: float) -> float:
    """ln E against "the candidate's error rate is at most `tolerated` times the stable one's".

    Each error comes from the candidate with a probability that follows from the ratio and from the
    share of requests at the time, whatever the error rate itself does meanwhile.
    """
    if not arrivals:
        return 0.0
    return log_mean_exp(
        [
            math.fsum(_log_likelihood_ratio(item, tolerated, factor) for item in arrivals)
            for factor in _RATIOS
        ]
    )


def _log_likelihood_ratio(item: Arrivals, tolerated: float, factor: float) -> float:
    candidate, stable, share = item
    if not 0 < share < 1:
        return 0.0  # without the other version beside it, an error says nothing of the ratio
    null, alternative = _origin(tolerated, share), _origin(tolerated * factor, share)
    return candidate * (math.log(alternative) - math.log(null)) + stable * (
        math.log1p(-alternative) - math.log1p(-null)
    )


def _origin(ratio: float, share: float) -> float:
    """Probability that an error is the candidate's."""
    return ratio * share / (ratio * share + 1 - share)


def upper_bound(errors: int, requests: int, confidence: float) -> float:
    """A rate that the true one is below, at every look, with this confidence.

    The greatest rate that the mixture over smaller ones does not refute yet; 1 without requests.
    """
    threshold = -math.log(1 - confidence)
    low, high = errors / requests if requests else 1.0, 1.0
    if low >= 1:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        # "At least this rate of errors" is "at most its complement of successes".
        if log_e_bernoulli(requests - errors, errors, 1 - middle) < threshold:
            low = middle
        else:
            high = middle
    return high


def clean_requests_needed(limit: float, confidence: float) -> int:
    """Requests without an error after which the bound lies at `limit`."""
    low, high = 0, 1
    while upper_bound(0, high, confidence) > limit:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(0, middle, confidence) > limit:
            low = middle
        else:
            high = middle
    return high


def log_e_share(candidate: int, stable: int, share: float) -> float:
    """ln E against "each request goes to the candidate with probability `share`", two-sided."""
    null = candidate * math.log(share) + stable * math.log1p(-share)
    return log_beta(candidate + 1.0, stable + 1.0) - null


def e_of_p(p: float, kappa: float = 0.5) -> float:
    """An e-value from a p-value: κ p^(κ-1). V. Vovk, R. Wang, Annals of Statistics 49 (2021)."""
    value: float = kappa * max(p, 1e-300) ** (kappa - 1)
    return value
