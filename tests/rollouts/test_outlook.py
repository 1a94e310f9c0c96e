"""A look may be left out only where it surely holds."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.core.kinds.gate import GateSpec
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.evidence import Evidence, decide
from reconciler.core.rollouts.observations import ClusterSight
from reconciler.core.rollouts.outlook import may_move
from reconciler.core.rollouts.placing import current_split
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.core.rollouts.traffic import ALL_TRAFFIC
from reconciler.core.samples import Exposure, Samples, Traffic
from tests.rollouts.builders import (
    ALL,
    APPROVAL,
    COHORT,
    FIVE,
    HOUR,
    MIRROR,
    NOW,
    ONE,
    QUARTER,
    UP,
    spec,
    starting,
    stepping,
    watched,
)

GATES = {
    "errors": GateSpec.model_validate({"errorRate": {"atMost": "1%"}}),
    "strict": GateSpec.model_validate({"errorRate": {"atMost": "0.5%", "confidence": "95%"}}),
}
SPECS = (
    spec(),
    spec(MIRROR, {**FIVE, "requests": 700}, QUARTER, ALL, gates=("errors", "strict")),
    spec(FIVE, APPROVAL, QUARTER, ALL, approved=(2,)),
    spec(FIVE, APPROVAL, ALL),
    spec(COHORT, FIVE, ALL, gates=()),
    spec(blueGreen={}),
    spec(blueGreen={}, gates=()),
)


def evidence(
    state: RolloutState,
    by: RolloutSpec,
    *exposures: Exposure,
    later: float = 1.0,
    sight: ClusterSight = UP,
) -> Evidence:
    return Evidence(
        state=state,
        spec=by,
        gates={name: GATES[name] for name in by.gates},
        samples=Samples(exposures=(*state.exposures, *exposures)),
        waves=1,
        now=NOW + later,
        clusters={ONE: sight},
    )


@st.composite
def looks(draw: st.DrawFn) -> Evidence:
    """One somewhere in a rollout; requests as many as decide, or nearly."""
    by = draw(st.sampled_from(SPECS))
    step = draw(st.integers(0, 4))
    approved = draw(st.sampled_from((0, step + 1)))
    state = draw(st.sampled_from((stepping(step, approved_step=approved), watched(), starting())))
    split = ALL_TRAFFIC if state.phase is Phase.WATCHED else current_split(state, by)
    requests = draw(st.integers(0, 60) | st.integers(600, 1000) | st.integers(0, 20_000))
    errors = draw(st.integers(0, min(8, requests)) | st.integers(0, requests))
    stable = draw(st.integers(0, 20_000))
    traffic = split.traffic or Traffic.FULL
    now = Exposure(traffic, split.share, stable, min(stable, draw(st.integers(0, 30))), requests)
    now = dataclasses.replace(now, candidate_errors=errors)
    if draw(st.booleans()):
        earlier = draw(st.integers(0, 700))
        state = dataclasses.replace(
            state, exposures=(Exposure(Traffic.MIRROR, 0.1, 9 * earlier, 0, earlier, 0),)
        )
    later = draw(st.sampled_from((1.0, HOUR - 1, HOUR)))
    return evidence(state, by, now, later=later)


@given(looks())
def test_where_nothing_may_move_the_decision_is_to_hold(look: Evidence) -> None:
    assume(not may_move(look))
    assert decide(look)[1].move is Move.HOLD


def clean(requests: int, traffic: Traffic = Traffic.WEIGHT) -> Exposure:
    return Exposure(traffic, 0.05, 19 * requests, 0, requests, 0)


@pytest.mark.parametrize("requests", [0, 5, 99, 100, 643])
def test_a_look_before_the_gate_can_pass_is_left_out(requests: int) -> None:
    assert not may_move(evidence(stepping(2), spec(), clean(requests)))


@pytest.mark.parametrize("requests", [0, 99, 100, 643])
def test_so_is_a_look_before_all_the_traffic_can_move_at_once(requests: int) -> None:
    by, before = spec(blueGreen={}), clean(requests, Traffic.COHORT)
    assert not may_move(evidence(stepping(0), by, before))


def test_the_look_at_which_the_gate_passes_is_not() -> None:
    look = evidence(stepping(2), spec(), clean(644))
    assert may_move(look)
    assert decide(look)[1].move is Move.ENTER


@pytest.mark.parametrize("requests", [1, 1000, 100_000])
def test_a_watched_version_within_its_limit_is_left_alone(requests: int) -> None:
    few = Exposure(Traffic.FULL, 1.0, 0, 0, requests, requests // 200)
    assert not may_move(evidence(watched(), spec(), few))


def test_the_end_of_watching_is_not_missed() -> None:
    look = evidence(watched(), spec(), clean(1, Traffic.FULL), later=HOUR)
    assert may_move(look)
    assert decide(look)[1].move is Move.SETTLE


def test_a_gate_that_is_not_about_failed_requests_is_always_asked() -> None:
    query = GateSpec.model_validate({"promql": {"query": "up", "atMost": 1.0, "for": "1m"}})
    look = evidence(stepping(2), spec(), clean(5))
    assert may_move(dataclasses.replace(look, gates={"query": query}))


def test_a_cluster_that_refuses_is_not_missed() -> None:
    look = evidence(stepping(2), spec(), clean(5), sight=ClusterSight(refused="no"))
    assert may_move(look)
    assert decide(look)[1].move is Move.ABORT


def test_replicas_that_are_down_are_not_missed() -> None:
    look = evidence(stepping(2), spec(), clean(5), later=60.0)
    down = dataclasses.replace(look, unready_since=NOW)
    assert may_move(down)
    assert decide(down)[1].move is Move.ABORT
