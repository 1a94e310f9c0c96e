"""Samples: what was measured of two versions, in the form that gates judge.

Separate from the judging (core/gates), because samples are recorded with every decision, so that
the verdict can be reached again from the audit log. The invariant: what was not measured is absent
or carries its trouble; it is never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from pydantic import ConfigDict, TypeAdapter

from reconciler.core.manifests import JsonObject

_LOSSLESS = ConfigDict(ser_json_inf_nan="strings")
"""JSON has no NaN and no infinity."""


class Traffic(StrEnum):
    """How requests come to the candidate.

    COHORT: chosen by a header, so not a random part of all; MIRROR and WEIGHT: a random part,
    beside the stable version; FULL: all of them, with nothing beside it.
    """

    COHORT = "cohort"
    MIRROR = "mirror"
    WEIGHT = "weight"
    FULL = "full"

    @property
    def random(self) -> bool:
        """Whether both versions get requests of the same population at the same time."""
        return self in (Traffic.MIRROR, Traffic.WEIGHT)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Requests that were answered while the traffic was divided in one way.

    `share` is the configured part of the requests that the candidate gets, between 0 and 1; of a
    mirror, the part that is copied. Requests include the failed ones.
    """

    traffic: Traffic
    share: float
    stable_requests: int = 0
    stable_errors: int = 0
    candidate_requests: int = 0
    candidate_errors: int = 0

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: `counts[i]` observations up to `edges[i]` and above the edge before.

    Edges increase; the last is infinity.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    __pydantic_config__ = _LOSSLESS

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Batch:
    """Observations of one signal, of both versions over the same time. Batches are disjoint."""

    stable: Distribution
    candidate: Distribution

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The answers of both versions to one item of an evaluation: right or not."""

    item: str
    stable: bool
    candidate: bool

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """An evaluation of both versions. `trouble` says why it could not be made."""

    items: tuple[ItemResult, ...] = ()
    trouble: str = ""

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class QueryPoint:
    """One answer of a metrics provider, `at` seconds since the epoch.

    `value` is None when the query gave no sample; it may be NaN. `trouble` says why nobody
    answered.
    """

    at: float
    value: float | None = None
    trouble: str = ""

    __pydantic_config__ = _LOSSLESS


@dataclass(frozen=True, slots=True)
class Samples:
    """All that was measured of a candidate beside the stable version.

    `signals` and `latencies` (seconds) are of random traffic only. `evaluations` are by name of
    the Evaluation, `queries` by name of the gate, oldest first. `trouble` says why replicas could
    not be asked just now; empty when they could.
    """

    exposures: tuple[Exposure, ...] = ()
    signals: Mapping[str, tuple[Batch, ...]] = field(default_factory=dict)
    latencies: tuple[Batch, ...] = ()
    evaluations: Mapping[str, EvaluationResult] = field(default_factory=dict)
    queries: Mapping[str, tuple[QueryPoint, ...]] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    """Names of gates that ask for approval, and have it."""
    trouble: str = ""

    __pydantic_config__ = _LOSSLESS


_SAMPLES = TypeAdapter(Samples)


def samples_json(samples: Samples) -> JsonObject:
    """The samples as JSON, without loss: NaN and infinity are strings."""
    body = _SAMPLES.dump_json(samples)
    return cast(JsonObject, TypeAdapter(dict).validate_json(body))


def samples_from_json(body: JsonObject) -> Samples:
    """What `samples_json` made. Raises ValueError on anything else."""
    return _SAMPLES.validate_python(body)
