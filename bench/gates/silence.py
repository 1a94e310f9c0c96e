"""Rollouts of which little or nothing is known: none of them may be promoted.

Separate because it asks every gate. The invariant: each of these samples lacks something that its
gate must have.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from bench.gates.chances import chance, spread
from bench.gates.drifts import EDGES, normal
from reconciler.core.gates import judge
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import (
    Batch,
    Distribution,
    EvaluationResult,
    Exposure,
    ItemResult,
    QueryPoint,
    Samples,
    Traffic,
)
from reconciler.core.verdicts import Outcome

_ERRORS = GateSpec.model_validate({"errorRate": {"atMost": "1%"}})
_DRIFT = GateSpec.model_validate({"drift": {"signals": ["score"]}})
_LATENCY = GateSpec.model_validate({"latency": {"atMost": "1s", "enforced": True}})
_QUERY = GateSpec.model_validate({"promql": {"query": "up", "atMost": 1.0, "for": "1m"}})
_GOLDEN = GateSpec.model_validate({"evaluation": {"name": "golden"}})
_APPROVAL = GateSpec.model_validate({"approval": {"by": ["lead"]}})


def promoted(seeds: range) -> tuple[int, int]:
    """How many verdicts were PASS, and how many were asked for."""
    outcomes = [
        judge("gate", gate, samples).outcome
        for seed in seeds
        for gate, samples in _silent(chance("silence", seed))
    ]
    return outcomes.count(Outcome.PASS), len(outcomes)


def _silent(source: random.Random) -> Iterator[tuple[GateSpec, Samples]]:
    few = int(source.random() * 644)
    traffic = (Traffic.COHORT, Traffic.WEIGHT, Traffic.FULL)[int(source.random() * 3)]
    stable = 19 * few if traffic is Traffic.WEIGHT else 0
    clean = Exposure(traffic, 0.05, stable, 0, few, 0)
    yield _ERRORS, Samples(exposures=(clean,))
    many = Exposure(Traffic.FULL, 1.0, 0, 0, 10_000, 0)
    yield _ERRORS, Samples(exposures=(many,), trouble="connection refused")
    yield _LATENCY, Samples(latencies=(_batch(source, few),))
    yield _DRIFT, Samples(signals={"score": (_batch(source, few % 200),)})
    yield _DRIFT, Samples(signals={"other": (_batch(source, 1000),)})
    yield _QUERY, Samples(queries={"gate": _holed(source)})
    right = tuple(ItemResult(str(n), True, True) for n in range(few))
    yield _GOLDEN, Samples(evaluations={"golden": EvaluationResult(right, "timed out")})
    yield _GOLDEN, Samples(evaluations={"other": EvaluationResult(right)})
    yield _APPROVAL, Samples(approved=frozenset({"another"}))


def _batch(source: random.Random, size: int) -> Batch:
    stable = Distribution(EDGES, spread(source, 1000, normal(0)))
    return Batch(stable, Distribution(EDGES, spread(source, size, normal(0))))


def _holed(source: random.Random) -> tuple[QueryPoint, ...]:
    """Good answers with one hole in the last minute."""
    points = [QueryPoint(15.0 * n, 0.5) for n in range(20)]
    at = 15 + int(source.random() * 5)
    hole = (None, math.nan, math.inf)[int(source.random() * 3)]
    points[at] = QueryPoint(points[at].at, hole)
    return tuple(points)
