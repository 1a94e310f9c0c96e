"""A version gets more traffic when all that its position waits for is there, never before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.rollouts.advancing import Move, step_name
from reconciler.core.rollouts.observations import ClusterSight
from reconciler.core.rollouts.revising import DRAIN_SECONDS
from reconciler.core.rollouts.states import Count, Kept, Phase, RolloutState
from reconciler.core.verdicts import Outcome
from tests.rollouts.builders import (
    ALL,
    APPROVAL,
    COHORT,
    FAILS,
    FIVE,
    HOLDS,
    HOUR,
    MIRROR,
    NOW,
    ONE,
    PASSES,
    QUARTER,
    TWO,
    UP,
    V1,
    V2,
    after,
    answered,
    look,
    says,
    settled,
    spec,
    starting,
    stepping,
    watched,
)

# From start to end


def test_a_version_that_is_up_enters_its_first_step() -> None:
    decision = after(starting(), look(HOLDS, requests=0))
    assert (decision.move, decision.state.phase, decision.state.step) == (
        Move.ENTER,
        Phase.STEPPING,
        0,
    )


@pytest.mark.parametrize("step", range(4))
def test_a_step_with_all_that_it_asks_for_is_followed_by_the_next(step: int) -> None:
    decision = after(stepping(step), look())
    assert (decision.move, decision.state.step) == (Move.ENTER, step + 1)


@pytest.mark.parametrize("step", range(4))
def test_a_step_begins_its_own_time_and_counts(step: int) -> None:
    state = stepping(step, counts={ONE: Count()})
    decided = after(state, look(), later=7.0).state
    assert (decided.entered, dict(decided.counts)) == (NOW + 7, {})


@pytest.mark.parametrize("step", range(4))
def test_the_evidence_of_a_step_is_kept_for_the_next(step: int) -> None:
    before = replace(answered(7), share=0.01)
    decided = after(stepping(step, exposures=(before,)), look(requests=200)).state
    assert [exposure.candidate_requests for exposure in decided.exposures] == [7, 200]


def test_the_last_step_of_the_last_wave_ends_the_rollout() -> None:
    decision = after(stepping(4), look())
    assert (decision.move, decision.state.stable, decision.state.candidate) == (
        Move.PROMOTE,
        V2,
        None,
    )


def test_a_promoted_version_is_watched_beside_the_warm_one() -> None:
    decided = after(stepping(4), look()).state
    assert decided.phase is Phase.WATCHED
    assert decided.kept == (Kept(V1, NOW + 1 + HOUR, proven=True),)


def test_both_versions_are_remembered_as_good() -> None:
    assert after(stepping(4), look()).state.proven == (V1, V2)


def test_a_warm_time_shorter_than_the_drain_is_the_drain() -> None:
    decided = after(stepping(4), look(), by=spec(keepWarm="1s")).state
    assert decided.kept[0].until == NOW + 1 + DRAIN_SECONDS


# Waves


def test_the_next_wave_starts_when_the_one_before_has_all_requests() -> None:
    decision = after(stepping(4), look(), waves=2)
    assert (decision.move, decision.state.phase, decision.state.wave, decision.state.step) == (
        Move.WAVE,
        Phase.STARTING,
        1,
        0,
    )


@pytest.mark.parametrize("step", range(4))
def test_no_wave_begins_before_the_last_step_of_the_one_before(step: int) -> None:
    assert after(stepping(step), look(), waves=2).state.wave == 0


def test_a_wave_is_judged_on_its_own_evidence() -> None:
    state = stepping(4, exposures=(answered(1000),), counts={ONE: Count()})
    decided = after(state, look(), waves=2).state
    assert (decided.exposures, dict(decided.counts)) == ((), {})


def test_the_last_wave_promotes() -> None:
    seen = look(clusters={ONE: UP, TWO: UP})
    assert after(stepping(4, 1), seen, waves=2).move is Move.PROMOTE


@pytest.mark.parametrize("wave", [0, 1])
def test_no_version_is_promoted_before_the_last_wave(wave: int) -> None:
    assert after(stepping(4, wave), look(), waves=3).move is Move.WAVE


# What a position waits for

NOT_YET: dict[str, tuple[ClusterSight, str]] = {
    "not seen": (ClusterSight(trouble="not connected"), "cluster two: not connected"),
    "not written": (
        ClusterSight(routed=True, ready=True),
        "cluster two is being brought to it",
    ),
    "not up": (
        ClusterSight(settled=True, routed=True),
        "its replicas in cluster two are not up yet",
    ),
}
ROUTED = (
    ClusterSight(settled=True, ready=True),
    "the gateway of cluster two has not taken the traffic over yet",
)


@pytest.mark.parametrize(
    "state", [starting(), *(stepping(step) for step in range(5))], ids=lambda s: f"step {s.step}"
)
@pytest.mark.parametrize(("sight", "words"), NOT_YET.values(), ids=NOT_YET.keys())
def test_one_cluster_that_is_not_there_yet_holds_them_all(
    state: RolloutState, sight: ClusterSight, words: str
) -> None:
    decision = after(state, look(clusters={ONE: UP, TWO: sight}))
    assert (decision.move, decision.why) == (Move.HOLD, words)


@pytest.mark.parametrize("step", range(5))
def test_a_step_waits_for_every_gateway(step: int) -> None:
    decision = after(stepping(step), look(clusters={ONE: UP, TWO: ROUTED[0]}))
    assert (decision.move, decision.why) == (Move.HOLD, ROUTED[1])


def test_a_start_waits_for_no_gateway() -> None:
    assert after(starting(), look(clusters={ONE: UP, TWO: ROUTED[0]})).move is Move.ENTER


@pytest.mark.parametrize("state", [starting(), *(stepping(step) for step in range(5))])
def test_what_nobody_has_seen_holds(state: RolloutState) -> None:
    assert after(state, look(clusters={})).move is Move.HOLD


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("requests", [0, 1, 99])
def test_a_step_waits_for_its_requests(step: int, requests: int) -> None:
    decision = after(stepping(step), look(requests=requests))
    assert decision.move is Move.HOLD
    assert f"{requests} of 100 requests answered in this step" in decision.why


@pytest.mark.parametrize("step", range(4))
def test_requests_of_earlier_steps_do_not_count_for_this_one(step: int) -> None:
    state = stepping(step, exposures=(answered(1000),))
    assert after(state, look(requests=99)).move is Move.HOLD


@pytest.mark.parametrize("wanted", [1, 50, 1000])
def test_a_step_may_say_how_many_requests_it_wants(wanted: int) -> None:
    by = spec({**FIVE, "requests": wanted}, ALL)
    assert after(stepping(0), look(requests=wanted - 1), by=by).move is Move.HOLD
    assert after(stepping(0), look(requests=wanted), by=by).move is Move.ENTER


def test_requests_are_counted_over_all_clusters() -> None:
    seen = replace(look(), exposures=(answered(60), answered(40)))
    assert after(stepping(2), seen).move is Move.ENTER


@pytest.mark.parametrize("step", range(5))
def test_the_passing_of_time_moves_no_step(step: int) -> None:
    seen = look(HOLDS, requests=0, clusters={ONE: ClusterSight(settled=True, ready=True)})
    assert after(stepping(step), seen, later=HOUR - 1).move is Move.HOLD


# Which steps ask for proof

TRANSITIONS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "cohort to mirror": (COHORT, MIRROR, False),
    "cohort to weight": (COHORT, FIVE, False),
    "cohort to all": (COHORT, ALL, True),
    "mirror to weight": (MIRROR, FIVE, False),
    "mirror to cohort": (MIRROR, COHORT, False),
    "mirror to all": (MIRROR, ALL, True),
    "weight to weight": (FIVE, QUARTER, True),
    "weight to all": (QUARTER, ALL, True),
    "weight to cohort": (FIVE, COHORT, True),
    "weight to mirror": (FIVE, MIRROR, True),
}


@pytest.mark.parametrize(("here", "next_", "proof"), TRANSITIONS.values(), ids=TRANSITIONS.keys())
def test_more_of_the_users_needs_proof(
    here: dict[str, Any], next_: dict[str, Any], proof: bool
) -> None:
    by = spec(here, next_, *([] if next_ is ALL else [ALL]))
    expected = Move.HOLD if proof else Move.ENTER
    assert after(stepping(0), look(HOLDS), by=by).move is expected


@pytest.mark.parametrize(("here", "next_", "proof"), TRANSITIONS.values(), ids=TRANSITIONS.keys())
def test_an_advisory_gate_that_holds_stops_nobody(
    here: dict[str, Any], next_: dict[str, Any], proof: bool
) -> None:
    by = spec(here, next_, *([] if next_ is ALL else [ALL]))
    seen = look(PASSES, says(Outcome.HOLD, gate="latency", advisory=True))
    assert after(stepping(0), seen, by=by).move is Move.ENTER


@pytest.mark.parametrize("step", [2, 3])
def test_every_gate_must_pass(step: int) -> None:
    seen = look(PASSES, says(Outcome.HOLD, gate="drift"))
    decision = after(stepping(step), seen)
    assert (decision.move, decision.why) == (Move.HOLD, "gate drift: it is hold")


def test_what_has_all_requests_in_its_wave_waits_for_no_gate() -> None:
    assert after(stepping(4), look(HOLDS, requests=0)).move is Move.PROMOTE


def test_all_that_is_waited_for_is_told() -> None:
    decision = after(stepping(2), look(HOLDS, requests=3, clusters={ONE: ClusterSight()}))
    assert decision.why.count(";") == 2


# Approvals

ASKING = (FIVE, APPROVAL, ALL)


def test_a_step_waits_for_its_approval_however_long_it_takes() -> None:
    decision = after(stepping(1), look(), by=spec(*ASKING), later=1000 * HOUR)
    assert (decision.move, decision.why) == (Move.HOLD, "step 2 waits for an approval in Git")


def test_a_version_that_fails_while_people_think_is_taken_back() -> None:
    assert after(stepping(1), look(FAILS), by=spec(*ASKING)).move is Move.ABORT


def test_the_deadline_begins_when_the_approval_is_given() -> None:
    decision = after(stepping(1), look(), by=spec(*ASKING, approved=(2,)), later=50 * HOUR)
    assert (decision.move, decision.state.entered) == (Move.APPROVE, NOW + 50 * HOUR)


def test_an_approval_moves_no_traffic_by_itself() -> None:
    decided = after(stepping(1), look(), by=spec(*ASKING, approved=(2,))).state
    assert (decided.phase, decided.step) == (Phase.STEPPING, 1)


def test_an_approval_is_news_once() -> None:
    by = spec(*ASKING, approved=(2,))
    first = after(stepping(1), look(), by=by)
    assert after(first.state, look(), by=by).move is Move.ENTER


def test_an_approved_step_waits_for_proof_no_longer_than_others() -> None:
    by = spec(*ASKING, approved=(2,))
    state = stepping(1, approved_step=2)
    assert after(state, look(HOLDS), by=by, later=HOUR - 1).move is Move.HOLD
    assert after(state, look(HOLDS), by=by, later=HOUR).move is Move.ABORT


def test_an_approval_that_was_given_before_its_step_is_found_there() -> None:
    by = spec(*ASKING, approved=(2,))
    assert after(stepping(0), look(), by=by).move is Move.ENTER
    assert after(stepping(1), look(), by=by).move is Move.APPROVE


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_an_approval_of_another_version_is_none_of_this(version: str) -> None:
    by = spec(*ASKING, version=version, approved=(2,))
    assert after(stepping(1), look(), by=by).move is Move.HOLD


def test_an_approval_of_another_step_is_none_of_this() -> None:
    by = spec(FIVE, APPROVAL, QUARTER, APPROVAL, ALL, approved=(4,))
    assert after(stepping(1), look(), by=by).move is Move.HOLD


def test_an_approval_step_wants_no_requests_of_its_own() -> None:
    by = spec(*ASKING, approved=(2,))
    assert after(stepping(1, approved_step=2), look(requests=0), by=by).move is Move.ENTER


def test_an_approval_does_not_stand_in_for_proof() -> None:
    by = spec(*ASKING, approved=(2,))
    assert after(stepping(1, approved_step=2), look(HOLDS), by=by).move is Move.HOLD


# Blue and green


def test_green_waits_for_requests_on_the_preview() -> None:
    by = spec(blueGreen={"requests": 10})
    assert after(stepping(0), look(requests=9), by=by).move is Move.HOLD


def test_green_waits_for_proof() -> None:
    assert after(stepping(0), look(HOLDS), by=spec(blueGreen={})).move is Move.HOLD


def test_green_gets_everything_at_once() -> None:
    decided = after(stepping(0), look(), by=spec(blueGreen={})).state
    assert step_name(decided, spec(blueGreen={})) == "step 2 of 2: all requests"


def test_green_without_gates_waits_for_no_requests() -> None:
    by = spec(blueGreen={}, gates=())
    seen = replace(look(requests=0), verdicts=())
    assert after(stepping(0), seen, by=by).move is Move.ENTER


def test_green_waits_for_its_approval() -> None:
    by = spec(blueGreen={"approval": {"by": ["product-owner"]}})
    assert after(stepping(0), look(), by=by, later=100 * HOUR).move is Move.HOLD


def test_an_approved_green_still_wants_its_requests() -> None:
    by = spec(blueGreen={"approval": {"by": ["product-owner"]}}, approved=(1,))
    assert after(stepping(0, approved_step=1), look(requests=1), by=by).move is Move.HOLD


# In words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (starting(), "starting"),
        (stepping(0), "step 1 of 3: 5 % of the requests"),
        (stepping(1), "step 2 of 3: 5 % of the requests, approval by product-owner"),
        (stepping(2), "step 3 of 3: all requests"),
        (stepping(7), "step 3 of 3: all requests"),
        (settled(), "settled"),
        (watched(), "watched"),
    ],
)
def test_a_position_is_told_in_words(state: RolloutState, words: str) -> None:
    assert step_name(state, spec(*ASKING)) == words


def test_a_position_names_its_wave_where_there_are_several() -> None:
    assert step_name(stepping(0, 1), spec(*ASKING, waves=2)).startswith("wave 2, step 1 of 3")


def test_a_step_is_entered_for_what_its_gates_have_proven() -> None:
    seen = look(PASSES, says(Outcome.HOLD, gate="latency", advisory=True))
    assert after(stepping(2), seen).why == "step 4 of 5: 25 % of the requests, because it is pass"


def test_a_step_without_gates_is_entered_for_its_requests() -> None:
    seen = replace(look(), verdicts=())
    assert after(stepping(2), seen).why.endswith("because this step has what it asks for")
