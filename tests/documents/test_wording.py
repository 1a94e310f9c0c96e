"""What people are told: the field, what is wrong, and what to do."""

from __future__ import annotations

import pytest

from reconciler.core.field_problems import did_you_mean, field_path
from reconciler.core.kinds import API_VERSION

from .builders import DIGEST, MODEL, codes, only_problem

IMAGE = f"registry.example.com/serve@{DIGEST}"


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        (
            "replicas: 2",
            "replica: 2",
            "unknown field replica in spec.serving",
            "did you mean replicas?",
        ),
        ("kind: Model", "kind: Modell", "kind Modell is not known", "did you mean Model?"),
        (
            "runtime: deployment",
            "runtime: Kserve",
            "spec.serving.runtime is Kserve, which is not known here",
            "did you mean kserve?",
        ),
        (
            "replicas: 2",
            "replicas: many",
            "spec.serving.replicas is text, not a whole number",
            "give a whole number",
        ),
        (
            "owner: team-risk",
            "owner: 5",
            "spec.owner is a number, not a name of lower-case letters, digits and '-'",
            "use at most 63 lower-case letters, digits and '-', with a letter or digit at both "
            "ends",
        ),
        (
            "  owner: team-risk\n",
            "",
            "spec.owner is missing",
            "add owner (Team that answers for the model)",
        ),
        (
            "replicas: 2",
            "replicas: 0",
            "spec.serving.replicas is less than 1",
            "give at least 1",
        ),
        (
            "apiVersion: fairlead.dev/v1alpha1",
            "apiVersion: fairlead.dev/v1",
            "apiVersion fairlead.dev/v1 is not known",
            f"write {API_VERSION}",
        ),
        (
            "apiVersion: fairlead.dev/v1alpha1\n",
            "",
            "apiVersion is missing",
            f"add apiVersion: {API_VERSION}",
        ),
    ],
)
def test_a_problem_says_what_is_wrong_and_what_to_do(
    old: str, new: str, message: str, hint: str
) -> None:
    problem = only_problem(MODEL.replace(old, new))
    assert (problem.message, problem.hint) == (message, hint)


def test_all_problems_of_a_document_come_at_once() -> None:
    text = MODEL.replace("port: 8000", "port: 0").replace("v3", "V3").replace("owner", "woner")
    assert codes(text) == ["field-missing", "field-unknown", "field-value", "field-value"]


def test_a_scalar_that_is_refused_is_not_also_called_the_wrong_type() -> None:
    assert codes(MODEL.replace("replicas: 2", "replicas: 02")) == ["ambiguous-scalar"]


def test_a_list_with_one_bad_item_is_not_also_called_empty() -> None:
    assert codes(MODEL.replace("name: v3", "name: v.3")) == ["field-value"]


@pytest.mark.parametrize("value", ["ghp_secretvalue", "{a: ghp_secretvalue}", "[ghp_secretvalue]"])
@pytest.mark.parametrize("field", ["port: 8000", "replicas: 2", f"image: {IMAGE}"])
def test_a_value_is_not_repeated_in_the_problem(field: str, value: str) -> None:
    problem = only_problem(MODEL.replace(field, f"{field.partition(':')[0]}: {value}"))
    assert "ghp_secretvalue" not in repr(problem)


def test_a_field_path_is_written_as_people_write_it() -> None:
    steps = ("spec", "versions", 0, "metadata", "nvidia.com/gpu")
    assert field_path(steps) == 'spec.versions[0].metadata["nvidia.com/gpu"]'


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("Hold", "did you mean hold?"),
        ("pull_request", "did you mean pull-request?"),
        ("x", "use one of hold, pull-request, revert"),
    ],
)
def test_a_hint_names_the_nearest_word_or_all(word: str, hint: str) -> None:
    assert did_you_mean(word, ["revert", "pull-request", "hold"]) == hint
