"""What is no longer needed goes in its time; what serves stays, whatever is or is not seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.observations import ClusterSight
from reconciler.core.rollouts.revising import DRAIN_SECONDS
from reconciler.core.rollouts.states import Count, Kept, Phase, RolloutState
from tests.rollouts.builders import (
    FAILS,
    HOLDS,
    HOUR,
    NOW,
    ONE,
    V3,
    after,
    answered,
    failed,
    look,
    settled,
    starting,
    stepping,
    watched,
)


@pytest.mark.parametrize("seen", [look(HOLDS), look(clusters={}), look(requests=0)])
def test_a_watched_version_settles_when_the_warm_time_is_over(seen: Any) -> None:
    assert after(watched(), seen, later=HOUR - 1).move is Move.HOLD
    decision = after(watched(), seen, later=HOUR)
    assert (decision.move, decision.state.phase, decision.state.kept) == (
        Move.SETTLE,
        Phase.SETTLED,
        (),
    )


@pytest.mark.parametrize("state", [failed(), failed(failure=None)])
def test_a_drained_version_is_let_go_of(state: RolloutState) -> None:
    assert after(state, look(), later=DRAIN_SECONDS - 1).move is Move.HOLD
    decision = after(state, look(), later=DRAIN_SECONDS)
    assert (decision.move, decision.state) == (Move.RETIRE, replace(state, kept=()))


def test_a_drained_version_is_let_go_of_while_another_is_watched() -> None:
    state = watched(kept=(*watched().kept, Kept(V3, NOW + 15, proven=False)))
    decision = after(state, look(), later=20.0)
    assert (decision.move, decision.state) == (Move.RETIRE, watched())


@pytest.mark.parametrize("state", [starting(), *(stepping(step) for step in range(4))])
def test_a_superseded_version_is_let_go_of_while_the_next_one_waits(state: RolloutState) -> None:
    """It may hold the very place that the next one starts in."""
    seen = look(HOLDS, requests=0, clusters={ONE: ClusterSight(settled=True)})
    left = replace(state, kept=(Kept(V3, NOW + DRAIN_SECONDS, proven=False),))
    assert after(left, seen, later=DRAIN_SECONDS - 1).move is Move.HOLD
    decision = after(left, seen, later=DRAIN_SECONDS)
    assert (decision.move, decision.state) == (Move.RETIRE, state)


def test_a_warm_version_is_let_go_of_in_its_time_while_the_next_one_waits() -> None:
    state = starting(kept=(Kept(V3, NOW + 60, proven=True),))
    assert after(state, look(clusters={}), later=60.0).state == starting()


@pytest.mark.parametrize("state", [settled(), failed(kept=())])
def test_what_is_at_rest_stays_there(state: RolloutState) -> None:
    decision = after(state, look(), later=1000 * HOUR)
    assert (decision.move, decision.state) == (Move.HOLD, state)


def test_a_promoted_version_is_judged_anew_from_the_beginning() -> None:
    """Evidence with all the traffic is of another kind, and no step is counted any more."""
    state = stepping(4, 1, exposures=(answered(500),), counts={ONE: Count()})
    decided = after(state, look(), waves=2, later=7.0).state
    assert (decided.exposures, dict(decided.counts)) == ((), {})
    assert (decided.wave, decided.step, decided.entered) == (0, 0, NOW + 7)


def test_a_wave_has_its_own_time() -> None:
    assert after(stepping(4), look(), waves=2, later=7.0).state.entered == NOW + 7


def test_an_abort_leaves_no_step_behind() -> None:
    decided = after(stepping(3, 1), look(FAILS), waves=2, later=7.0).state
    assert (decided.wave, decided.step, decided.entered) == (0, 0, NOW + 7)
