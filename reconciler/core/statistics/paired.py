"""Comparing two versions on the same items: exact McNemar.

Separate because pairs cancel the difficulty of the items. The invariant: only items on which the
two differ count.

Source: Q. McNemar, Psychometrika 12 (1947), in its exact form: a sign test on differing pairs.
"""

from __future__ import annotations

import math

from reconciler.core.statistics.sequential import log_e_bernoulli


def mcnemar_one_sided(worse: int, better: int) -> float:
    """p of "at least `worse` of the differing items are worse", when either is as likely."""
    return sign_tail(worse, worse + better)


def mcnemar_two_sided(worse: int, better: int) -> float:
    """p of "the differing items are as unequal", either way, when either is as likely."""
    return min(1.0, 2 * sign_tail(max(worse, better), worse + better))


def log_e_mcnemar(worse: int, better: int) -> float:
    """ln E against "a differing item is worse with probability one half at most"."""
    return log_e_bernoulli(worse, better, 0.5)


def sign_tail(successes: int, trials: int) -> float:
    """P(X ≥ successes) of a fair coin thrown `trials` times, exact."""
    ways, term = 0, math.comb(trials, successes)
    for k in range(successes, trials + 1):
        ways += term
        term = term * (trials - k) // (k + 1)
    return ways / (1 << trials)


def fisher_two_sided(a: int, b: int, c: int, d: int) -> float:
    """p of Fisher's exact test of the table [[a, b], [c, d]]: all tables no likelier than this."""
    row, column, total = a + b, a + c, a + b + c + d
    ways = [
        math.comb(column, k) * math.comb(total - column, row - k)
        for k in range(max(0, row + column - total), min(row, column) + 1)
    ]
    this = math.comb(column, a) * math.comb(total - column, row - a)
    return sum(way for way in ways if way <= this) / sum(ways)
