"""What the log says of access: it comes back as written, and shows nobody what is not theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.access.subjects import agent_subject, in_words, subject_in
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.access_told import (
    MOST_TOLD,
    AccessTold,
    access_detail,
    access_told,
    subject_of,
)

GAINED = AccessChange(True, "Role ml-researcher", "infer on fraud@v3")
JOINED = AccessChange(False, "group interns", "Role ml-researcher")
BOUND = AccessChange(True, "group interns", "Role reader in namespace a", (ClusterName("one"),))
LENT = AccessChange(
    True, "user grace", "Role ml-researcher from 2027-01-01T00:00:00Z until later, because of it"
)

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def test_a_record_says_what_was_put_into_it() -> None:
    changes = (GAINED, JOINED, BOUND)
    assert access_told(access_detail(changes)) == AccessTold(changes)


def test_what_a_record_has_no_room_for_is_counted() -> None:
    many = [AccessChange(True, f"Role r{number}", "infer on a@v1") for number in range(60)]
    told = access_told(access_detail(many))
    assert (len(told.changes), told.more) == (MOST_TOLD, 60 - MOST_TOLD)


@pytest.mark.parametrize("detail", [{}, {"access": 1}, {"access": {"changes": 3}}])
def test_a_record_of_another_release_says_nothing(detail: JsonObject) -> None:
    assert not access_told(detail)


def test_a_change_is_about_the_role_whether_it_or_its_group_gains() -> None:
    told = AccessTold((GAINED, JOINED, BOUND, LENT))
    assert told.about("ml-researcher") == (GAINED, JOINED, LENT)
    assert subject_of(BOUND) is None, "a Role of Kubernetes is not one of ours"


@given(NAMES)
def test_a_subject_comes_back_out_of_its_words(name: str) -> None:
    for subject in (name, agent_subject(name)):
        assert subject_in(in_words(subject)) == subject
