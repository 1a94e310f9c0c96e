"""Whatever commits, sights and time bring: no version gets more than was earned, and none stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.advancing import Move, advance
from reconciler.core.rollouts.observations import ClusterSight, Observation
from reconciler.core.rollouts.placing import Placement, current_split, placement
from reconciler.core.rollouts.revising import first_state, revised
from reconciler.core.rollouts.states import Phase, RolloutState, Target, state_from_json, state_json
from reconciler.core.rollouts.traffic import ALL_TRAFFIC
from reconciler.core.samples import Traffic
from reconciler.core.verdicts import Outcome
from tests.rollouts.builders import (
    ALL,
    APPROVAL,
    COHORT,
    FIVE,
    HOUR,
    MIRROR,
    NOW,
    QUARTER,
    UP,
    V1,
    answered,
    says,
    spec,
    target,
)

WAVES = 2
WAYS: dict[str, dict[str, Any]] = {
    "canary": {"steps": (COHORT, MIRROR, FIVE, QUARTER, ALL)},
    "short": {"steps": (FIVE, ALL)},
    "asking": {"steps": (FIVE, APPROVAL, QUARTER, ALL)},
    "at once": {"steps": (ALL,)},
    "green": {"blueGreen": {}},
}
ASKED = {"asking": 2}

SIGHTS = st.sampled_from(
    [
        UP,
        UP,
        UP,
        ClusterSight(),
        ClusterSight(settled=True, ready=True),
        ClusterSight(settled=True),
        ClusterSight(trouble="not connected"),
        replace(UP, refused="no such field"),
    ]
)
VERDICTS = st.sampled_from(
    [
        (says(Outcome.PASS),),
        (says(Outcome.PASS),),
        (says(Outcome.HOLD),),
        (says(Outcome.FAIL),),
        (says(Outcome.PASS), says(Outcome.FAIL, gate="latency", advisory=True)),
        (),
    ]
)


def declared(way: str, version: str, *, approved: bool) -> RolloutSpec:
    asked = (ASKED[way],) if approved and way in ASKED else ()
    said = dict(WAYS[way])
    return spec(*said.pop("steps", ()), version=version, waves=WAVES, approved=asked, **said)


def shares(where: Placement) -> Counter[tuple[str, str]]:
    """The part of the answers that each build gives, in thousandths."""
    moved = where.split.share if where.split.traffic in (Traffic.WEIGHT, Traffic.FULL) else 0.0
    found: Counter[tuple[str, str]] = Counter()
    found[(where.base.version, where.base.build)] += round(1000 * (1 - moved))
    if where.candidate is not None:
        found[(where.candidate.version, where.candidate.build)] += round(1000 * moved)
    return +found


class Walk(RuleBasedStateMachine):
    """One rollout under commits, looks and time."""

    @initialize(way=st.sampled_from(sorted(WAYS)))
    def begin(self, way: str) -> None:
        self.now = NOW
        self.way = way
        self.spec = declared(way, "v1", approved=False)
        self.state = first_state("fraud", V1, applied=None, gradual=True)
        self.failed: Target | None = None

    def everywhere(self, state: RolloutState | None = None) -> list[Counter[tuple[str, str]]]:
        known = state or self.state
        return [shares(placement(known, self.spec, wave=wave)) for wave in range(WAVES)]

    def places(self) -> list[Placement]:
        return [placement(self.state, self.spec, wave=wave) for wave in range(WAVES)]

    def drains(self, before: list[Placement]) -> None:
        """Whatever may have had requests a moment ago stays loaded for those on their way."""
        for had, has in zip(before, self.places(), strict=True):
            told = [had.base] if had.split is not ALL_TRAFFIC else []
            if had.candidate is not None and had.split.traffic is not None:
                told.append(had.candidate)
            assert {one.version for one in told} <= {one.version for one in has.loaded}

    @rule(
        version=st.sampled_from(["v1", "v2", "v3"]),
        build=st.sampled_from("aab"),
        approved=st.booleans(),
    )
    def commit(self, version: str, build: str, approved: bool) -> None:
        """Another version, another build or an approval; the steps stay what they are."""
        before, state, places = self.everywhere(), self.state, self.places()
        asked = target(version, build)
        self.spec = declared(self.way, version, approved=approved)
        self.state = revised(state, asked, gradual=True, now=self.now)
        if asked.is_same(self.failed):
            assert self.state == state, "what failed came again by itself"
        self.failed = self.failed if asked.is_same(self.failed) else None
        if state.candidate is None or version != state.candidate.version:
            # One that is built anew on its way starts again in the first wave alone.
            self.drains(places)
        assert state.stable is not None
        in_place = version == state.stable.version
        if in_place or state.is_proven(asked):
            return
        key = (version, asked.build)
        for had, has in zip(before, self.everywhere(), strict=True):
            assert has[key] <= had[key], "a commit gave traffic to a version that is not proven"

    @rule(way=st.sampled_from(sorted(WAYS)))
    def edit_steps(self, way: str) -> None:
        """People may change the steps on the way: then the traffic is what they say."""
        self.way = way
        self.spec = declared(way, self.spec.version, approved=False)

    @rule(verdicts=VERDICTS, one=SIGHTS, two=SIGHTS, requests=st.sampled_from([0, 99, 100, 1000]))
    def look(self, verdicts: Any, one: ClusterSight, two: ClusterSight, requests: int) -> None:
        clusters = {ClusterName("one"): one}
        if self.state.candidate is None or self.state.wave > 0:
            clusters[ClusterName("two")] = two
        traffic = current_split(self.state, self.spec).traffic or Traffic.WEIGHT
        self.seen(Observation(clusters, (answered(requests, traffic),), verdicts))

    @rule(looks=st.integers(1, 6))
    def all_is_well(self, looks: int) -> None:
        for _ in range(looks):
            self.look((says(Outcome.PASS),), UP, UP, 100)

    @rule(flaw=st.sampled_from(["unrouted", "down", "away", "behind", "hold", "few", "fail"]))
    def all_is_well_but_for_one_thing(self, flaw: str) -> None:
        outcome = Outcome(flaw) if flaw in ("hold", "fail") else Outcome.PASS
        flawed = {
            "unrouted": replace(UP, routed=False),
            "down": replace(UP, ready=False),
            "away": ClusterSight(trouble="not connected"),
            "behind": replace(UP, settled=False),
        }
        self.look((says(outcome),), flawed.get(flaw, UP), UP, 99 if flaw == "few" else 100)

    @rule(down_for=st.floats(0, 30))
    def replicas_are_down(self, down_for: float) -> None:
        self.seen(Observation({ClusterName("one"): UP}, unready_since=self.now - down_for))

    @rule(seconds=st.sampled_from([1.0, 10.0, 16.0, 600.0, HOUR, 30 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_process_starts_anew(self) -> None:
        self.state = state_from_json(orjson.loads(orjson.dumps(state_json(self.state))))

    def seen(self, observation: Observation) -> None:
        before, state, places = self.everywhere(), self.state, self.places()
        decision = advance(state, self.spec, observation, waves=WAVES, now=self.now)
        self.state = decision.state
        self.drains(places)
        if decision.move is Move.ENTER:
            follows = state.phase is Phase.STARTING or self.state.step == state.step + 1
            assert follows, "a step was left out"
        if decision.move is Move.PROMOTE:
            assert state.wave == WAVES - 1
        if decision.move is Move.HOLD:
            assert decision.state == state
        if decision.move is Move.ABORT:
            assert self.state.failure is not None
            assert self.state.candidate is None
            self.failed = self.state.failure.target
        candidate = state.candidate
        if candidate is None:
            return
        key = (candidate.version, candidate.build)
        for had, has in zip(before, self.everywhere(), strict=True):
            if has[key] > had[key]:
                self.earned(state, observation)

    def earned(self, state: RolloutState, seen: Observation) -> None:
        """What every growth of a candidate's traffic must rest on."""
        assert seen.clusters
        for sight in seen.clusters.values():
            assert (sight.trouble, sight.refused) == ("", "")
            assert sight.settled
            assert sight.ready
            assert sight.routed or state.phase is Phase.STARTING
        binding = [verdict.outcome for verdict in seen.verdicts if not verdict.advisory]
        assert Outcome.FAIL not in binding
        if state.phase is Phase.STEPPING and before_of(self, state) > 0:
            assert Outcome.HOLD not in binding, "more of the users without proof"
        if state.phase is Phase.STEPPING and self.way != "asking":
            assert sum(one.candidate_requests for one in seen.exposures) >= 100

    @precondition(lambda self: self.state.candidate is not None)
    @rule()
    def silence(self) -> None:
        """Nobody sees anything any more: what is on its way goes back, unless people were asked."""
        state, now = self.state, self.now
        for _ in range(3):
            now += HOUR
            state = advance(state, self.spec, Observation(), waves=WAVES, now=now).state
        asked = self.state.step + 1 in self.spec.approvals_asked()
        approved = self.spec.is_approved(self.state.candidate.version, self.state.step + 1)
        if state.candidate is None:
            assert all(len(has) == 1 for has in self.everywhere(state))
        else:
            assert self.state.phase is Phase.STEPPING
            assert asked
            assert not approved
            assert self.everywhere(state) == self.everywhere()

    @invariant()
    def a_failed_version_gets_nothing(self) -> None:
        if hasattr(self, "state") and self.failed is not None:
            for has in self.everywhere():
                assert has[(self.failed.version, self.failed.build)] == 0

    @invariant()
    def a_version_gets_nothing_in_a_wave_before_its_turn(self) -> None:
        if hasattr(self, "state") and self.state.candidate is not None:
            candidate = self.state.candidate
            for has in self.everywhere()[self.state.wave + 1 :]:
                assert has[(candidate.version, candidate.build)] == 0

    @invariant()
    def every_cluster_gives_all_its_answers(self) -> None:
        if hasattr(self, "state"):
            assert all(sum(has.values()) == 1000 for has in self.everywhere())

    @invariant()
    def positions_follow_from_commit_and_state_alone(self) -> None:
        if not hasattr(self, "state"):
            return
        bare = replace(self.state, entered=0.0, approved_step=0, exposures=(), counts={})
        again = state_from_json(state_json(bare))
        for wave in range(WAVES):
            here = placement(self.state, self.spec, wave=wave)
            assert placement(again, self.spec, wave=wave) == here

    @invariant()
    def what_has_traffic_is_loaded(self) -> None:
        if hasattr(self, "state"):
            for wave in range(WAVES):
                where = placement(self.state, self.spec, wave=wave)
                loaded = {loaded.version for loaded in where.loaded}
                assert {version for version, _ in shares(where)} <= loaded


def before_of(walk: Walk, state: RolloutState) -> int:
    """What the candidate had of the answers in the wave whose turn it is."""
    assert state.candidate is not None
    has = shares(placement(state, walk.spec, wave=state.wave))
    return has[(state.candidate.version, state.candidate.build)]


Walk.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWalk = Walk.TestCase
