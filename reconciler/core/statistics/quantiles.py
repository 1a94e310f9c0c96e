"""Quantiles of histograms, as far as buckets and chance let one know them.

Separate from the gate on latency, which needs one limit only. The invariant: what is said of a
quantile holds whatever the distribution inside a bucket is.

Source: the number of observations above a point is binomial, so bounds of a rate give bounds of a
quantile (as for order statistics: W. J. Conover, Practical Nonparametric Statistics, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reconciler.core.samples import Distribution
from reconciler.core.statistics.sequential import lower_bound, upper_bound


def split_at(distribution: Distribution, limit: float) -> tuple[int, int]:
    """Observations surely at most `limit`, and surely above it."""
    low, within, above = -math.inf, 0, 0
    for edge, count in zip(distribution.edges, distribution.counts, strict=True):
        within += count if edge <= limit else 0
        above += count if low >= limit else 0
        low = edge
    return within, above


def quantile_bounds(
    distribution: Distribution, quantile: float, confidence: float
) -> tuple[float, float]:
    """Edges that the quantile surely lies between, in the unit of the edges.

    At every look, with this confidence for each side. Minus infinity and infinity without data.
    """
    low, high, below, total = -math.inf, math.inf, 0, distribution.total
    for edge, count in zip(distribution.edges, distribution.counts, strict=True):
        below += count
        if total and upper_bound(below, total, confidence) < quantile:
            low = edge
        if total and edge < high and lower_bound(below, total, confidence) >= quantile:
            high = edge
    return low, high


def quantile_of(values: Sequence[float], quantile: float) -> float:
    """The quantile of raw values, linear between neighbours. Raises ValueError without values.

    Source: definition 7 of R. J. Hyndman, Y. Fan, The American Statistician 50 (1996).
    """
    if not values:
        raise ValueError("no values have no quantile")
    ordered = sorted(values)
    place = quantile * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
