"""Simulating: a whole rollout on a virtual clock, from stated error rates.

Separate from rollouts of real versions, whose requests are counted and not drawn. The invariant:
every look that may move it is decided by the function that the daemon calls, so that what is shown
here is what the same counts would lead to there.

What the error rates do not tell is taken for good: replicas are up at once, gateways divide as they
are told, approvals are given when they are asked for, and only gates on failed requests judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.kinds.rollout import GivenApproval, RolloutSpec
from reconciler.core.manifests import JsonObject, digest_of
from reconciler.core.rollouts.advancing import Move, step_name
from reconciler.core.rollouts.evidence import Evidence, decide
from reconciler.core.rollouts.observations import ClusterSight
from reconciler.core.rollouts.outlook import may_move
from reconciler.core.rollouts.placing import placement
from reconciler.core.rollouts.revising import first_state, revised
from reconciler.core.rollouts.states import Phase, RolloutState, Target
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split
from reconciler.core.samples import Exposure, Samples, Traffic
from reconciler.core.statistics.drawing import Chance, binomial
from reconciler.core.verdicts import Verdict

MOST_SECONDS = 24 * 3600
"""What is not over by then is told as it stands."""

_CAMEL = ConfigDict(alias_generator=to_camel, ser_json_inf_nan="strings")
_COMMIT = CommitSha("0" * 40)
_BEFORE = Target("the version before", digest_of(b"before"), _COMMIT)
_CLUSTER = ClusterName("simulated")
_UP = ClusterSight(settled=True, routed=True, ready=True)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is supposed. Rates and shares are between 0 and 1.

    `requests_per_second` come to the clusters of each wave. `cohort` is the part of them that a
    cohort's header marks. The new version fails like the stable one until `bad_after` seconds, and
    like `candidate_errors` from then on.
    """

    stable_errors: float
    candidate_errors: float
    requests_per_second: float
    cohort: float
    bad_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """One decision. `at` is seconds since the commit, `step` where the rollout stood until then.

    `exposure` is what was counted in that position, None where the new version had no traffic.
    """

    at: float
    step: str
    move: Move
    why: str
    exposure: Exposure | None
    verdicts: tuple[Verdict, ...]

    __pydantic_config__ = _CAMEL


class Ending(StrEnum):
    """What became of the new version."""

    PROMOTED = "promoted"
    TAKEN_BACK = "taken-back"
    UNFINISHED = "unfinished"


