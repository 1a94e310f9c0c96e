"""Whether histograms can be judged, and in what blocks.

Separate because drift and latency need the same care. The invariant: a histogram that is not one,
or whose edges are not those of the histogram beside it, is told as trouble and never counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reconciler.core.distributions import plus
from reconciler.core.gates.wording import MOST
from reconciler.core.samples import Batch, Distribution


def trouble_of(batches: Sequence[Batch]) -> str:
    """Why these cannot be judged; empty when they can. Empty histograms need no edges."""
    for batch in batches:
        if not (_well_formed(batch.stable) and _well_formed(batch.candidate)):
            return "a histogram is broken: its edges do not increase to infinity, or its counts"
    return ""


def comparable(batches: Sequence[Batch]) -> str:
    """Why the versions cannot be compared; empty when they can."""
    edges = {part.edges for batch in batches for part in (batch.stable, batch.candidate)}
    edges.discard(())
    return "the versions report histograms with different buckets" if len(edges) > 1 else ""


def blocks(batches: Sequence[Batch], least: int) -> list[Batch]:
    """Neighbouring batches put together, so that each block has `least` of both versions, and each
    further one twice as many as the block before. What is left over waits for more.

    Blocks that grow are few, and each is strong enough to speak; evidence is lost by asking often.
    """
    found: list[Batch] = []
    block: Batch | None = None
    for batch in batches:
        block = batch if block is None else _joined(block, batch)
        if min(block.stable.total, block.candidate.total) >= least:
            found.append(block)
            block, least = None, 2 * least
    return found


def all_of(batches: Sequence[Batch]) -> Batch:
    """All observations, of batches that are comparable."""
    whole = Batch(Distribution((), ()), Distribution((), ()))
    for batch in batches:
        whole = _joined(whole, batch)
    return whole


def _joined(one: Batch, other: Batch) -> Batch:
    return Batch(_plus(one.stable, other.stable), _plus(one.candidate, other.candidate))


def _plus(one: Distribution, other: Distribution) -> Distribution:
    if not one.edges or not other.edges:
        return one if one.edges else other
    return plus(one, other)


def _well_formed(one: Distribution) -> bool:
    if len(one.edges) != len(one.counts) or min(one.counts, default=0) < 0 or one.total > MOST:
        return False
    pairs = zip(one.edges, one.edges[1:], strict=False)
    rising = all(low < high for low, high in pairs)
    return not one.edges or (rising and one.edges[-1] == math.inf)
