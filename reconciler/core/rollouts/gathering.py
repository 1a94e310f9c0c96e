"""Gathering: from readings of replicas to the counts and histograms that gates judge.

Separate from asking the replicas, and from the judging. The invariant: both versions are compared
over the same time only, and a replica that starts anew, comes or goes neither adds nor hides an
observation.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.distributions import plus
from reconciler.core.exposition import ReplicaSignals
from reconciler.core.gates.drifts import LEAST_OBSERVATIONS
from reconciler.core.gates.errors import LEAST_BETWEEN
from reconciler.core.identifiers import ClusterName
from reconciler.core.rollouts.counting import Requests
from reconciler.core.rollouts.states import Count
from reconciler.core.rollouts.traffic import Split
from reconciler.core.samples import Batch, Distribution, Exposure, Traffic

_EMPTY = Distribution((), ())

_GROWTH = 1 / 32
"""Requests of a part, as a share of those before it."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One look at the replicas of one cluster, by their uids.

    `trouble` says why some of them said nothing, or not enough; empty when all did.
    """

    stable: Mapping[str, ReplicaSignals] = field(default_factory=dict)
    candidate: Mapping[str, ReplicaSignals] = field(default_factory=dict)
    trouble: str = ""


def counted(
    count: Count | None, readings: Readings, *, before: Count | None = None
) -> Count | None:
    """The counts with a look added. None, until a look without trouble lets counting begin.

    `before` are the counts of the step before, in the same cluster.
    """
    stable, candidate = _requests(readings.stable), _requests(readings.candidate)
    if count is not None:
        return Count(count.stable.add(stable), count.candidate.add(candidate))
    return None if readings.trouble else Count.beginning(stable, candidate, before)


def exposure_of(split: Split, count: Count) -> Exposure:
    """What was counted in one cluster, as gates read it."""
    assert split.traffic is not None, "nothing is counted without traffic"
    stable, candidate = count.stable.counted, count.candidate.counted
    return Exposure(
        split.traffic,
        split.share,
        stable.requests,
        stable.errors,
        candidate.requests,
        candidate.errors,
    )


class Segments:
    """Parts counts at moments that follow from the number of requests alone.

    Parts grow with what was counted before, so they stay few; gates may look at the last ones by
    themselves.
    """

    def __init__(self) -> None:
        self._marks: list[Mapping[ClusterName, Exposure]] = []

    def parts(self, exposures: Mapping[ClusterName, Exposure]) -> tuple[Exposure, ...]:
        """The exposures of one step, parted: the oldest parts first."""
        total = sum(exposure.candidate_requests for exposure in exposures.values())
        marked = self._marked()
        if total < marked or (self._marks and self._marks[-1].keys() - exposures.keys()):
            self._marks.clear()  # another step, whose counts begin anew
            marked = 0
        if total - marked >= max(LEAST_BETWEEN, marked * _GROWTH):
            self._marks.append(dict(exposures))
        edges: list[Mapping[ClusterName, Exposure]] = [{}, *self._marks, exposures]
        return tuple(
            part
            for before, after in itertools.pairwise(edges)
            for name in sorted(after)
            if (part := _since(after[name], before.get(name))).candidate_requests
            or part.stable_requests
        ) or tuple(exposures[name] for name in sorted(exposures))

    def _marked(self) -> int:
        last = self._marks[-1] if self._marks else {}
        return sum(exposure.candidate_requests for exposure in last.values())


def _since(now: Exposure, before: Exposure | None) -> Exposure:
    if before is None:
        return now
    return Exposure(
        now.traffic,
        now.share,
        now.stable_requests - before.stable_requests,
        now.stable_errors - before.stable_errors,
        now.candidate_requests - before.candidate_requests,
        now.candidate_errors - before.candidate_errors,
    )


def condensed(exposures: Sequence[Exposure]) -> tuple[Exposure, ...]:
    """One exposure for each way in which the traffic was divided, in the order of the first."""
    found: dict[tuple[Traffic, float], Exposure] = {}
    for one in exposures:
        known = found.get((one.traffic, one.share), Exposure(one.traffic, one.share))
        found[one.traffic, one.share] = Exposure(
            one.traffic,
            one.share,
            known.stable_requests + one.stable_requests,
            known.stable_errors + one.stable_errors,
            known.candidate_requests + one.candidate_requests,
            known.candidate_errors + one.candidate_errors,
        )
    return tuple(found.values())


def _requests(readings: Mapping[str, ReplicaSignals]) -> Mapping[str, Requests]:
    return {
        uid: Requests(signals.requests, signals.errors)
        for uid, signals in readings.items()
        if not signals.trouble
    }


class Histograms:
    """Latencies and outputs of both versions, in batches that grow.

    Batches are closed when both versions have enough, each asking for twice as many as the one
    before: however long a rollout takes, they stay few.
    """

    def __init__(self) -> None:
        self._seen: dict[str, ReplicaSignals] = {}
        self._signals: dict[str, _Batches] = {}
        self._latencies = _Batches()

    def take(self, readings: Mapping[ClusterName, Readings]) -> None:
        """Add what came since the look before; of a replica's first look, nothing."""
        for reading in readings.values():
            for signals in self._news(reading.stable):
                self._add(signals, is_candidate=False)
            for signals in self._news(reading.candidate):
                self._add(signals, is_candidate=True)
        for batches in (*self._signals.values(), self._latencies):
            batches.close_full()

    def take_alone(self, readings: Mapping[ClusterName, Readings]) -> None:
        """Add the candidate's latencies, which are held against a promise in seconds: where it has
        all requests they are the best there is. For outputs there is nothing to compare with."""
        for reading in readings.values():
            self._news(reading.stable)
            for signals in self._news(reading.candidate):
                if signals.latency is not None:
                    self._latencies.add(signals.latency, is_candidate=True)

    def pass_over(self, readings: Mapping[ClusterName, Readings]) -> None:
        """Leave out what came since: the versions had different kinds of requests."""
        for reading in readings.values():
            self._news(reading.stable)
            self._news(reading.candidate)

    def signals(self) -> Mapping[str, tuple[Batch, ...]]:
        return {name: batches.all() for name, batches in sorted(self._signals.items())}

    def latencies(self) -> tuple[Batch, ...]:
        return self._latencies.all()

    def _news(self, readings: Mapping[str, ReplicaSignals]) -> list[ReplicaSignals]:
        found = []
        for uid, signals in readings.items():
            if signals.trouble:
                continue
            earlier = self._seen.get(uid)
            self._seen[uid] = signals
            if earlier is not None:
                found.append(signals.since(earlier))
        return found

    def _add(self, signals: ReplicaSignals, *, is_candidate: bool) -> None:
        if signals.latency is not None:
            self._latencies.add(signals.latency, is_candidate=is_candidate)
        for name, observed in signals.outputs.items():
            batches = self._signals.setdefault(name, _Batches())
            batches.add(observed, is_candidate=is_candidate)


class _Batches:
    def __init__(self) -> None:
        self._closed: list[Batch] = []
        self._stable = self._candidate = _EMPTY

    def add(self, observed: Distribution, *, is_candidate: bool) -> None:
        if is_candidate:
            self._candidate = _sum(self._candidate, observed)
        else:
            self._stable = _sum(self._stable, observed)

    def close_full(self) -> None:
        least = LEAST_OBSERVATIONS * 2 ** len(self._closed)
        if min(self._stable.total, self._candidate.total) >= least:
            self._closed.append(Batch(self._stable, self._candidate))
            self._stable = self._candidate = _EMPTY

    def all(self) -> tuple[Batch, ...]:
        open_one = Batch(self._stable, self._candidate)
        has_any = open_one.stable.total or open_one.candidate.total
        return (*self._closed, open_one) if has_any else tuple(self._closed)


def _sum(one: Distribution, other: Distribution) -> Distribution:
    """Observations of both; of the newer alone when a server has changed its buckets."""
    return plus(one, other) if one.edges == other.edges else other