_ENDINGS = {Move.PROMOTE: Ending.PROMOTED, Move.ABORT: Ending.TAKEN_BACK}


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of it.

    `at`, `step` and `why` are of the decision that made the ending; a version that had all requests
    and lost them again was taken back. One that still waits after a day is unfinished. `requests`
    are those that the new version answered until then, or until it was promoted, copies included;
    `bad_answers` the failed ones among them that somebody got.
    """

    events: tuple[Event, ...]
    ending: Ending
    at: float
    step: str
    why: str
    requests: int
    bad_answers: int

    __pydantic_config__ = _CAMEL


_SIMULATION = TypeAdapter(Simulation)


def simulation_json(simulation: Simulation) -> JsonObject:
    """The simulation as JSON, without loss."""
    body = _SIMULATION.dump_json(simulation, by_alias=True)
    return cast(JsonObject, TypeAdapter(dict).validate_json(body))


@dataclass(slots=True)
class _Tally:
    """What the new version answered over all positions so far."""

    requests: int = 0
    bad_answers: int = 0

    def add(self, split: Split, requests: int, errors: int) -> None:
        self.requests += requests
        # Answers to copies reach nobody.
        self.bad_answers += 0 if split.traffic is Traffic.MIRROR else errors


def is_simulated(gate: GateSpec) -> bool:
    """Whether error rates tell what this gate says. The others are taken to pass."""
    return gate.error_rate is not None


def simulate(
    name: str,
    spec: RolloutSpec,
    gates: Mapping[str, GateSpec],
    scenario: Scenario,
    *,
    waves: int,
    chance: Chance,
) -> Simulation:
    """Play the rollout of this name that goes step by step, until nothing more can become of it.

    One look a second. `gates` are those that the spec names, `waves` how many have clusters.
    """
    judging = {key: gate for key, gate in gates.items() if is_simulated(gate)}
    play = _Play(_approved(spec), judging, scenario, waves=waves, chance=chance)
    return play.simulation(name)


def _approved(spec: RolloutSpec) -> RolloutSpec:
    given = tuple(
        GivenApproval(version=spec.version, step=step, by=by[0])
        for step, by in spec.approvals_asked().items()
    )
    return spec.model_copy(update={"approved": given})


class _Play:
    """One run. `_counted` are the requests of the position that it stands at, in its wave."""

    def __init__(
        self,
        spec: RolloutSpec,
        gates: Mapping[str, GateSpec],
        scenario: Scenario,
        *,
        waves: int,
        chance: Chance,
    ) -> None:
        self._spec = spec
        self._gates = gates
        self._scenario = scenario
        self._waves = waves
        self._chance = chance
        self._tally = _Tally()
        self._step = ""
        self._split, self._counted = NO_TRAFFIC, Exposure(Traffic.FULL, 0.0)

    def simulation(self, name: str) -> Simulation:
        target = Target(self._spec.version, digest_of(self._spec.version.encode()), _COMMIT)
        state = first_state(name, target, applied=_BEFORE, gradual=True)
        state = revised(state, target, gradual=True, now=0.0)
        found: Simulation | None = None
        events: list[Event] = []
        for event in self._moves(state):
            events.append(event)
            if event.move in _ENDINGS:
                found = self._ended(_ENDINGS[event.move], event.at, event.step, event.why)
        if found is None:
            why = f"nothing more was decided within {MOST_SECONDS // 3600} hours"
            found = self._ended(Ending.UNFINISHED, MOST_SECONDS, self._step, why)
        return replace(found, events=tuple(events))

    def _ended(self, ending: Ending, at: float, step: str, why: str) -> Simulation:
        return Simulation((), ending, at, step, why, self._tally.requests, self._tally.bad_answers)

    def _moves(self, state: RolloutState) -> Iterator[Event]:
        """Every decision but to hold."""
        for second in range(1, MOST_SECONDS + 1):
            if state.candidate is None and state.phase is not Phase.WATCHED:
                return
            at = float(second)
            self._answer(state, at)
            evidence = self._evidence(state, at)
            if not may_move(evidence):
                continue
            verdicts, decision = decide(evidence)
            if decision.move is Move.HOLD:
                continue
            step, counted = step_name(state, self._spec), self._counted
            shown = counted if self._split.traffic is not None else None
            if decision.state.place != state.place:
                self._split = self._split_of(decision.state)
                self._counted = Exposure(self._split.traffic or Traffic.FULL, self._split.share)
            state = decision.state
            self._step = step_name(state, self._spec)
            yield Event(at, step, decision.move, decision.why, shown, verdicts)

    def _split_of(self, state: RolloutState) -> Split:
        if state.phase is Phase.WATCHED:
            return ALL_TRAFFIC
        return placement(state, self._spec, wave=state.wave).split

    def _answer(self, state: RolloutState, at: float) -> None:
        """The requests of one second."""
        per_second = self._scenario.requests_per_second
        arrived = math.floor(at * per_second) - math.floor((at - 1) * per_second)
        is_bad = at > self._scenario.bad_after
        rate = self._scenario.candidate_errors if is_bad else self._scenario.stable_errors
        # Waves that are done have all their traffic on the new version, whatever this one has.
        done = arrived * state.wave
        self._tally.add(ALL_TRAFFIC, done, binomial(self._chance, done, rate))
        if self._split.traffic is not None:
            here = arrived * self._waves if state.phase is Phase.WATCHED else arrived
            self._count(here, rate)

    def _count(self, arrived: int, rate: float) -> None:
        scenario, split, chance = self._scenario, self._split, self._chance
        share = scenario.cohort if split.traffic is Traffic.COHORT else split.share
        candidate = binomial(chance, arrived, share)
        stable = arrived if split.traffic is Traffic.MIRROR else arrived - candidate
        failed = binomial(chance, candidate, rate)
        self._tally.add(split, candidate, failed)
        counted = self._counted
        self._counted = replace(
            counted,
            stable_requests=counted.stable_requests + stable,
            stable_errors=counted.stable_errors + binomial(chance, stable, scenario.stable_errors),
            candidate_requests=counted.candidate_requests + candidate,
            candidate_errors=counted.candidate_errors + failed,
        )

    def _evidence(self, state: RolloutState, at: float) -> Evidence:
        exposures = (self._counted,) if self._split.traffic is not None else ()
        samples = Samples(exposures=(*state.exposures, *exposures))
        return Evidence(
            state, self._spec, self._gates, samples, self._waves, at, clusters={_CLUSTER: _UP}
        )
