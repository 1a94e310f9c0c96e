"""Where a cluster stands follows from the commit, the state and its wave, and from nothing else."""

from __future__ import annotations

import pytest

from reconciler.core.rollouts.placing import current_split, placement
from reconciler.core.rollouts.states import Kept, Phase, RolloutState
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC
from tests.rollouts.builders import (
    ALL,
    COHORT,
    FIVE,
    NOW,
    V1,
    V2,
    V3,
    failed,
    settled,
    spec,
    starting,
    stepping,
    watched,
)

QUIET = {"starting": starting(), "settled": settled(), "failed": failed(), "watched": watched()}


@pytest.mark.parametrize("state", QUIET.values(), ids=QUIET.keys())
def test_only_a_step_divides_traffic(state: RolloutState) -> None:
    assert current_split(state, spec()) == NO_TRAFFIC


@pytest.mark.parametrize("step", range(5))
def test_a_step_divides_traffic_as_the_commit_says(step: int) -> None:
    shares = (0.0, 0.1, 0.05, 0.25, 1.0)
    assert current_split(stepping(step), spec()).share == shares[step]


@pytest.mark.parametrize("wave", [0, 1, 2])
@pytest.mark.parametrize("state", [settled(), failed()], ids=["settled", "failed"])
def test_without_a_candidate_all_waves_stand_alike(state: RolloutState, wave: int) -> None:
    where = placement(state, spec(waves=3), wave=wave)
    assert (where.base, where.candidate, where.split) == (V1, None, NO_TRAFFIC)


@pytest.mark.parametrize("state", [starting(1), *(stepping(n, 1) for n in range(5))])
def test_an_earlier_wave_has_the_new_version_for_all_requests(state: RolloutState) -> None:
    where = placement(state, spec(waves=3), wave=0)
    assert (where.candidate, where.split) == (V2, ALL_TRAFFIC)


@pytest.mark.parametrize("state", [starting(1), *(stepping(n, 1) for n in range(5))])
def test_a_later_wave_knows_nothing_of_the_new_version(state: RolloutState) -> None:
    where = placement(state, spec(waves=3), wave=2)
    assert (where.candidate, where.split, where.loaded) == (None, NO_TRAFFIC, (V1,))


@pytest.mark.parametrize("state", [starting(1), *(stepping(n, 1) for n in range(5))])
def test_an_earlier_wave_keeps_the_version_that_it_may_go_back_to(state: RolloutState) -> None:
    assert V1 in placement(state, spec(waves=3), wave=0).loaded


def test_a_starting_version_is_loaded_without_traffic() -> None:
    where = placement(starting(), spec(), wave=0)
    assert (where.loaded, where.split) == ((V1, V2), NO_TRAFFIC)


@pytest.mark.parametrize("wave", [0, 1])
def test_a_warm_version_stays_loaded_everywhere(wave: int) -> None:
    assert placement(watched(), spec(waves=2), wave=wave).loaded == (V2, V1)


def test_a_version_is_loaded_once() -> None:
    state = stepping(1, kept=(Kept(V3, NOW, proven=False), Kept(V1, NOW, proven=True)))
    assert placement(state, spec(), wave=0).loaded == (V1, V2, V3)


def test_blue_and_green_stand_side_by_side() -> None:
    by = spec(blueGreen={"preview": COHORT["cohort"]})
    where = placement(stepping(0), by, wave=0)
    assert (where.base, where.candidate, where.split.share) == (V1, V2, 0.0)


def test_a_rollout_that_no_longer_goes_by_steps_divides_nothing() -> None:
    assert current_split(stepping(2), spec(recreate={})) == NO_TRAFFIC


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.STEPPING])
@pytest.mark.parametrize("step", range(3))
def test_times_and_evidence_are_no_part_of_a_place(phase: Phase, step: int) -> None:
    by = spec(COHORT, FIVE, ALL)
    one = stepping(step, phase=phase)
    other = stepping(step, phase=phase, entered=NOW + 99, approved_step=1)
    assert placement(one, by, wave=0) == placement(other, by, wave=0)
    assert one.place == other.place
