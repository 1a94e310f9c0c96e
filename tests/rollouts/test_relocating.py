"""A rollout that serves does not leave its namespace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger
from reconciler.core.problems import Problem
from reconciler.core.rollouts.courses import Courses
from reconciler.core.rollouts.relocating import (
    applied_homes,
    declared_homes,
    relocation_problems,
)
from reconciler.core.rollouts.states import RolloutState
from tests.rollouts.builders import NOW
from tests.rollouts.commits import Ledgers, declared, ledgers

HERE, THERE = declared("v1"), declared("v2", namespace="team-other")
AS_IT_IS = declared("v2", namespace="team-other", strategy="    recreate: {}\n")


def refused(
    desired: DesiredState, *applied: DesiredState, accepted: DesiredState | None
) -> tuple[Problem, ...]:
    known = ledgers(*applied).values()
    return relocation_problems(desired, applied_homes(desired, known, accepted=accepted))


def first_state_of(desired: DesiredState, known: Ledgers) -> RolloutState:
    return Courses().make(desired, {}, known, now=NOW).states["fraud"]


def test_a_rollout_that_serves_in_another_namespace_is_refused() -> None:
    [problem] = refused(THERE, HERE, accepted=HERE)
    assert problem.code == "rollout-moves"
    assert problem.message.startswith("rollout fraud moves from namespace team-risk to team-other")
    assert problem.location.startswith("rollouts.yaml:")
    assert "second Rollout" in problem.hint


def test_what_of_a_removed_rollout_still_lies_there_counts() -> None:
    without = replace(HERE, rollouts={}, units={})
    assert refused(THERE, HERE, accepted=without)
    assert not refused(THERE, accepted=without)


@pytest.mark.parametrize("accepted", [None, HERE])
def test_who_stays_or_was_never_applied_is_not(accepted: DesiredState | None) -> None:
    assert not refused(declared("v2"), HERE, accepted=accepted)
    assert not refused(THERE, accepted=accepted)


def test_a_rollout_that_has_moved_already_is_not_held_up_by_what_is_left() -> None:
    assert not refused(THERE, HERE, AS_IT_IS, accepted=AS_IT_IS)


def test_what_is_left_there_is_not_what_serves_here() -> None:
    state = first_state_of(THERE, ledgers(HERE, AS_IT_IS))
    assert state.stable is not None
    assert (state.stable.version, state.candidate) == ("v2", None)


def test_without_steps_a_commit_is_applied_as_it_is() -> None:
    assert not refused(AS_IT_IS, HERE, accepted=HERE)


def test_an_entry_that_was_never_confirmed_serves_nobody() -> None:
    known = [
        Ledger(
            ClusterName("staging-1"),
            {
                key: replace(entry, applied=None)
                for ledger in ledgers(HERE).values()
                for key, entry in ledger.entries.items()
            },
        )
    ]
    homes = applied_homes(THERE, known, accepted=HERE)
    assert not relocation_problems(THERE, homes)


def test_two_commits_are_compared_by_what_they_declare() -> None:
    assert relocation_problems(THERE, declared_homes(HERE))
    assert not relocation_problems(declared("v2"), declared_homes(HERE))
