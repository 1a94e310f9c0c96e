"""Arithmetic of histograms that count from the start of a process.

Separate from the samples, which are only recorded, and from the reading of texts. The invariant:
nothing is counted twice and nothing is invented: histograms with different edges are never added,
and of two readings of one process only what came between them counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.samples import Distribution


def since(now: Distribution, earlier: Distribution | None) -> Distribution:
    """What was observed after `earlier`, a reading of the same process.

    A count that fell, or other edges, say that the process began anew: then all of `now` came
    after it.
    """
    if earlier is None or earlier.edges != now.edges:
        return now
    pairs = zip(now.counts, earlier.counts, strict=True)
    grown = tuple(count - before for count, before in pairs)
    return now if min(grown, default=0) < 0 else Distribution(now.edges, grown)


def plus(one: Distribution, other: Distribution) -> Distribution:
    """Observations of both. Raises ValueError when their edges differ."""
    if one.edges != other.edges:
        raise ValueError("histograms with different edges cannot be added")
    pairs = zip(one.counts, other.counts, strict=True)
    return Distribution(one.edges, tuple(count + more for count, more in pairs))


def total(distributions: Iterable[Distribution]) -> Distribution | None:
    """Observations of all; None when there are none. Raises ValueError when edges differ."""
    result: Distribution | None = None
    for distribution in distributions:
        result = distribution if result is None else plus(result, distribution)
    return result
