"""Backtests rest on what was known then; bad recordings are told line by line."""

from __future__ import annotations

import json

import pytest

from reconciler.core.errors import Invalid
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.rollouts.backtesting import (
    RecordedLook,
    backtest,
    looks_from_lines,
    looks_from_points,
)
from reconciler.core.samples import QueryPoint

ERRORS = GateSpec.model_validate({"errorRate": {"atMost": "1%"}})
QUERY = GateSpec.model_validate({"promql": {"query": "up", "atMost": 5.0, "for": "1m"}})


def looks(count: int, *, bad_from: int = 10**9) -> list[RecordedLook]:
    """95 and 5 requests a second; from a look on, every one to the candidate fails."""
    return [
        RecordedLook(
            at=float(n),
            share=0.05,
            stable_requests=95 * n,
            candidate_requests=5 * n,
            candidate_errors=5 * max(0, n - bad_from),
        )
        for n in range(1, count + 1)
    ]


def test_a_version_that_fails_is_taken_back_soon_after_it_began_to() -> None:
    result = backtest("errors", ERRORS, looks(200, bad_from=40))
    assert result.aborted is not None
    assert 41 <= result.aborted.at <= 43
    assert result.promoted is None


def test_a_good_version_passes_when_the_rate_is_proven() -> None:
    result = backtest("errors", ERRORS, looks(400))
    assert result.aborted is None
    assert result.promoted is not None
    assert result.promoted.verdict.numbers["requests"] > 500


def test_what_comes_later_changes_no_verdict_before() -> None:
    whole = backtest("errors", ERRORS, looks(200, bad_from=150))
    part = backtest("errors", ERRORS, looks(149, bad_from=150))
    assert whole.changes[: len(part.changes)] == part.changes


def test_counts_of_an_earlier_division_are_kept() -> None:
    first = looks(100)
    later = [
        RecordedLook(at=100.0 + n, share=0.25, stable_requests=75 * n, candidate_requests=25 * n)
        for n in range(1, 20)
    ]
    result = backtest("errors", ERRORS, [*first, *later])
    assert result.promoted is not None
    assert result.promoted.at > 100


def test_a_query_is_judged_by_its_answers() -> None:
    answers = [RecordedLook(at=10.0 * n, value=9.0) for n in range(20)]
    result = backtest("slow", QUERY, answers)
    assert result.aborted is not None
    assert result.aborted.at == 60.0


def test_a_recording_is_read_line_by_line() -> None:
    text = '{"at": 1, "share": 0.05, "stableRequests": 3}\n\n{"at": 2, "candidateErrors": 0}\n'
    assert [look.stable_requests for look in looks_from_lines(text, name="r")] == [3, 0]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"share": 1}',
        '{"at": 1, "share": 2}',
        '{"at": 1, "stableErrors": -1}',
        '{"at": 1, "x": 1}',
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str) -> None:
    good = json.dumps({"at": 0})
    with pytest.raises(Invalid, match=r"^r:2: "):
        looks_from_lines(f"{good}\n{line}\n", name="r")


def test_every_bad_line_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        looks_from_lines('{"at": 5}\n{"at": 5}\n{}\n', name="r")
    assert [line[:4] for line in caught.value.message.splitlines()] == ["r:2:", "r:3:"]


def test_an_empty_recording_is_no_recording() -> None:
    with pytest.raises(Invalid, match="has no lines"):
        looks_from_lines("\n", name="r")


def series(*values: float | None, step: float = 15.0) -> list[QueryPoint]:
    return [QueryPoint(step * number, value) for number, value in enumerate(values)]


def totals(errors: list[QueryPoint], requests: list[QueryPoint]) -> dict[str, list[QueryPoint]]:
    zeros = series(*(0.0 for _ in requests))
    return {
        "stable_requests": requests,
        "stable_errors": zeros,
        "candidate_requests": requests,
        "candidate_errors": errors,
    }


def test_totals_of_a_provider_count_from_the_first_look_on() -> None:
    looks = looks_from_points(totals(series(5, 5, 6), series(100, 150, 250)), share=0.05)
    assert [look.candidate_requests for look in looks] == [0, 50, 150]
    assert [look.candidate_errors for look in looks] == [0, 0, 1]
    assert looks[0].share == 0.05


def test_a_counter_that_began_anew_loses_nothing_that_was_seen() -> None:
    looks = looks_from_points(totals(series(0, 0, 0), series(100, 150, 20)), share=0.5)
    assert [look.candidate_requests for look in looks] == [0, 50, 70]


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_a_time_without_every_answer_is_no_look(gap: float | None) -> None:
    looks = looks_from_points(totals(series(0, gap, 2), series(1, 2, 3)), share=0.5)
    assert [look.at for look in looks] == [0.0, 30.0]


def test_no_answer_at_all_is_no_recording() -> None:
    with pytest.raises(Invalid, match="no answers"):
        looks_from_points({"value": series(None, None)}, share=0.5)


def test_answers_of_a_query_are_looks() -> None:
    looks = looks_from_points({"value": series(1.5, 2.5)}, share=0.5)
    assert [look.value for look in looks] == [1.5, 2.5]
