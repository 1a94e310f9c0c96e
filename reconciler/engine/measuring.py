"""Measuring: the evidence about one pair of versions, gathered look by look.

Separate from deciding and from writing down. The invariant: when another pair takes the place of
this one, evidence begins anew; what is lost with the process makes a rollout wait longer, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.consents import consented
from reconciler.core.rollouts.evidence import Evidence
from reconciler.core.rollouts.gathering import Histograms, Readings, Segments, counted, exposure_of
from reconciler.core.rollouts.states import Count, Phase, RolloutState, Target
from reconciler.core.rollouts.traffic import Split
from reconciler.core.rollouts.trail import Point, Trail, point_of
from reconciler.core.samples import Samples, Traffic
from reconciler.core.verdicts import Verdict
from reconciler.engine.asking import Evaluations, Queries

GRACE_SECONDS = 60.0
"""How long a rollout has at the least after a daemon began to look at it."""


def pair_of(state: RolloutState) -> tuple[Target | None, Target | None, bool]:
    """What evidence is about."""
    return state.stable, state.candidate, state.phase is Phase.WATCHED


class Measurement:
    """What is known of a pair of versions. `counts` are those of the step, by cluster."""

    def __init__(self, state: RolloutState, queries: Queries, evaluations: Evaluations) -> None:
        self.pair = pair_of(state)
        self.counts: dict[ClusterName, Count] = {}
        self.unready_since: float | None = None
        self.queries = queries
        self.evaluations = evaluations
        self._histograms = Histograms()
        self._before: dict[ClusterName, Count] = {}
        self._segments = Segments()
        self._trail = Trail()
        self._began: float | None = None
        self._place: tuple[object, ...] = ()
        self._trouble = ""

    def follow(self, state: RolloutState) -> None:
        """Take over the position. Counts of another one are over."""
        if state.place != self._place:
            self._place = state.place
            self.counts = dict(state.counts)
            self._segments = Segments()

    def take(
        self, splits: Mapping[ClusterName, Split], readings: Mapping[ClusterName, Readings]
    ) -> None:
        """Take in a look at the replicas of clusters whose gateways do as the position says."""
        self._trouble = "; ".join(r.trouble for _, r in sorted(readings.items()) if r.trouble)
        for name, reading in readings.items():
            count = counted(self.counts.get(name), reading, before=self._before.get(name))
            if count is not None:
                self.counts[name] = self._before[name] = count
        random = {name for name in readings if splits[name].random}
        full = {name for name in readings if splits[name].traffic is Traffic.FULL}
        self._histograms.take({name: readings[name] for name in random})
        self._histograms.take_alone({name: readings[name] for name in full - random})
        rest = readings.keys() - random - full
        self._histograms.pass_over({name: readings[name] for name in rest})

    def samples(
        self, state: RolloutState, spec: RolloutSpec, splits: Mapping[ClusterName, Split]
    ) -> Samples:
        """All of it, as gates judge it: the exposures of earlier steps first."""
        exposures = {
            name: exposure_of(splits[name], count)
            for name, count in self.counts.items()
            if name in splits
        }
        return Samples(
            exposures=(*state.exposures, *self._segments.parts(exposures)),
            signals=self._histograms.signals(),
            latencies=self._histograms.latencies(),
            evaluations=self.evaluations.results(),
            queries=self.queries.points(),
            approved=_approved(state, spec),
            trouble=self._trouble,
        )

    def entered(self, state: RolloutState, spec: RolloutSpec, *, now: float) -> float:
        """When the step began, for its deadline: nobody looked while no daemon ran.

        Whoever begins to look has a while for it, however long ago the step began.
        """
        if self._began is None:
            self._began = now
        deadline = spec.strategy.deadline.total_seconds() if spec.strategy else 0.0
        return max(state.entered, self._began + min(GRACE_SECONDS, deadline) - deadline)

    def noted(self, evidence: Evidence, verdicts: Sequence[Verdict]) -> tuple[Point, ...]:
        """The trail of the evidence, with this look at its end."""
        self._trail.add(point_of(evidence, verdicts))
        return self._trail.points


def _approved(state: RolloutState, spec: RolloutSpec) -> frozenset[str]:
    """Gates that somebody approved for the version that is judged."""
    return frozenset(given.gate for given in consented(state, spec) if given.gate is not None)
