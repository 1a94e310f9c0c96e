"""Comparing two versions on the same items: exact McNemar.

Separate because pairs cancel the difficulty of the items. The invariant: only items on which the
two differ count.

Source: Q. McNemar, Psychometrika 12 (1947), in its exact form: a sign test on differing pairs.
"""

from __future__ import annotations

import math


def mcnemar_one_sided(worse: int, better: int) -> float:
    """p of "at least `worse` of the differing items are worse", when either is as likely."""
    return sign_tail(worse, worse + better, 0.5)


def mcnemar_two_sided(worse: int, better: int) -> float:
    return min(1.0, 2 * sign_tail(max(worse, better), worse + better, 0.5))


def sign_tail(successes: int, trials: int, probability: float) -> float:
    """P(X >= successes) of a binomial distribution, exact."""
    return math.fsum(
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
        for k in range(successes, trials + 1)
    )
