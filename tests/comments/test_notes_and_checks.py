"""Comments without a plan, and what checks and statuses say."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.change_requests import Level
from reconciler.core.identifiers import DocumentPath
from reconciler.core.plans import ClusterPlan
from reconciler.core.presenting.check_output import (
    LONGEST_DESCRIPTION,
    MOST_ANNOTATIONS,
    annotations_of,
    check_output,
    status_description,
    unplanned_output,
)
from reconciler.core.presenting.comment_notes import (
    aborted_comment,
    planning_comment,
    unplanned_comment,
    untrusted_comment,
)
from reconciler.core.presenting.plan_comment import BUDGET
from reconciler.core.problems import Problem, Severity, Span
from reconciler.core.rollouts.reporting import FailureStatus, RolloutStatus
from reconciler.core.rollouts.states import Phase
from reconciler.core.verdicts import Line, Outcome, Verdict
from tests.presenting.builders import BASE, HEAD, STAGING, limits, stale

from .builders import REQUEST, planned
from .hostile import hostile_texts
from .test_plan_comment import many
from .trees import Tree

LONGEST_PART = 65_535


def problem(number: int = 1, *, text: str = "names model frod, which no file declares") -> Problem:
    return Problem(
        DocumentPath(f"rollouts/{number}.yaml"),
        Span(4, 10, 6, 2),
        "unknown-model",
        f"Rollout fraud-detector {text}",
        "add the Model, or correct the name",
    )


STATUS = RolloutStatus(
    rollout="fraud-detector",
    model="fraud-detector",
    namespace="team-risk",
    wanted="v4",
    phase=Phase.SETTLED,
    step="",
    stable="v3",
)
FAILURE = FailureStatus(
    version="v4",
    commit=HEAD,
    at="2026-11-25T16:00:00+00:00",
    reason="gate errors: 5 of 40 requests failed, of v3 0 of 760",
    gate="errors",
    step="step 2 of 5: 5 % of the requests, in wave 1",
    undone=BASE,
    trouble="",
)
VERDICTS = (
    Verdict("latency", Outcome.HOLD, "p95 is 80 ms, of v3 78 ms", advisory=True),
    Verdict(
        "errors",
        Outcome.FAIL,
        "5 of 40 requests failed, of v3 0 of 760",
        abort=Line("evidence that more fail", 214.3, 100.0, above=True),
    ),
)


def test_while_a_plan_is_made(snapshot: SnapshotAssertion) -> None:
    assert planning_comment(REQUEST) == snapshot


def test_a_plan_that_could_not_be_made(snapshot: SnapshotAssertion) -> None:
    trouble = "cluster production answers with 503 Service Unavailable"
    hint = "nothing: it is tried again by itself, each minute"
    assert unplanned_comment(trouble, hint=hint, problems=(), request=REQUEST) == snapshot


def test_files_with_problems(snapshot: SnapshotAssertion) -> None:
    found = tuple(problem(number) for number in range(27))
    assert unplanned_comment("", hint="", problems=found, request=REQUEST) == snapshot


def test_a_fork_that_waits_for_trust(snapshot: SnapshotAssertion) -> None:
    assert untrusted_comment(REQUEST) == snapshot


def test_a_rollout_that_a_gate_took_back(snapshot: SnapshotAssertion) -> None:
    url = "https://fairlead.example.com/rollouts/fraud-detector"
    assert aborted_comment(STATUS, FAILURE, VERDICTS, url=url) == snapshot


def test_an_abort_whose_commit_could_not_be_undone_says_so() -> None:
    failure = replace(FAILURE, undone="", trouble="later commits changed the same lines")
    comment = aborted_comment(STATUS, failure, ())
    assert "is not undone yet: later commits changed the same lines" in comment


def without_a_plan(told: str, *, url: str = "") -> list[str]:
    """Every comment that is about no plan, with a foreign text wherever there can be one."""
    found = replace(problem(), path=DocumentPath(told), message=told, hint=told, code=told)
    failure = FailureStatus(told, HEAD, told, told, "errors", told, told, told)
    verdicts = (replace(VERDICTS[1], summary=told), replace(VERDICTS[0], gate=told))
    status = replace(STATUS, rollout=told, model=told, stable=told)
    return [
        unplanned_comment(told, hint=told, problems=(), request=REQUEST),
        unplanned_comment("", hint=told, problems=(found,), request=REQUEST),
        aborted_comment(status, failure, verdicts, url=url),
    ]


def test_s10_hostile_texts_change_none_of_them() -> None:
    harmless = [Tree(comment).shape for comment in without_a_plan("x")]
    for told in hostile_texts(1_000, seed=30):
        trees = [Tree(comment) for comment in without_a_plan(told)]
        assert [tree.shape for tree in trees] == harmless, ascii(told)


def test_none_of_them_reads_as_no_changes() -> None:
    comments = [*without_a_plan("x"), planning_comment(REQUEST), untrusted_comment(REQUEST)]
    for comment in comments:
        assert "no changes" not in comment.lower()
        assert "✅" not in comment


def test_s12_they_fit_whatever_they_are_told() -> None:
    told = "\U0001f600`|" * 5_000
    found = tuple(problem(number, text=told) for number in range(5_000))
    comments = [
        unplanned_comment("", hint=told, problems=found, request=REQUEST),
        *without_a_plan(told),
    ]
    for comment in comments:
        assert len(comment.encode()) <= BUDGET
        assert Tree(comment).balanced


def test_a_check_has_the_facts_as_summary_and_the_rest_as_text() -> None:
    case = planned(ClusterPlan(STAGING, changes=(limits(),)))
    output = check_output(case.view, case.impact, title="1 to change", request=REQUEST)
    assert output.summary + "\n" + output.text == case.comment()


@pytest.mark.parametrize("count", [1, 2_000])
def test_a_check_is_within_what_the_forge_takes(count: int) -> None:
    case = planned(ClusterPlan(STAGING, changes=many(count, text="é" * 500)))
    output = check_output(case.view, case.impact, title="x" * 9_000, request=REQUEST)
    assert len(output.title) <= 250
    for part in (output.summary, output.text):
        assert len(part) <= LONGEST_PART
        assert Tree(part).balanced


def test_a_check_without_a_plan_says_why() -> None:
    output = unplanned_output(
        "", title="1 problem", hint="", problems=(problem(),), request=REQUEST
    )
    assert output.summary.startswith("### ⛔ Would be refused: 1 problem in its files")
    assert output.text == ""


def test_a_check_of_an_unseen_cluster_does_not_read_as_no_changes() -> None:
    case = planned(ClusterPlan(STAGING, waiting=(stale(),)))
    output = check_output(case.view, case.impact, title="unknown", request=REQUEST)
    assert output.summary.startswith("### ⚠️ Unknown in staging")


def test_an_annotation_stands_at_the_lines_of_its_problem() -> None:
    [found] = annotations_of([problem()])
    assert (found.path, found.line, found.end_line) == ("rollouts/1.yaml", 4, 6)
    assert found.level is Level.FAILURE
    assert found.title == "unknown-model"
    assert found.message.endswith("\nadd the Model, or correct the name")


def test_errors_are_annotated_before_warnings_and_not_more_than_one_request_takes() -> None:
    warnings = [replace(problem(n), severity=Severity.WARNING) for n in range(100)]
    found = annotations_of([*warnings, problem(999)])
    assert len(found) == MOST_ANNOTATIONS
    assert [annotation.level for annotation in found[:2]] == [Level.FAILURE, Level.WARNING]


def test_a_problem_without_a_place_is_annotated_at_the_first_line() -> None:
    [found] = annotations_of([replace(problem(), span=None)])
    assert (found.line, found.end_line) == (1, 1)


def test_a_problem_without_a_file_is_in_no_annotation() -> None:
    assert annotations_of([replace(problem(), path=DocumentPath(""), span=None)]) == ()


def test_a_status_is_short_plain_text() -> None:
    assert status_description("2 to change") == "2 to change"
    for told in itertools.chain(["x" * 500], hostile_texts(200, seed=40)):
        shown = status_description(told)
        assert len(shown) <= LONGEST_DESCRIPTION
        assert "\n" not in shown
