"""A state comes back from the journal as it was, and says by itself what may still move it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.rollouts.counting import Requests, Tally
from reconciler.core.rollouts.states import (
    Count,
    Failure,
    Kept,
    Phase,
    RolloutState,
    Target,
    state_from_json,
    state_json,
)
from reconciler.core.samples import Exposure, Traffic
from tests.rollouts.builders import (
    NOW,
    V1,
    V2,
    V3,
    commit,
    failed,
    settled,
    starting,
    stepping,
    target,
    watched,
)

COUNT = st.integers(0, 10**12)
TIME = st.floats(0, 4e9, allow_nan=False)
TEXT = st.text(max_size=30)
TARGET = st.builds(Target, TEXT, TEXT.map(Digest), TEXT.map(CommitSha))
REQUESTS = st.builds(Requests, COUNT, COUNT)
TALLY = st.builds(Tally, REQUESTS, st.dictionaries(TEXT, REQUESTS, max_size=3))
EXPOSURE = st.builds(
    Exposure, st.sampled_from(Traffic), st.floats(0, 1), COUNT, COUNT, COUNT, COUNT
)
STATE = st.builds(
    RolloutState,
    rollout=TEXT,
    stable=st.none() | TARGET,
    candidate=st.none() | TARGET,
    phase=st.sampled_from(Phase),
    wave=st.integers(0, 50),
    step=st.integers(0, 50),
    entered=TIME,
    approved_step=st.integers(0, 50),
    exposures=st.lists(EXPOSURE, max_size=4).map(tuple),
    counts=st.dictionaries(TEXT.map(ClusterName), st.builds(Count, TALLY, TALLY), max_size=3),
    kept=st.lists(st.builds(Kept, TARGET, TIME, st.booleans()), max_size=3).map(tuple),
    proven=st.lists(TARGET, max_size=3).map(tuple),
    failure=st.none()
    | st.builds(Failure, TARGET, TIME, TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans()),
)


@given(state=STATE)
def test_a_state_comes_back_from_the_journal_as_it_was(state: RolloutState) -> None:
    assert state_from_json(orjson.loads(orjson.dumps(state_json(state)))) == state


@given(state=STATE)
def test_a_state_that_comes_back_is_written_the_same(state: RolloutState) -> None:
    body = state_json(state)
    assert state_json(state_from_json(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rollout": "fraud"},
        {"rollout": "fraud", "stable": None, "phase": "dreaming"},
        {"rollout": "fraud", "stable": {"version": "v1"}},
        {"rollout": "fraud", "stable": None, "kept": 3},
    ],
)
def test_what_is_no_state_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        state_from_json(body)


def test_a_settled_state_is_short_in_the_journal() -> None:
    assert state_json(replace(settled(), proven=())).keys() == {"rollout", "stable"}


OPEN = failed(kept=()).failure
assert OPEN is not None


@pytest.mark.parametrize(
    ("state", "active"),
    [
        (settled(), False),
        (starting(), True),
        (stepping(0), True),
        (watched(), True),
        (watched(kept=()), True),
        (settled(kept=(Kept(V2, NOW, proven=False),)), True),
        (settled(failure=OPEN), True),
        (settled(failure=replace(OPEN, undone="abc")), False),
        (settled(failure=replace(OPEN, final=True)), False),
        (settled(failure=replace(OPEN, trouble="the remote is away")), True),
    ],
)
def test_a_state_says_whether_anything_may_move_it(state: RolloutState, active: bool) -> None:
    assert state.active is active


@pytest.mark.parametrize(
    ("state", "serving"), [(settled(), V1), (watched(), V2), (failed(), V1), (stepping(2), None)]
)
def test_one_version_serves_unless_another_is_on_its_way(
    state: RolloutState, serving: Target | None
) -> None:
    assert state.serving == serving


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (V1, True),
        (replace(V1, commit=commit("later")), True),
        (target("v1", "b"), False),
        (replace(V2, build=V1.build), False),
        (None, False),
    ],
)
def test_replicas_are_the_same_by_version_and_build(other: Target | None, same: bool) -> None:
    assert V1.is_same(other) is same


@pytest.mark.parametrize(("version", "proven"), [(V1, True), (V2, True), (V3, False)])
def test_a_state_knows_its_good_versions(version: Target, proven: bool) -> None:
    assert watched().is_proven(version) is proven
