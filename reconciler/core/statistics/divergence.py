"""How far two histograms are apart, in four units.

Separate from the tests of chance (homogeneity.py): a distance says how much, never how surely. The
invariant: histograms that cannot be compared, for want of observations, are told as equal.

Sources: B. Yurdakul, J. Naranjo, Statistical properties of the population stability index, Journal
of Risk Model Validation 14 (2020); J. Lin, Divergence measures based on the Shannon entropy, IEEE
Transactions on Information Theory 37 (1991).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reconciler.core.samples import Distribution
from reconciler.core.statistics.special import chi_square_quantile

LEAST_EXPECTED = 5.0
"""Observations that a cell must be expected to have, in the smaller sample."""


def psi(p: Sequence[float], q: Sequence[float]) -> float:
    """Σ (p - q) ln(p / q) of two lists of shares. A share of 0 counts as a half millionth."""
    pairs = [(max(a, 5e-7), max(b, 5e-7)) for a, b in zip(p, q, strict=True)]
    return math.fsum((a - b) * math.log(a / b) for a, b in pairs)


def js_distance(p: Sequence[float], q: Sequence[float]) -> float:
    """Root of the Jensen-Shannon divergence of two lists of shares, in nats: at most √ln 2."""
    terms: list[float] = []
    for a, b in zip(p, q, strict=True):
        middle = (a + b) / 2
        terms.extend(x * math.log(x / middle) for x in (a, b) if x > 0)
    return math.sqrt(max(0.0, math.fsum(terms) / 2))


def hellinger(p: Sequence[float], q: Sequence[float]) -> float:
    """√(1 - Σ √(p q)) of two lists of shares."""
    return math.sqrt(max(0.0, 1 - math.fsum(map(math.sqrt, _products(p, q)))))


def _products(p: Sequence[float], q: Sequence[float]) -> list[float]:
    return [a * b for a, b in zip(p, q, strict=True)]


def wasserstein(one: Sequence[float], other: Sequence[float]) -> float:
    """The first Wasserstein distance of raw values, in their unit: ∫ |F - G|. 0 without values."""
    if not one or not other:
        return 0.0
    steps = sorted([(x, 1 / len(one)) for x in one] + [(x, -1 / len(other)) for x in other])
    gap, areas = 0.0, []
    for (here, step), (there, _) in itertools.pairwise(steps):
        gap += step
        areas.append(abs(gap) * (there - here))
    return math.fsum(areas)


def binned_psi(stable: Distribution, candidate: Distribution) -> float:
    """The population stability index, of cells that are large enough; neighbours are merged."""
    found = cells(stable, candidate)
    if len(found) < 2:
        return 0.0
    n, m = stable.total, candidate.total
    return psi([a / n for a, _ in found], [b / m for _, b in found])


def psi_noise(stable: Distribution, candidate: Distribution) -> float:
    """What chance adds to the index on average: (B-1)(1/n + 1/m) of B cells."""
    n, m = stable.total, candidate.total
    return max(0, len(cells(stable, candidate)) - 1) * (1 / n + 1 / m) if n and m else 0.0


def psi_critical(bins: int, n: int, m: int, alpha: float) -> float:
    """The index that chance alone exceeds with probability `alpha`: χ²(B-1)·(1/n + 1/m)."""
    return chi_square_quantile(alpha, bins - 1) * (1 / n + 1 / m)


def binned_js(stable: Distribution, candidate: Distribution) -> float:
    """The Jensen-Shannon distance, of all cells."""
    n, m = stable.total, candidate.total
    if not n or not m or stable.edges != candidate.edges:
        return 0.0
    return js_distance([a / n for a in stable.counts], [b / m for b in candidate.counts])


def binned_ks(stable: Distribution, candidate: Distribution) -> float:
    """The greatest difference of the cumulative shares at an edge."""
    return max(map(abs, _gaps(stable, candidate)), default=0.0)


def binned_wasserstein(stable: Distribution, candidate: Distribution) -> float:
    """The first Wasserstein distance in standard deviations of the stable version.

    Observations are taken to lie at the upper edge of their bucket, those of the last one at its
    lower edge. Infinity when the stable version has no spread and the other differs.
    """
    gaps, edges = _gaps(stable, candidate), stable.edges[:-1]
    widths = [high - low for low, high in itertools.pairwise(edges)]
    moved = math.fsum(abs(gap) * width for gap, width in zip(gaps, widths, strict=False))
    if moved <= 0:
        return 0.0
    spread = _deviation(edges, stable.counts)
    return moved / spread if spread > 0 else math.inf


def _gaps(stable: Distribution, candidate: Distribution) -> list[float]:
    n, m = stable.total, candidate.total
    if not n or not m or stable.edges != candidate.edges:
        return []
    ones = itertools.accumulate(stable.counts)
    others = itertools.accumulate(candidate.counts)
    return [a / n - b / m for a, b in zip(ones, others, strict=True)]


def _deviation(edges: Sequence[float], counts: Sequence[int]) -> float:
    places = [*edges, edges[-1]]
    total = sum(counts)
    mean = math.fsum(x * count for x, count in zip(places, counts, strict=True)) / total
    squares = ((x - mean) ** 2 * count for x, count in zip(places, counts, strict=True))
    return math.sqrt(math.fsum(squares) / total)


def cells(stable: Distribution, candidate: Distribution) -> list[tuple[int, int]]:
    """Counts of both in cells that are large enough, neighbours merged.

    What is merged depends on the sum of both only, so it is no look at their difference.
    """
    if stable.edges != candidate.edges or not stable.total or not candidate.total:
        return []
    total = stable.total + candidate.total
    least = LEAST_EXPECTED * total / min(stable.total, candidate.total)
    found: list[tuple[int, int]] = []
    a = b = 0
    for one, other in zip(stable.counts, candidate.counts, strict=True):
        a, b = a + one, b + other
        if a + b >= least:
            found.append((a, b))
            a = b = 0
    if (a or b) and found:
        last = found.pop()
        found.append((last[0] + a, last[1] + b))
    return found
