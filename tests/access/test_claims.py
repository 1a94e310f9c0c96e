"""Policies ship with tests, and validation proves them."""

from __future__ import annotations

import pytest

from tests.desired.builders import MODEL, Tree, compile_tree, repository

ROLE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: owner}
spec:
  groups: [owners]
  allow:
  - {models: {labels: {team: risk}}, actions: [promote]}
  tests:
  - {can: promote, model: fraud-detector@v3, expect: allowed}
  - {can: infer, model: fraud-detector@v3, expect: denied}
  - {can: promote, model: fraud-detector@v9, expect: denied}
"""
SCOPE = """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: eval-bot}
spec:
  purpose: evaluation
  models: [{model: fraud-detector, versions: [v3], actions: [promote]}]
  token: {audience: gateway}
  expires: 2020-01-31
  tests:
  - {can: promote, model: fraud-detector@v3, expect: allowed}
  - {can: infer, model: fraud-detector@v3, expect: denied}
"""


def tree(role: str = ROLE, scope: str = SCOPE) -> Tree:
    return repository(models=MODEL, roles=role, agents=scope)


def test_claims_that_are_true_are_no_problem_on_any_day() -> None:
    compilation, problems = compile_tree(tree())
    assert compilation is not None
    assert problems == ()


@pytest.mark.parametrize(
    ("files", "location", "message", "hint"),
    [
        (
            tree(role=ROLE.replace("expect: allowed", "expect: denied")),
            "roles.yaml:9:5",
            "the test expects promote on fraud-detector@v3 to be denied, but Role owner allows "
            "promote on models with team=risk",
            "take away what allows it; or expect allowed, if that is meant",
        ),
        (
            tree(role=ROLE.replace("v3, expect: denied", "v3, expect: allowed")),
            "roles.yaml:10:5",
            "the test expects infer on fraud-detector@v3 to be allowed, but no rule of Role owner "
            "allows infer on a model with the labels of fraud-detector",
            "add a rule for models and infer to allow of Role owner; or expect denied, if that is "
            "meant",
        ),
        (
            tree(scope=SCOPE.replace("v3, expect: denied", "v3, expect: allowed")),
            "agents.yaml:11:5",
            "the test expects infer on fraud-detector@v3 to be allowed, but AgentScope eval-bot "
            "does not list infer on fraud-detector@v3",
            "add model, version and infer to models of AgentScope eval-bot; or expect denied, if "
            "that is meant",
        ),
    ],
)
def test_a_false_claim_refuses_the_commit_at_its_line(
    files: Tree, location: str, message: str, hint: str
) -> None:
    compilation, problems = compile_tree(files)
    assert compilation is None
    told = [p for p in problems if p.code == "access-test-failed"]
    assert [(p.location, p.message, p.hint) for p in told] == [(location, message, hint)]


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        (ROLE.partition("  tests:")[0], "allowed and none denied"),
        (
            ROLE.replace("  - {can: promote, model: fraud-detector@v3, expect: allowed}\n", ""),
            "allowed",
        ),
    ],
)
def test_a_role_that_claims_too_little_is_warned_of(role: str, missing: str) -> None:
    compilation, problems = compile_tree(tree(role=role))
    assert compilation is not None
    assert [p.message for p in problems] == [f"Role owner has no test that expects {missing}"]


def test_a_role_without_models_needs_no_test_that_expects_allowed() -> None:
    rule = "- {resources: [pods], verbs: [get], namespaces: [team-*]}"
    role = ROLE.replace("- {models: {labels: {team: risk}}, actions: [promote]}", rule)
    role = role.replace("  - {can: promote, model: fraud-detector@v3, expect: allowed}\n", "")
    _, problems = compile_tree(tree(role=role))
    assert problems == ()
