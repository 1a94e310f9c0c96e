"""A commit moves a rollout as it asks: forward by steps, back without, in place at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.revising import (
    DRAIN_SECONDS,
    MOST_PROVEN,
    first_state,
    remembered,
    revised,
)
from reconciler.core.rollouts.states import Count, Kept, Phase, RolloutState, Target
from tests.rollouts.builders import (
    FAILS,
    HOUR,
    NOW,
    ONE,
    V1,
    V2,
    V3,
    after,
    answered,
    commit,
    failed,
    look,
    settled,
    starting,
    stepping,
    target,
    watched,
)

ON_THE_WAY = {
    "starting": starting(),
    **{f"step {number + 1}": stepping(number) for number in range(5)},
    "step 3 of wave 2": stepping(2, 1),
}
ALL_STATES = {**ON_THE_WAY, "settled": settled(), "watched": watched(), "failed": failed()}


def cases(states: dict[str, RolloutState]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("state", states.values(), ids=states.keys())


def on(state: RolloutState, wanted: Target, *, later: float = 5.0) -> RolloutState:
    return revised(state, wanted, gradual=True, now=NOW + later)


# The first


def test_the_first_version_of_all_needs_no_steps() -> None:
    assert first_state("fraud", V1, applied=None, gradual=True) == settled()


def test_a_version_that_serves_already_is_the_one_to_compare_with() -> None:
    assert first_state("fraud", V2, applied=V1, gradual=True) == settled()


def test_a_version_that_serves_already_in_another_build_is_replaced_in_place() -> None:
    state = first_state("fraud", V1, applied=target("v1", "b"), gradual=True)
    assert state == settled()


def test_a_version_found_serving_then_takes_its_steps_to_the_next() -> None:
    state = on(first_state("fraud", V2, applied=V1, gradual=True), V2)
    assert (state.stable, state.candidate, state.phase) == (V1, V2, Phase.STARTING)


# The same again


@cases(ON_THE_WAY)
def test_the_same_commit_again_changes_nothing(state: RolloutState) -> None:
    assert on(state, V2) is state


@cases(ON_THE_WAY)
def test_another_commit_with_the_same_build_changes_nothing(state: RolloutState) -> None:
    assert on(state, replace(V2, commit=commit("unrelated"))) is state


@pytest.mark.parametrize(("state", "stable"), [(settled(), V1), (watched(), V2)])
def test_the_version_that_serves_asked_for_again_changes_nothing(
    state: RolloutState, stable: Target
) -> None:
    assert on(state, replace(stable, commit=commit("unrelated"))) is state


@cases(ALL_STATES)
@pytest.mark.parametrize("wanted", [V1, V2, V3, target("v2", "b")], ids=lambda t: t.version)
def test_a_commit_revises_once(state: RolloutState, wanted: Target) -> None:
    once = on(state, wanted)
    assert on(once, wanted, later=9.0) is once


# A new version


@cases({"settled": settled(), "watched": watched(), "failed": failed()})
def test_a_new_version_starts_without_traffic(state: RolloutState) -> None:
    begun = on(state, V3)
    assert (begun.candidate, begun.phase, begun.wave, begun.step) == (V3, Phase.STARTING, 0, 0)


@cases(ALL_STATES)
def test_a_new_version_leaves_the_traffic_where_it_is(state: RolloutState) -> None:
    assert on(state, V3).stable == state.stable


@cases(ALL_STATES)
def test_a_new_version_has_its_own_time(state: RolloutState) -> None:
    assert on(state, V3).entered == NOW + 5


@cases(ALL_STATES)
def test_a_new_version_has_nobodys_approval(state: RolloutState) -> None:
    assert on(replace(state, approved_step=4), V3).approved_step == 0


@cases(ALL_STATES)
def test_a_new_version_is_judged_on_its_own_evidence(state: RolloutState) -> None:
    begun = on(replace(state, exposures=(answered(500),), counts={ONE: Count()}), V3)
    assert (begun.exposures, dict(begun.counts)) == ((), {})


@cases(ON_THE_WAY)
def test_a_superseded_version_drains(state: RolloutState) -> None:
    assert on(state, V3).kept == (Kept(V2, NOW + 5 + DRAIN_SECONDS, proven=False),)


@cases(ON_THE_WAY)
def test_a_superseded_version_was_no_failure(state: RolloutState) -> None:
    assert on(state, V3).failure is None


def test_a_version_that_was_kept_and_comes_again_is_no_longer_only_kept() -> None:
    state = settled(kept=(Kept(V2, NOW + 15, proven=False),))
    begun = on(state, V2)
    assert (begun.candidate, begun.kept) == (V2, ())


def test_a_third_version_keeps_the_warm_one_of_the_second() -> None:
    assert on(watched(), V3).kept == watched().kept


# Edited in place


@cases(ON_THE_WAY)
def test_a_candidate_that_is_built_anew_starts_anew(state: RolloutState) -> None:
    begun = on(state, target("v2", "b"))
    assert (begun.candidate, begun.phase, begun.wave, begun.step) == (
        target("v2", "b"),
        Phase.STARTING,
        0,
        0,
    )


@cases(ON_THE_WAY)
def test_a_candidate_that_is_built_anew_is_not_also_kept(state: RolloutState) -> None:
    assert on(state, target("v2", "b")).kept == ()


@cases({"settled": settled(), "failed": failed(), **ON_THE_WAY})
def test_the_version_that_serves_is_replaced_in_place(state: RolloutState) -> None:
    edited = on(state, target("v1", "b"))
    assert (edited.stable, edited.candidate, edited.phase) == (
        target("v1", "b"),
        None,
        Phase.SETTLED,
    )


@cases(ON_THE_WAY)
def test_an_edit_in_place_lets_what_was_on_its_way_drain(state: RolloutState) -> None:
    assert on(state, target("v1", "b")).kept == (Kept(V2, NOW + 5 + DRAIN_SECONDS, proven=False),)


def test_an_edit_in_place_keeps_the_warm_version_warm() -> None:
    assert on(watched(), target("v2", "b")).kept == watched().kept


def test_only_the_newest_build_of_a_version_is_remembered_as_good() -> None:
    assert on(settled(), target("v1", "b")).proven == (target("v1", "b"),)


# Back


@cases(ON_THE_WAY)
def test_going_back_on_the_way_ends_the_rollout_at_once(state: RolloutState) -> None:
    back = on(state, V1)
    assert (back.stable, back.candidate, back.phase) == (V1, None, Phase.SETTLED)


@cases(ON_THE_WAY)
def test_what_was_on_its_way_drains(state: RolloutState) -> None:
    assert on(state, V1).kept == (Kept(V2, NOW + 5 + DRAIN_SECONDS, proven=False),)


@cases(ON_THE_WAY)
def test_going_back_is_no_failure(state: RolloutState) -> None:
    assert on(state, V1).failure is None


@pytest.mark.parametrize("later", [1.0, HOUR - 1, 100 * HOUR])
def test_a_version_that_had_everything_once_gets_it_back_without_steps(later: float) -> None:
    back = on(watched(), V1, later=later)
    assert (back.stable, back.candidate, back.phase) == (V1, None, Phase.SETTLED)


def test_a_version_that_was_left_for_an_older_one_takes_its_steps_again() -> None:
    again = on(on(watched(), V1), V2)
    assert (again.stable, again.candidate, again.phase) == (V1, V2, Phase.STARTING)


def test_a_version_that_was_left_drains() -> None:
    assert on(watched(), V1).kept == (Kept(V2, NOW + 5 + DRAIN_SECONDS, proven=False),)


def test_going_back_from_a_third_version_drains_both_that_are_left() -> None:
    state = watched(candidate=V3, phase=Phase.STEPPING, step=2)
    back = on(state, V1)
    assert (back.stable, back.candidate, back.phase) == (V1, None, Phase.SETTLED)
    assert {kept.target for kept in back.kept} == {V2, V3}


@cases(ON_THE_WAY)
def test_going_back_leaves_no_evidence_for_the_next_version(state: RolloutState) -> None:
    back = on(replace(state, exposures=(answered(500),), counts={ONE: Count()}), V1)
    assert (back.exposures, dict(back.counts)) == ((), {})


def test_a_watched_version_keeps_its_evidence_when_its_failed_rival_is_reverted() -> None:
    state = watched(counts={ONE: Count()}, failure=failed().failure)
    assert on(state, V2).counts == {ONE: Count()}


def test_a_good_version_in_another_build_takes_its_steps() -> None:
    again = on(watched(), target("v1", "b"))
    assert (again.stable, again.candidate) == (V2, target("v1", "b"))


# What failed


def test_a_failed_version_does_not_come_again_by_itself() -> None:
    assert on(failed(), V2) == failed()


@pytest.mark.parametrize("message", ["a", "b", "c"])
def test_a_failed_version_does_not_come_again_with_an_unrelated_commit(message: str) -> None:
    assert on(failed(), replace(V2, commit=commit(message))) == failed()


def test_a_failed_version_comes_again_in_another_build() -> None:
    begun = on(failed(), target("v2", "b"))
    assert (begun.candidate, begun.failure) == (target("v2", "b"), None)


def test_the_revert_of_a_failed_version_closes_its_failure() -> None:
    reverted = on(failed(), V1)
    assert (reverted.stable, reverted.failure) == (V1, None)


def test_the_revert_of_a_failed_version_moves_no_traffic() -> None:
    assert on(failed(), V1).kept == failed().kept


def test_a_failed_version_that_is_asked_for_after_its_revert_takes_its_steps() -> None:
    again = on(on(failed(), V1), V2)
    assert (again.candidate, again.phase) == (V2, Phase.STARTING)


def test_another_version_may_follow_one_that_failed() -> None:
    begun = on(failed(), V3)
    assert (begun.candidate, begun.failure) == (V3, None)


def test_a_version_that_failed_while_it_was_watched_does_not_come_again() -> None:
    state = after(watched(), look(FAILS)).state
    assert on(state, V2) is state


def test_a_version_that_failed_once_is_never_gone_back_to_without_steps() -> None:
    state = after(watched(), look(FAILS)).state
    on_v3 = replace(on(state, V3), phase=Phase.STEPPING, step=4)
    promoted = after(on_v3, look())
    assert promoted.move is Move.PROMOTE
    assert on(promoted.state, V2).candidate == V2


# What is remembered


def test_the_newest_good_versions_are_remembered() -> None:
    proven: tuple[Target, ...] = ()
    for number in range(30):
        proven = remembered(proven, target(f"v{number}"))
    assert [t.version for t in proven] == [f"v{n}" for n in range(30 - MOST_PROVEN, 30)]


def test_a_version_is_remembered_once() -> None:
    assert remembered((V1, V2), target("v1", "b")) == (V2, target("v1", "b"))
