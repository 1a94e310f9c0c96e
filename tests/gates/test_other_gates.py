"""The gates on answers, drift, latency, queries and consent."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from reconciler.core.gates import Names, filled, judge
from reconciler.core.samples import (
    Batch,
    Distribution,
    EvaluationResult,
    ItemResult,
    QueryPoint,
    Samples,
)
from reconciler.core.verdicts import Outcome
from tests.gates.builders import answers, gate, histogram, signal

EVALUATION = gate("evaluation: {name: golden, margin: 5%, confidence: 99%}")
DRIFT = gate("drift: {signals: [score]}")
QUERY = gate("promql: {query: 'up{version=\"{{version}}\"}', atMost: 5.0, for: 1m}")
LATENCY = gate("latency: {quantile: 99%, atMost: 2s, enforced: true}")


def evaluated(worse: int, better: int, same: int, trouble: str = "") -> Outcome:
    pairs = [(True, False)] * worse + [(False, True)] * better + [(True, True)] * same
    items = tuple(ItemResult(f"item-{n}", *pair) for n, pair in enumerate(pairs))
    samples = Samples(evaluations={"golden": EvaluationResult(items, trouble)})
    return judge("gate", EVALUATION, samples).outcome


def test_answers_within_the_margin_pass() -> None:
    assert evaluated(0, 0, 3) is Outcome.PASS
    assert evaluated(5, 0, 95) is Outcome.PASS
    assert evaluated(40, 40, 20) is Outcome.PASS


def test_answers_that_are_worse_maybe_by_chance_hold() -> None:
    assert evaluated(1, 0, 2) is Outcome.HOLD
    assert evaluated(10, 2, 88) is Outcome.HOLD


def test_answers_that_are_surely_worse_fail() -> None:
    assert evaluated(7, 0, 3) is Outcome.FAIL
    assert evaluated(20, 2, 78) is Outcome.FAIL


def test_an_evaluation_that_was_not_made_holds() -> None:
    assert judge("gate", EVALUATION, Samples()).outcome is Outcome.HOLD
    assert evaluated(0, 0, 0) is Outcome.HOLD
    assert evaluated(50, 0, 0, trouble="timed out") is Outcome.HOLD


def test_an_item_that_counts_twice_holds() -> None:
    items = (ItemResult("same", True, False),) * 20
    samples = Samples(evaluations={"golden": EvaluationResult(items)})
    assert "twice" in judge("gate", EVALUATION, samples).summary


def test_the_same_outputs_pass() -> None:
    verdict = judge("gate", DRIFT, signal(([50, 100, 50], [52, 99, 49])))
    assert verdict.outcome is Outcome.PASS
    assert "less than 0.1" in verdict.summary


def test_too_few_observations_hold_however_different() -> None:
    assert judge("gate", DRIFT, signal(([199, 0, 0], [0, 0, 5000]))).outcome is Outcome.HOLD
    assert judge("gate", DRIFT, Samples()).outcome is Outcome.HOLD


def test_drift_that_is_large_and_sure_fails() -> None:
    verdict = judge("gate", DRIFT, signal(([50, 100, 50], [100, 80, 20])))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.abort is not None
    assert verdict.abort.value > verdict.abort.limit


def test_drift_that_is_sure_and_small_passes() -> None:
    small = signal(([50_000, 100_000, 50_000], [52_000, 99_000, 49_000]))
    verdict = judge("gate", DRIFT, small)
    assert verdict.outcome is Outcome.PASS
    assert verdict.abort is not None
    assert verdict.abort.value > verdict.abort.limit


@pytest.mark.parametrize("metric", ["psi", "js", "ks", "wasserstein"])
def test_every_metric_sees_a_shift_either_way(metric: str) -> None:
    of = gate(f"drift: {{signals: [score], metric: {metric}, effect: 0.1}}")
    low, high = [100, 60, 40, 10], [10, 40, 60, 100]
    assert judge("gate", of, signal((low, high))).outcome is Outcome.FAIL
    assert judge("gate", of, signal((high, low))).outcome is Outcome.FAIL
    assert judge("gate", of, signal((low, low))).outcome is Outcome.PASS


def test_small_batches_are_put_together() -> None:
    batch = ([2, 5, 3], [6, 3, 1])
    assert judge("gate", DRIFT, signal(*[batch] * 20)).outcome is Outcome.FAIL
    assert judge("gate", DRIFT, signal(*[batch] * 19)).outcome is Outcome.HOLD


def test_histograms_with_different_buckets_hold() -> None:
    batch = Batch(histogram(300, 300), histogram(100, 100, 400))
    verdict = judge("gate", DRIFT, Samples(signals={"score": (batch,)}))
    assert verdict.outcome is Outcome.HOLD
    assert "different buckets" in verdict.summary


@pytest.mark.parametrize(
    "broken",
    [
        Distribution((1.0, math.nan, math.inf), (300, 1, 1)),
        Distribution((1.0, 2.0), (300, 1)),
        Distribution((1.0, math.inf), (300,)),
        Distribution((1.0, math.inf), (300, -1)),
    ],
)
def test_broken_histograms_hold(broken: Distribution) -> None:
    batches = (Batch(broken, broken),)
    samples = Samples(signals={"score": batches}, latencies=batches)
    assert judge("gate", DRIFT, samples).outcome is Outcome.HOLD
    assert judge("gate", LATENCY, samples).outcome is Outcome.HOLD


def latency(*counts: int) -> Samples:
    return Samples(latencies=(Batch(histogram(), histogram(*counts)),))


def test_latency_is_judged_by_requests_that_surely_were_slow() -> None:
    assert judge("gate", LATENCY, latency(500, 300, 0)).outcome is Outcome.PASS
    assert judge("gate", LATENCY, latency(50, 30, 0)).outcome is Outcome.HOLD
    assert judge("gate", LATENCY, latency(50, 30, 20)).outcome is Outcome.FAIL
    assert judge("gate", LATENCY, Samples()).outcome is Outcome.HOLD


def test_a_limit_inside_a_bucket_decides_neither_way() -> None:
    of = gate("latency: {quantile: 99%, atMost: 1500ms}")
    verdict = judge("gate", of, latency(0, 9000, 0))
    assert verdict.outcome is Outcome.HOLD
    assert verdict.advisory


def test_queries_within_the_line_all_the_time_pass() -> None:
    assert judge("gate", QUERY, answers(1, 2, 3, 2, 1)).outcome is Outcome.PASS
    assert judge("gate", QUERY, answers(9, 9, 9, 1, 2, 3, 2, 1)).outcome is Outcome.PASS


def test_queries_beyond_the_line_all_the_time_fail() -> None:
    assert judge("gate", QUERY, answers(6, 7, 8, 9, 9)).outcome is Outcome.FAIL
    at_least = gate("promql: {query: up, atLeast: 1.0, for: 1m}")
    assert judge("gate", at_least, answers(0, 0, 0, 0, 0)).outcome is Outcome.FAIL
    assert judge("gate", at_least, answers(1, 1, 1, 1, 1)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "values",
    [
        (),
        (6.0, 6.0),
        (6.0, 6.0, 6.0, 6.0),
        (6.0, 6.0, 1.0, 6.0, 6.0),
        (6.0, 6.0, None, 6.0, 6.0),
        (6.0, 6.0, math.nan, 6.0, 6.0),
        (1.0, 1.0, 1.0, 1.0, math.inf),
    ],
)
def test_queries_that_do_not_agree_over_the_time_hold(values: tuple[float | None, ...]) -> None:
    assert judge("gate", QUERY, answers(*values)).outcome is Outcome.HOLD


def test_a_gap_between_answers_holds() -> None:
    times = (0, 58, 59, 60)
    points = tuple(QueryPoint(1e9 + at, 9.0) for at in times)
    assert judge("gate", QUERY, Samples(queries={"gate": points})).outcome is Outcome.HOLD


def test_trouble_of_a_query_holds_and_is_told() -> None:
    points = (*answers(9, 9, 9, 9).queries["gate"], QueryPoint(1e9 + 60, trouble="no route"))
    verdict = judge("gate", QUERY, Samples(queries={"gate": points}))
    assert (verdict.outcome, verdict.summary) == (Outcome.HOLD, "no route")


def test_answers_out_of_order_hold() -> None:
    points = answers(9, 9, 9, 9, 9).queries["gate"][::-1]
    assert judge("gate", QUERY, Samples(queries={"gate": points})).outcome is Outcome.HOLD


def test_placeholders_are_filled() -> None:
    names = Names(rollout="fraud", namespace="ml", version='v"2\\', stable="v1")
    text = 'up{n="{{namespace}}",v="{{ version }}",s=~"{{stable}}|{{rollout}}"}'
    assert filled(text, names) == 'up{n="ml",v="v\\"2\\\\",s=~"v1|fraud"}'


@pytest.mark.parametrize(
    "text",
    [
        "promql: {query: 'up{v=\"{{candidate}}\"}', atMost: 1.0, for: 1m}",
        "promql: {query: up, for: 1m}",
        "promql: {query: up, atMost: 1.0, atLeast: 0.0, for: 1m}",
        "promql: {query: up, atMost: 1.0}",
        "approval: {by: []}",
        "errorRate: {atMost: 1%, ratio: 0.0}",
        "drift: {signals: [a], metric: mmd}",
    ],
)
def test_gates_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        gate(text)


def test_approval_is_awaited_and_given() -> None:
    of = gate("approval: {by: [ml-lead, agent/release-bot]}")
    waiting = judge("gate", of, Samples())
    assert waiting.outcome is Outcome.HOLD
    assert waiting.summary == "waits for the approval of ml-lead or agent/release-bot"
    assert judge("gate", of, Samples(approved=frozenset({"other"}))).outcome is Outcome.HOLD
    assert judge("gate", of, Samples(approved=frozenset({"gate"}))).outcome is Outcome.PASS
