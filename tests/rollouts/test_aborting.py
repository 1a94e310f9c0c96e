"""What takes a version back, in every position that it can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.advancing import UNREADY_SECONDS, Decision, Move
from reconciler.core.rollouts.observations import ClusterSight, Observation
from reconciler.core.rollouts.placing import placement
from reconciler.core.rollouts.revising import DRAIN_SECONDS
from reconciler.core.rollouts.states import Kept, Phase, RolloutState
from reconciler.core.samples import Exposure, Traffic
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
    V3,
    after,
    look,
    says,
    settled,
    spec,
    starting,
    stepping,
    target,
    watched,
)

WAVES = spec(COHORT, MIRROR, FIVE, APPROVAL, QUARTER, ALL, waves=3)
GREEN = spec(blueGreen={"approval": {"by": ["product-owner"]}}, waves=3)

IN_TURN: Mapping[str, tuple[RolloutState, RolloutSpec]] = {
    "starting": (starting(), WAVES),
    "starting in the last wave": (starting(wave=2), WAVES),
    "on the cohort": (stepping(0), WAVES),
    "mirrored": (stepping(1), WAVES),
    "at a weight": (stepping(2), WAVES),
    "waiting for approval": (stepping(3), WAVES),
    "approved": (stepping(3, approved_step=4), WAVES),
    "at a greater weight": (stepping(4), WAVES),
    "with everything in one wave": (stepping(5), WAVES),
    "with everything in the last wave": (stepping(5, wave=2), WAVES),
    "on the preview": (stepping(0), GREEN),
    "green has everything": (stepping(1), GREEN),
    "in a later wave": (stepping(2, wave=1), WAVES),
    "past steps that a commit took away": (stepping(9), WAVES),
}
ON_ITS_WAY = pytest.mark.parametrize("where", IN_TURN)
THINKING = {"waiting for approval", "on the preview"}
WATCHED: Mapping[str, tuple[RolloutState, RolloutSpec]] = {"watched": (watched(), WAVES)}
JUDGED = pytest.mark.parametrize("where", [*IN_TURN, *WATCHED])

AWAY = ClusterSight(trouble="away")
REFUSING = ClusterSight(settled=True, ready=True, routed=True, refused="quota exceeded")
REFUSED = look(clusters={ONE: UP, TWO: REFUSING})
HARM: Mapping[str, Observation] = {
    "a gate fails": look(FAILS),
    "one gate of several fails": look(PASSES, HOLDS, says(Outcome.FAIL, gate="drift")),
    "a gate fails without any cluster in sight": Observation(verdicts=(FAILS,)),
    "a cluster refuses": REFUSED,
    "a cluster refuses and another is away": look(clusters={ONE: AWAY, TWO: REFUSING}),
    "a gate fails while a cluster is away": look(FAILS, clusters={ONE: AWAY}),
}
NO_HARM: Mapping[str, Observation] = {
    "a gate holds": look(HOLDS),
    "an advisory gate fails": look(says(Outcome.FAIL, gate="latency", advisory=True)),
    "a cluster is away": look(HOLDS, clusters={ONE: AWAY}),
    "a cluster is behind": look(HOLDS, clusters={ONE: ClusterSight()}),
    "nothing is seen": Observation(),
    "nobody answers": look(HOLDS, requests=0),
}


def decided(where: str, observation: Observation, *, later: float = 1.0) -> Decision:
    state, said = {**IN_TURN, **WATCHED}[where]
    return after(state, observation, by=said, waves=len(said.waves), later=later)


@JUDGED
@pytest.mark.parametrize("harm", HARM)
def test_harm_takes_the_version_back_wherever_it_is(where: str, harm: str) -> None:
    decision = decided(where, HARM[harm])
    assert decision.move is Move.ABORT


@JUDGED
@pytest.mark.parametrize("harmless", NO_HARM)
def test_what_proves_no_harm_takes_nothing_back(where: str, harmless: str) -> None:
    assert decided(where, NO_HARM[harmless]).move is not Move.ABORT


@JUDGED
def test_after_an_abort_the_version_before_has_all_the_traffic_in_every_wave(where: str) -> None:
    state = decided(where, look(FAILS)).state
    for wave in range(3):
        placed = placement(state, WAVES, wave=wave)
        assert (placed.base, placed.candidate, placed.split.share) == (V1, None, 0.0)


@JUDGED
def test_after_an_abort_the_failed_version_drains_and_goes(where: str) -> None:
    state = decided(where, look(FAILS)).state
    assert state.kept[-1] == Kept(V2, NOW + 1 + DRAIN_SECONDS, proven=False)


@JUDGED
def test_an_abort_says_which_gate_and_names_the_commit(where: str) -> None:
    failure = decided(where, look(says(Outcome.FAIL, gate="drift"))).state.failure
    assert failure is not None
    assert (failure.gate, failure.target.commit, failure.at) == ("drift", V2.commit, NOW + 1)


@JUDGED
def test_an_abort_that_no_gate_decided_names_none(where: str) -> None:
    failure = decided(where, REFUSED).state.failure
    assert failure is not None
    assert failure.gate == ""


@JUDGED
def test_an_abort_leaves_no_evidence_for_the_next_version(where: str) -> None:
    state = decided(where, look(FAILS)).state
    assert (state.exposures, state.counts) == ((), {})


@JUDGED
def test_a_failed_version_is_not_proven_any_longer(where: str) -> None:
    assert not decided(where, look(FAILS)).state.is_proven(V2)


@JUDGED
def test_the_version_that_the_traffic_goes_back_to_stays_proven(where: str) -> None:
    assert decided(where, look(FAILS)).state.is_proven(V1)


@pytest.mark.parametrize("where", sorted({*IN_TURN, *WATCHED} - {"starting"}))
def test_replicas_that_are_down_for_long_take_the_version_back(where: str) -> None:
    looked = look(PASSES, unready_since=NOW + 1 - UNREADY_SECONDS)
    assert decided(where, looked).move is Move.ABORT


@JUDGED
def test_replicas_that_are_down_for_a_moment_take_nothing_back(where: str) -> None:
    looked = look(HOLDS, unready_since=NOW + 1.1 - UNREADY_SECONDS)
    assert decided(where, looked).move is not Move.ABORT


def test_replicas_that_start_without_any_traffic_may_take_their_time() -> None:
    looked = look(clusters={ONE: ClusterSight(settled=True)}, unready_since=NOW)
    assert decided("starting", looked, later=HOUR - 1).move is Move.HOLD


def test_a_wave_that_starts_does_not_hide_that_replicas_of_the_wave_before_are_down() -> None:
    looked = look(clusters={ONE: UP, TWO: ClusterSight(settled=True)}, unready_since=NOW)
    assert decided("starting in the last wave", looked, later=UNREADY_SECONDS).move is Move.ABORT


@pytest.mark.parametrize("where", sorted(IN_TURN.keys() - THINKING))
def test_without_evidence_the_version_is_taken_back_at_the_deadline(where: str) -> None:
    assert decided(where, Observation(), later=HOUR).move is Move.ABORT


@ON_ITS_WAY
def test_before_the_deadline_missing_evidence_only_holds(where: str) -> None:
    assert decided(where, Observation(), later=HOUR - 0.1).move is Move.HOLD


@pytest.mark.parametrize("where", sorted(THINKING))
def test_people_may_take_their_time_to_approve(where: str) -> None:
    assert decided(where, Observation(), later=1_000 * HOUR).move is Move.HOLD


@pytest.mark.parametrize("where", sorted(THINKING))
def test_while_people_take_their_time_harm_still_counts(where: str) -> None:
    assert decided(where, look(FAILS), later=1_000 * HOUR).move is Move.ABORT


def test_the_deadline_says_what_was_missing() -> None:
    decision = decided("at a weight", look(HOLDS, requests=3), later=HOUR)
    assert "3 of 100 requests" in decision.why
    assert "gate errors: it is hold" in decision.why


def test_a_deadline_of_its_own_is_kept() -> None:
    said = spec(deadline="5m")
    assert (
        after(stepping(2), Observation(), by=said, waves=len(said.waves), later=299).move
        is Move.HOLD
    )
    assert (
        after(stepping(2), Observation(), by=said, waves=len(said.waves), later=300).move
        is Move.ABORT
    )


def test_harm_is_told_before_a_deadline_that_passed() -> None:
    assert "gate errors failed" in decided("at a weight", look(FAILS), later=2 * HOUR).why


def test_nothing_is_judged_while_one_version_has_had_everything_for_long() -> None:
    assert after(settled(), look(FAILS), by=WAVES, waves=3).move is Move.HOLD


def test_a_warm_version_that_never_had_the_traffic_is_not_gone_back_to() -> None:
    unproven = (Kept(V1, NOW + HOUR, proven=False),)
    assert after(watched(kept=unproven), look(FAILS), by=WAVES, waves=3).move is not Move.ABORT


def test_a_watched_version_gives_way_to_the_newest_warm_one() -> None:
    older = Kept(target("v0"), NOW + HOUR, proven=True)
    newer = Kept(V1, NOW + HOUR, proven=True)
    assert after(watched(kept=(older, newer)), look(FAILS), by=WAVES, waves=3).state.stable == V1


def test_a_warm_version_that_takes_over_is_warm_no_longer() -> None:
    state = decided("watched", look(FAILS)).state
    assert [kept.target for kept in state.kept] == [V2]


def test_an_older_warm_version_stays_warm_through_an_abort() -> None:
    warm = Kept(V3, NOW + HOUR, proven=True)
    state = after(stepping(2, kept=(warm,)), look(FAILS), by=WAVES, waves=3).state
    assert warm in state.kept


def test_an_abort_keeps_an_earlier_stay_of_the_failed_version_from_doubling() -> None:
    stay = Kept(replace(V2, build=V1.build), NOW + 5, proven=False)
    state = after(stepping(2, kept=(stay,)), look(FAILS), by=WAVES, waves=3).state
    assert [kept.target.version for kept in state.kept] == ["v2"]


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("wave", range(3))
def test_a_failure_says_where_it_was(step: int, wave: int) -> None:
    failure = after(stepping(step, wave=wave), look(FAILS), by=WAVES, waves=3).state.failure
    assert failure is not None
    assert failure.step.startswith(f"wave {wave + 1}, step {step + 1} of 6: ")


def test_counted_evidence_changes_nothing_about_an_abort() -> None:
    before = Exposure(Traffic.WEIGHT, 0.05, 10_000, 0, 500, 0)
    decision = after(stepping(2, exposures=(before,)), look(FAILS), by=WAVES, waves=3)
    assert (decision.move, decision.state.stable) == (Move.ABORT, V1)


def test_an_abort_in_a_later_wave_names_the_cluster_that_refused() -> None:
    looked = Observation({ClusterName("far"): ClusterSight(refused="no such runtime class")})
    decision = after(stepping(1, wave=1), looked, by=WAVES, waves=3)
    assert "cluster far does not take it: no such runtime class" in decision.why


def test_after_an_abort_the_phase_is_settled() -> None:
    assert decided("at a weight", look(FAILS)).state.phase is Phase.SETTLED


def test_after_an_abort_the_failure_stays_to_be_undone() -> None:
    assert decided("at a weight", look(FAILS)).state.active


def test_blue_green_is_taken_back_on_its_preview() -> None:
    said = spec(blueGreen={})
    assert after(stepping(0), look(FAILS), by=said, waves=len(said.waves)).state.stable == V1
