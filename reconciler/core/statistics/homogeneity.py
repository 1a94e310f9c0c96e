"""Whether two histograms are of one distribution: p-values of one look.

Separate from distances, because surely and much are different questions. The invariant: without
observations, or without any spread, p is 1.

Sources: K. Pearson's chi-square test of homogeneity; H. B. Mann, D. R. Whitney, Annals of
Mathematical Statistics 18 (1947), with the correction for ties of E. L. Lehmann, Nonparametrics
(1975), section 1.2; N. Smirnov's two-sample test, which binning makes conservative (G. E. Noether,
Elements of Nonparametric Statistics (1967), section 4.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reconciler.core.samples import Distribution
from reconciler.core.statistics.divergence import binned_ks, cells
from reconciler.core.statistics.special import chi_square_tail, kolmogorov_tail, normal_tail


def chi_square_p(stable: Distribution, candidate: Distribution) -> float:
    """Sees every difference of shares. Needs the five that `cells` provides for."""
    return pearson_p(cells(stable, candidate))


def pearson_p(pairs: Sequence[tuple[int, int]]) -> float:
    """Pearson's test of two columns of counts."""
    n, m = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    filled = [(a, b) for a, b in pairs if a + b]
    if len(filled) < 2 or not n or not m:
        return 1.0
    share = n / (n + m)
    statistic = math.fsum(
        (a - share * (a + b)) ** 2 / (share * (1 - share) * (a + b)) for a, b in filled
    )
    return chi_square_tail(statistic, len(filled) - 1)


def ks_p(stable: Distribution, candidate: Distribution) -> float:
    """Sees every difference of the cumulative shares."""
    n, m = stable.total, candidate.total
    if not n or not m:
        return 1.0
    return kolmogorov_tail(binned_ks(stable, candidate) * math.sqrt(n * m / (n + m)))


def rank_p(stable: Distribution, candidate: Distribution) -> float:
    """Sees a shift best: the two-sided rank sum test, all of one bucket being ties."""
    n, m = stable.total, candidate.total
    if not n or not m or stable.edges != candidate.edges:
        return 1.0
    total, below, u, ties = n + m, 0, 0.0, 0.0
    for a, b in zip(stable.counts, candidate.counts, strict=True):
        u += b * (below + a / 2)
        below += a
        ties += float(a + b) ** 3 - (a + b)
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    return min(1.0, 2 * normal_tail(abs(u - n * m / 2) / math.sqrt(variance)))


def mann_whitney_exact(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """U of `one` and its exact two-sided p, for small samples without ties.

    Counts the orders with each U by Mann and Whitney's recursion.
    """
    n, m = len(one), len(other)
    u = math.fsum((x > y) + (x == y) / 2 for x in one for y in other)
    ways = _orders(n, m)
    extreme = max(u, n * m - u)
    tail = sum(count for value, count in enumerate(ways) if value >= extreme)
    return u, min(1.0, 2 * tail / sum(ways))


def _orders(n: int, m: int) -> list[int]:
    """How many orders of n and m values have each U: coefficients of a Gaussian binomial."""
    ways = [1] + [0] * (n * m)
    for k in range(1, n + 1):
        for value in range(n * m, m + k - 1, -1):
            ways[value] -= ways[value - m - k]
        for value in range(k, n * m + 1):
            ways[value] += ways[value - k]
    return ways
