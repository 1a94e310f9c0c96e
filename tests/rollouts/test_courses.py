"""A course takes a commit and the journal to positions, and says what the journal has to learn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.identifiers import Digest
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.courses import Courses
from reconciler.core.rollouts.placing import gradual, steps_digest
from reconciler.core.rollouts.states import Failure, Phase, RolloutState, state_json
from tests.rollouts.builders import NOW
from tests.rollouts.commits import STAGING, UNIT, declared, ledgers, target, unit_of, weights

FIRST, SECOND = declared("v1"), declared("v2")
V1, V2 = target(FIRST), target(SECOND)
SETTLED = RolloutState("fraud", stable=V1, proven=(V1,))
STEPPING = replace(SETTLED, candidate=V2, phase=Phase.STEPPING, step=1, entered=NOW)
FAILED = replace(SETTLED, failure=Failure(V2, NOW, "gate errors failed", "errors"))
RECREATE = declared("v2", strategy="    recreate: {}\n")


def journal(state: RolloutState) -> dict[str, JsonObject]:
    return {state.rollout: state_json(state)}


def test_the_first_commit_of_all_is_where_it_wants_to_be() -> None:
    course = Courses().make(FIRST, {}, {}, now=NOW)
    assert course.states["fraud"] == SETTLED
    assert course.state.units == FIRST.units


def test_a_new_version_begins_with_its_commit() -> None:
    course = Courses().make(SECOND, journal(SETTLED), ledgers(FIRST), now=NOW)
    assert (course.states["fraud"].candidate, course.states["fraud"].phase) == (V2, Phase.STARTING)


def test_a_journal_that_was_lost_begins_from_what_serves() -> None:
    course = Courses().make(SECOND, {}, ledgers(FIRST), now=NOW)
    state = course.states["fraud"]
    assert state.stable is not None
    assert (state.stable.version, state.candidate) == ("v1", V2)


CANARY = gradual(SECOND.rollouts["fraud"].spec.strategy)
PLACES = [unit for _, unit in SECOND.places_of("fraud")]
ON_ITS_WAY = replace(STEPPING, steps=steps_digest(CANARY, PLACES))


@pytest.mark.parametrize("state", [ON_ITS_WAY, FAILED, replace(SETTLED, stable=V2, proven=(V2,))])
def test_a_restart_is_no_news(state: RolloutState) -> None:
    course = Courses().make(SECOND, journal(state), ledgers(FIRST, SECOND), now=NOW + 99)
    assert course.states["fraud"] == state
    assert not course.news


def test_other_steps_or_waves_are_begun_from_the_first() -> None:
    other = replace(ON_ITS_WAY, steps=Digest("sha256:other"), wave=1)
    state = Courses().make(SECOND, journal(other), ledgers(FIRST, SECOND), now=NOW).states["fraud"]
    assert (state.phase, state.wave, state.step) == (Phase.STARTING, 0, 0)
    assert state.candidate == V2


def test_a_restart_divides_the_traffic_as_before() -> None:
    known = ledgers(FIRST, SECOND)
    one, other = (
        Courses().make(SECOND, journal(STEPPING), known, now=now) for now in (NOW, NOW + 99)
    )
    unit = one.state.units[(STAGING, UNIT)]
    assert weights(unit) == {"v1": 75, "v2": 25}
    assert other.state.units[(STAGING, UNIT)].digest == unit.digest


def test_what_failed_stays_back_whatever_else_a_commit_changes() -> None:
    more = declared("v2", replicas=5)
    course = Courses().make(more, journal(FAILED), ledgers(FIRST, SECOND), now=NOW)
    assert weights(course.state.units[(STAGING, UNIT)]) == {"v1": 100}


def test_news_is_what_the_journal_does_not_know() -> None:
    course = Courses().make(SECOND, journal(SETTLED), ledgers(FIRST), now=NOW)
    assert course.news == {"fraud": state_json(course.states["fraud"])}


def test_making_a_course_changes_no_journal() -> None:
    known = journal(SETTLED)
    Courses().make(SECOND, known, ledgers(FIRST), now=NOW)
    assert known == journal(SETTLED)


def test_a_rollout_that_is_gone_is_forgotten() -> None:
    known = {**journal(SETTLED), "other": state_json(replace(SETTLED, rollout="other"))}
    assert Courses().make(FIRST, known, ledgers(FIRST), now=NOW).news == {"other": None}


def test_a_rollout_that_no_longer_goes_by_steps_is_as_declared_and_forgotten() -> None:
    course = Courses().make(RECREATE, journal(STEPPING), ledgers(FIRST, SECOND), now=NOW)
    assert course.news == {"fraud": None}
    assert course.state.units == RECREATE.units


def test_a_course_stands_while_the_positions_do() -> None:
    course = Courses().make(SECOND, journal(STEPPING), ledgers(FIRST, SECOND), now=NOW)
    assert course.stands({"fraud": replace(STEPPING, entered=NOW + 5)})
    assert not course.stands({"fraud": replace(STEPPING, step=2)})
    assert not course.stands({})


def test_courses_that_follow_each_other_agree_with_one_made_anew() -> None:
    courses = Courses()
    courses.make(FIRST, {}, {}, now=NOW)
    courses.make(SECOND, journal(SETTLED), ledgers(FIRST), now=NOW)
    edited = declared("v2", image="cd")
    known = ledgers(FIRST, SECOND)
    assert courses.make(edited, journal(STEPPING), known, now=NOW) == Courses().make(
        edited, journal(STEPPING), known, now=NOW
    )


def test_a_plan_tells_the_way_of_a_rollout() -> None:
    course = Courses().make(SECOND, journal(SETTLED), ledgers(FIRST), now=NOW)
    (way,) = course.state.rolling
    assert way.startswith("fraud: v1 → v2, in 2 waves: 5 % of the requests, 25 % of the requests")


def test_the_target_is_what_the_commit_declares() -> None:
    course = Courses().make(SECOND, journal(SETTLED), ledgers(FIRST), now=NOW)
    assert unit_of(course.target) is unit_of(SECOND)
