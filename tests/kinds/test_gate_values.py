"""A gate that could only ever hold, or only ever pass, is refused where it is written."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from reconciler.core.kinds.gate import GateSpec
from tests.desired.builders import compile_tree, repository

NEVER = {
    "errorRate: {atMost: 0%}": "no number of requests can prove",
    "errorRate: {atMost: 0.0%}": "no number of requests can prove",
    "errorRate: {atMost: 100%}": "every version keeps",
    "errorRate: {atMost: 1%, confidence: 0%}": "takes chance for proof",
    "errorRate: {atMost: 1%, confidence: 100.0%}": "no evidence can reach",
    "evaluation: {name: golden, margin: 100%}": "every version keeps",
    "evaluation: {name: golden, confidence: 100%}": "no evidence can reach",
    "drift: {signals: [score], confidence: 0%}": "takes chance for proof",
    "drift: {signals: [score], metric: ks, effect: 1}": "ks is never above 1",
    "drift: {signals: [score], metric: js, effect: 0.9}": "js is never above 0.83",
    "drift: {signals: [score], metric: psi, effect: 40}": "psi is never above 29",
    "drift: {signals: [score, score]}": "lists score twice",
    "latency: {atMost: 0s}": "no request keeps",
    "latency: {atMost: 1s, quantile: 100%}": "no number of requests can prove",
    "latency: {atMost: 1s, quantile: 0%}": "every version keeps",
    "promql: {query: up, atMost: 1.0, for: 0s}": "not between 15s and 1h",
    "promql: {query: up, atMost: 1.0, for: 5s}": "not between 15s and 1h",
    "promql: {query: up, atMost: 1.0, for: 2h}": "not between 15s and 1h",
}


@pytest.mark.parametrize("text", NEVER)
def test_values_at_which_nothing_can_be_decided_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=NEVER[text]):
        GateSpec.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "errorRate: {atMost: 0.0001%, confidence: 99.9999%}",
        "evaluation: {name: golden, margin: 0%}",
        "drift: {signals: [score], effect: 0}",
        "drift: {signals: [score], metric: wasserstein, effect: 40}",
        "promql: {query: up, atLeast: 0.0, for: 15s}",
        "promql: {query: up, atLeast: -1.0, for: 1h}",
    ],
)
def test_strict_values_that_can_be_met_are_not(text: str) -> None:
    GateSpec.model_validate(yaml.safe_load(text))


def test_the_problem_points_at_the_field_and_says_what_to_write() -> None:
    gate = """\
apiVersion: fairlead.dev/v1alpha1
kind: Gate
metadata: {name: errors}
spec:
  errorRate:
    atMost: 0%
"""
    _, [problem] = compile_tree(repository(gates=gate))
    assert problem.location == "gates.yaml:6:13"
    assert problem.hint == "say how much is acceptable: 0.1%"
