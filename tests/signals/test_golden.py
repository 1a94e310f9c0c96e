"""Answers are right when they have all that is expected of them."""

from __future__ import annotations

import pytest

from reconciler.core.golden import is_answer
from reconciler.core.manifests import JsonValue


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"decision": "accept", "score": 0.2}, {"decision": "accept"}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}),
        (0.1 + 0.2, 0.3),
        (1, 1.0),
        ([1, 2], [1, 2]),
        ([], []),
        (None, None),
        (
            {"outputs": [{"name": "y", "data": [2]}, {"name": "x", "data": [1]}]},
            {"outputs": [{"name": "x", "data": [1]}]},
        ),
    ],
)
def test_an_answer_with_all_that_is_expected_is_right(
    given: JsonValue, expected: JsonValue
) -> None:
    assert is_answer(given, expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"decision": "refuse"}, {"decision": "accept"}),
        ({}, {"decision": "accept"}),
        ([], {"decision": "accept"}),
        (0.31, 0.3),
        (True, 1),
        (1, True),
        ("1", 1),
        ([1, 2, 3], [1, 2]),
        ([2, 1], [1, 2]),
        ([1], []),
        (None, False),
        ({"outputs": [{"name": "y", "data": [1]}]}, {"outputs": [{"name": "x", "data": [1]}]}),
    ],
)
def test_any_other_answer_is_wrong(given: JsonValue, expected: JsonValue) -> None:
    assert not is_answer(given, expected)
