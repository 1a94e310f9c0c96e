"""Short ways to make gates, samples and histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import yaml

from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import Batch, Distribution, Exposure, QueryPoint, Samples, Traffic


def gate(text: str) -> GateSpec:
    return GateSpec.model_validate(yaml.safe_load(text))


def weight(
    share: float, stable: tuple[int, int], candidate: tuple[int, int], traffic: str = "weight"
) -> Exposure:
    """Each version's errors and requests."""
    return Exposure(Traffic(traffic), share, stable[1], stable[0], candidate[1], candidate[0])


def alone(traffic: str, errors: int, requests: int) -> Exposure:
    return weight(1.0, (0, 0), (errors, requests), traffic)


def exposed(*exposures: Exposure, trouble: str = "") -> Samples:
    return Samples(exposures=exposures, trouble=trouble)


def histogram(*counts: int) -> Distribution:
    """Counts up to 1, 2, 3 …, and above; without counts an empty one."""
    if not counts:
        return Distribution((), ())
    edges = [float(edge) for edge in range(1, len(counts))]
    return Distribution((*edges, math.inf), counts)


def signal(*batches: tuple[Sequence[int], Sequence[int]], name: str = "score") -> Samples:
    """Of each batch the counts of both versions."""
    pairs = (Batch(histogram(*stable), histogram(*candidate)) for stable, candidate in batches)
    return Samples(signals={name: tuple(pairs)})


def answers(*values: float | None, every: float = 15.0, name: str = "gate") -> Samples:
    points = tuple(QueryPoint(1e9 + n * every, value) for n, value in enumerate(values))
    return Samples(queries={name: points})
