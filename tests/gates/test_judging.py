"""What holds of every gate for all samples there can be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.gates import judge
from reconciler.core.gates.judging import _JUDGES
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import (
    Batch,
    Distribution,
    EvaluationResult,
    Exposure,
    ItemResult,
    QueryPoint,
    Samples,
    Traffic,
    samples_from_json,
    samples_json,
)
from reconciler.core.verdicts import Outcome, verdict_from_json, verdict_json
from tests.gates.builders import gate

GATES = [
    gate(text)
    for text in (
        "errorRate: {atMost: 1%}",
        "errorRate: {atMost: 0.0001%, confidence: 99.9999%, ratio: 3.5}",
        "errorRate: {atMost: 99.9999%, confidence: 0.0001%}",
        "evaluation: {name: name, margin: 3%}",
        "drift: {signals: [name, other], metric: psi}",
        "drift: {signals: [name], metric: wasserstein, effect: 0, confidence: 99.9999%}",
        "drift: {signals: [name], metric: ks, confidence: 0.0001%}",
        "drift: {signals: [name], metric: js}",
        "latency: {atMost: 250ms}",
        "latency: {quantile: 99.9999%, atMost: 1ms, enforced: true}",
        "latency: {quantile: 0.0001%, atMost: 1s}",
        "promql: {query: up, atMost: 1.0, for: 1m}",
        "promql: {query: up, atLeast: 1.0, for: 15s}",
        "approval: {by: [lead]}",
    )
]

COUNTS = st.integers(-2, 3000) | st.integers(0, 10**12)
FLOATS = st.floats() | st.floats(0, 1)
EXPOSURES = st.builds(Exposure, st.sampled_from(Traffic), FLOATS, COUNTS, COUNTS, COUNTS, COUNTS)
WELL_FORMED = st.lists(st.integers(0, 1000), min_size=3, max_size=3).map(
    lambda counts: Distribution((0.1, 1.0, math.inf), tuple(counts))
)
DISTRIBUTIONS = WELL_FORMED | st.builds(
    Distribution,
    st.lists(FLOATS, max_size=3).map(tuple),
    st.lists(COUNTS, max_size=3).map(tuple),
)
BATCHES = st.lists(
    st.builds(Batch, WELL_FORMED, WELL_FORMED) | st.builds(Batch, DISTRIBUTIONS, DISTRIBUTIONS),
    max_size=4,
).map(tuple)
POINTS = st.builds(
    QueryPoint, FLOATS | st.integers(0, 100).map(float), st.none() | FLOATS, st.just("")
)
ITEMS = st.lists(st.builds(ItemResult, st.text(max_size=3), st.booleans(), st.booleans()))
EVALUATIONS = st.builds(EvaluationResult, ITEMS.map(tuple), st.text(max_size=3))
NAMES = st.sampled_from(["name", "other", "gate"])
SAMPLES = st.builds(
    Samples,
    exposures=st.lists(EXPOSURES, max_size=4).map(tuple),
    signals=st.dictionaries(NAMES, BATCHES),
    latencies=BATCHES,
    evaluations=st.dictionaries(NAMES, EVALUATIONS),
    queries=st.dictionaries(NAMES, st.lists(POINTS, max_size=6).map(tuple)),
    approved=st.frozensets(NAMES),
)


def words(spec: GateSpec) -> str:
    return spec.chosen


def test_every_choice_of_a_gate_is_judged() -> None:
    assert set(_JUDGES) == set(GateSpec.choices) == {spec.chosen for spec in GATES}


@pytest.mark.parametrize("spec", GATES, ids=words)
@settings(max_examples=100, deadline=None)
@given(samples=SAMPLES)
def test_any_samples_get_a_verdict_that_can_be_recorded_and_reached_again(
    spec: GateSpec, samples: Samples
) -> None:
    verdict = judge("gate", spec, samples)
    assert verdict.gate == "gate"
    assert verdict.summary
    recorded = samples_from_json(samples_json(samples))
    assert verdict_json(judge("gate", spec, recorded)) == verdict_json(verdict)
    assert verdict_json(verdict_from_json(verdict_json(verdict))) == verdict_json(verdict)


@pytest.mark.parametrize("spec", GATES, ids=words)
def test_nothing_measured_holds(spec: GateSpec) -> None:
    assert judge("gate", spec, Samples()).outcome is Outcome.HOLD


@pytest.mark.parametrize(
    "spec", [g for g in GATES if g.chosen in ("error_rate", "drift")], ids=words
)
@given(samples=SAMPLES)
def test_replicas_that_cannot_be_asked_never_pass(spec: GateSpec, samples: Samples) -> None:
    troubled = Samples(
        exposures=samples.exposures, signals=samples.signals, trouble="connection refused"
    )
    assert judge("gate", spec, troubled).outcome is not Outcome.PASS
