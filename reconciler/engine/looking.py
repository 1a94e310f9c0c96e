"""Looking at a rollout: from clusters, replicas, providers and evaluations to its Evidence.

Separate from deciding and writing (promoting.py). The invariant: traffic is counted only once the
gateways have taken it over as the position says, and in the clusters whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import orjson

from reconciler.core.desired import DesiredState
from reconciler.core.errors import Refused, Unavailable
from reconciler.core.gates import Names
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Gate, Model, Rollout
from reconciler.core.manifests import JsonValue
from reconciler.core.rollouts.courses import Course
from reconciler.core.rollouts.evidence import Evidence
from reconciler.core.rollouts.gathering import Readings
from reconciler.core.rollouts.placing import current_split
from reconciler.core.rollouts.runtimes import Answering
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, Split
from reconciler.engine.adapter_servers import NOT_NOW
from reconciler.engine.asking import Evaluations, Queries
from reconciler.engine.concurrency import together
from reconciler.engine.measuring import Measurement, pair_of
from reconciler.engine.scraping import Side, Subject, scrape
from reconciler.engine.sighting import Sight, Sights
from reconciler.ports import Ask, Clock, Comparison, Evaluator, MetricsSource, Publisher, Replicas


@dataclass(frozen=True, slots=True)
class Instruments:
    """What rollouts are measured with, and undone.

    Without `metrics`, gates that ask a provider hold. Without `publisher`, nothing is pushed.
    """

    replicas: Mapping[ClusterName, Replicas]
    evaluator: Evaluator
    metrics: MetricsSource | None = None
    publisher: Publisher | None = None


class Looker:
    """Keeps a Measurement for each rollout that moves."""

    def __init__(self, sights: Sights, instruments: Instruments, clock: Clock) -> None:
        self._sights = sights
        self._instruments = instruments
        self._clock = clock
        self._measurements: dict[str, Measurement] = {}

    def forget_all_but(self, rollouts: AbstractSet[str]) -> None:
        for name in self._measurements.keys() - rollouts:
            self._measurements.pop(name).evaluations.cancel()

    async def close(self) -> None:
        """End the evaluations that run."""
        for measurement in self._measurements.values():
            await measurement.evaluations.close()

    async def look(
        self, course: Course, state: RolloutState, *, now: Callable[[], float]
    ) -> tuple[Evidence, Measurement] | None:
        """One look. None when another process leads the clusters, and decides."""
        if not self._sights.is_led(course, state.rollout):
            return None
        rollout = course.target.rollouts[state.rollout]
        gates = {name: course.target.gates[name] for name in rollout.spec.gates}
        measurement = self._measurement(state)
        sights = self._sights.of(course, state)
        splits = _splits(course, state, rollout)
        await self._measure(course, state, sights, splits, measurement)
        await self._ask(course.target, state, sights, gates, measurement)
        at = now()
        if any(sight.down for sight in sights.values()):
            measurement.unready_since = measurement.unready_since or at
        else:
            measurement.unready_since = None
        evidence = Evidence(
            state=replace(
                state,
                counts=dict(measurement.counts),
                entered=measurement.entered(state, rollout.spec, now=at),
            ),
            spec=rollout.spec,
            gates={name: gate.spec for name, gate in gates.items()},
            samples=measurement.samples(state, rollout.spec, splits),
            waves=1 + max(unit.stage for _, unit in course.target.places_of(rollout.name)),
            now=at,
            clusters={name: sight.cluster for name, sight in sights.items()},
            unready_since=measurement.unready_since,
        )
        return evidence, measurement

    def _measurement(self, state: RolloutState) -> Measurement:
        known = self._measurements.get(state.rollout)
        if known is None or known.pair != pair_of(state):
            if known is not None:
                known.evaluations.cancel()
            queries = Queries(self._instruments.metrics, self._clock)
            evaluations = Evaluations(self._instruments.evaluator, self._clock)
            known = Measurement(state, queries, evaluations)
            self._measurements[state.rollout] = known
        known.follow(state)
        return known

    async def _measure(
        self,
        course: Course,
        state: RolloutState,
        sights: Mapping[ClusterName, Sight],
        splits: Mapping[ClusterName, Split],
        measurement: Measurement,
    ) -> None:
        subject = Subject.of(course.target, state)
        readings: dict[ClusterName, Readings] = {}

        async def read(name: ClusterName) -> None:
            replicas = self._instruments.replicas.get(name)
            if replicas is None:
                trouble = f"the settings do not say how to reach cluster {name}"
                readings[name] = Readings(trouble=trouble)
            else:
                readings[name] = await scrape(name, replicas, subject)

        await together(
            read(name)
            for name, sight in sights.items()
            if name in splits and (name in measurement.counts or _is_in_place(sight))
        )
        measurement.take(splits, readings)

    async def _ask(
        self,
        desired: DesiredState,
        state: RolloutState,
        sights: Mapping[ClusterName, Sight],
        gates: Mapping[str, Gate],
        measurement: Measurement,
    ) -> None:
        if state.stable is None:
            return
        subject = Subject.of(desired, state)
        if state.phase in (Phase.STEPPING, Phase.WATCHED):
            await measurement.queries.ask(gates, _names(subject, state))
        if state.candidate is None:
            # The pair was compared before: answers to known questions do not follow from traffic.
            return
        place = next((n for n, s in sights.items() if s.cluster.settled and s.cluster.ready), None)
        if place is not None:
            chosen = [g.spec.evaluation.name for g in gates.values() if g.spec.evaluation]
            wanted = {name: desired.evaluations[name] for name in chosen}
            measurement.evaluations.begin(wanted, self._comparison(desired, subject, place))

    def _comparison(
        self, desired: DesiredState, subject: Subject, cluster: ClusterName
    ) -> Comparison:
        rollout = desired.rollouts[subject.rollout]
        model = desired.model_of(rollout)
        replicas = self._instruments.replicas[cluster]
        stable, candidate = subject.stable, subject.candidate
        assert stable is not None, "two versions are compared"
        return Comparison(
            rollout=rollout.name,
            model=model.name,
            namespace=subject.namespace,
            stable=stable.version,
            candidate=candidate.version,
            ask_stable=_ask(replicas, subject, model, stable),
            ask_candidate=_ask(replicas, subject, model, candidate),
        )


def _splits(course: Course, state: RolloutState, rollout: Rollout) -> Mapping[ClusterName, Split]:
    """The traffic of the version that is judged, in the clusters where it has any.

    Clusters of earlier waves have given it everything, and are watched for as long as it goes on.
    """
    current = current_split(state, rollout.spec)
    found: dict[ClusterName, Split] = {}
    for _, unit in course.target.places_of(state.rollout):
        if state.phase is Phase.WATCHED or unit.stage < state.wave:
            found[unit.cluster] = ALL_TRAFFIC
        elif unit.stage == state.wave and current.traffic is not None:
            found[unit.cluster] = current
    return found


def _names(subject: Subject, state: RolloutState) -> Names:
    """What queries ask about: of a version that is watched, the one before is the warm one."""
    assert state.stable is not None, "a rollout without a version has no state"
    judged, beside = state.candidate, state.stable
    if judged is None:
        warm = [kept.target for kept in state.kept if kept.proven]
        judged, beside = state.stable, warm[-1] if warm else state.stable
    return Names(subject.rollout, subject.namespace, judged.version, beside.version)


def _is_in_place(sight: Sight) -> bool:
    return sight.cluster.settled and sight.cluster.routed


def _ask(replicas: Replicas, subject: Subject, model: Model, side: Side) -> Ask:
    """Asks any replica of a version, as callers of the model do."""
    answering = side.answering
    path = model.spec.serving.inference_path or _usual_path(model, answering)

    async def ask(request: JsonValue) -> JsonValue:
        found = await replicas.find(subject.namespace, answering.labels)
        if not found:
            raise Unavailable(f"no replica of {side.version} is ready")
        if answering.adapter and isinstance(request, dict):
            request = {**request, answering.field: answering.adapter}
        answer = await replicas.post(found[0], answering.port, path, request)
        if answer.status in NOT_NOW:
            raise Unavailable(f"{found[0].name} answers {answer.status} at {path}")
        if answer.status != 200:
            raise Refused(f"{found[0].name} answers {answer.status} at {path}")
        try:
            body: JsonValue = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise Refused(f"{found[0].name} answers at {path} with what is not JSON") from None
        return body

    return ask


def _usual_path(model: Model, answering: Answering) -> str:
    """Adapters are asked as OpenAI has it: no other protocol names them."""
    return "/v1/completions" if answering.adapter else f"/v2/models/{model.name}/infer"
