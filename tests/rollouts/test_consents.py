"""An approval is for the build that it was given for."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.desired import DesiredState
from reconciler.core.rollouts.advancing import Move, advance
from reconciler.core.rollouts.consents import consented
from reconciler.core.rollouts.courses import Courses
from reconciler.core.rollouts.observations import Observation
from reconciler.core.rollouts.states import Phase, RolloutState, state_from_json, state_json
from tests.rollouts.builders import NOW
from tests.rollouts.commits import declared, ledgers, target

STEPS = """\
    canary:
      steps:
      - {weight: 5%}
      - {approval: {by: [lead]}}
      - {weight: 100%}
"""
ROLE = """\
---
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: lead}
spec: {groups: [leads], allow: [{models: {labels: {team: risk}}, actions: [promote]}]}
"""
APPROVED = STEPS + "  approved: [{version: v2, step: 2, by: lead}]\n" + ROLE
STEPS += ROLE
FIRST = declared("v1", strategy=STEPS)
SETTLED = RolloutState("fraud", stable=target(FIRST), proven=(target(FIRST),))


def after(state: RolloutState, *commits: DesiredState) -> RolloutState:
    """The state after commits, each taken from the journal of the one before."""
    for commit in commits:
        journal = {"fraud": state_json(state)}
        state = Courses().make(commit, journal, ledgers(FIRST), now=NOW).states["fraud"]
    return state


def counts(state: RolloutState, commit: DesiredState) -> bool:
    return any(True for _ in consented(state, commit.rollouts["fraud"].spec))


BUILD = declared("v2", strategy=STEPS)
GIVEN = declared("v2", strategy=APPROVED)
REBUILT = declared("v2", strategy=APPROVED, image="cd")
TAKEN_OUT = declared("v2", strategy=STEPS, image="cd")


def test_an_approval_counts_for_the_build_that_was_there() -> None:
    assert counts(after(SETTLED, BUILD, GIVEN), GIVEN)


def test_one_that_came_with_the_build_or_before_it_counts() -> None:
    ahead = declared("v1", strategy=APPROVED)
    assert counts(after(SETTLED, GIVEN), GIVEN)
    assert counts(after(SETTLED, ahead, GIVEN), GIVEN)


def test_it_does_not_count_for_another_build_of_the_version() -> None:
    assert not counts(after(SETTLED, BUILD, GIVEN, REBUILT), REBUILT)


def test_the_step_waits_and_says_what_to_do() -> None:
    state = replace(
        after(SETTLED, BUILD, GIVEN, REBUILT), phase=Phase.STEPPING, step=1, entered=NOW
    )
    spec = REBUILT.rollouts["fraud"].spec
    decision = advance(state, spec, Observation(), waves=2, now=NOW + 1)
    assert decision.move is Move.HOLD
    assert "given for another build of v2: take it out in one commit" in decision.why


def test_given_anew_it_counts() -> None:
    assert counts(after(SETTLED, BUILD, GIVEN, TAKEN_OUT, REBUILT), REBUILT)


def test_what_else_a_commit_changes_does_not_matter() -> None:
    more = declared("v2", strategy=APPROVED, replicas=5)
    assert counts(after(SETTLED, BUILD, GIVEN, more), more)


def test_going_back_to_the_build_that_was_approved_needs_no_other() -> None:
    assert counts(after(SETTLED, BUILD, GIVEN, REBUILT, GIVEN), GIVEN)


def test_a_state_of_an_earlier_release_takes_the_build_of_now() -> None:
    old = replace(after(SETTLED, BUILD, GIVEN), consents=(), phase=Phase.STEPPING, step=1)
    assert counts(after(old, GIVEN), GIVEN)
    assert not counts(after(old, GIVEN, REBUILT), REBUILT)


def test_a_journal_keeps_what_was_given() -> None:
    state = after(SETTLED, BUILD, GIVEN)
    assert state_from_json(state_json(state)).consents == state.consents
