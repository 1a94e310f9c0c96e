"""A Rollout of runtime kserve compiles only where KServe can do what it asks for."""

from __future__ import annotations

import pytest

from tests.desired.builders import codes, compile_tree, compiled, repository
from tests.desired.kserve import KSERVE_MODEL, KSERVE_ROLLOUT

FILES = {"models": KSERVE_MODEL, "rollouts": KSERVE_ROLLOUT}
CANARY = "{canary: {steps: [{weight: 5%}, {weight: 25%}, {weight: 100%}]}}"
CONTAINER = KSERVE_MODEL[KSERVE_MODEL.index("    container:") :]


def test_one_object_holds_all_versions_and_no_gateway_is_needed() -> None:
    state = compiled(repository(**FILES)).state
    assert {unit.cluster for unit in state.units.values()} == {"staging-1", "production-1"}
    for unit in state.units.values():
        assert sorted((key.kind, key.name) for key in unit.manifests) == [
            ("InferenceService", "fraud-detector"),
            ("PodDisruptionBudget", "fraud-detector"),
            ("ServiceAccount", "fraud-detector"),
        ]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            "rollouts",
            "{weight: 5%}",
            "{cohort: {header: x-a, value: b}}",
            ("kserve-strategy", "rollouts.yaml:9:40"),
        ),
        ("rollouts", "{weight: 5%}", "{mirror: 5%}", ("kserve-strategy", "rollouts.yaml:9:40")),
        ("rollouts", "{weight: 5%}", "{weight: 0.5%}", ("kserve-strategy", "rollouts.yaml:9:40")),
        ("rollouts", CANARY, "{blueGreen: {}}", ("kserve-strategy", "rollouts.yaml:9:13")),
        ("rollouts", CANARY, "{recreate: {}}", ("kserve-strategy", "rollouts.yaml:9:13")),
        ("rollouts", f"  strategy: {CANARY}", "", ("kserve-strategy", "rollouts.yaml:5:3")),
        (
            "rollouts",
            "{name: fraud-detector}",
            "{name: 2fraud}",
            ("kserve-name", "rollouts.yaml:3:18"),
        ),
        (
            "rollouts",
            "{name: fraud-detector}",
            f"{{name: {'x' * 51}}}",
            ("kserve-name", "rollouts.yaml:3:18"),
        ),
        ("models", "ef" * 32, "cd" * 32, ("kserve-version", "models.yaml:12:15")),
    ],
)
def test_what_kserve_cannot_do_is_refused_where_it_is_written(
    file: str, old: str, new: str, expected: tuple[str, str]
) -> None:
    changed = FILES[file].replace(old, new)
    assert changed != FILES[file]
    _, problems = compile_tree(repository(**{**FILES, file: changed}))
    assert [(problem.code, problem.location) for problem in problems] == [expected]
    assert problems[0].hint


def test_the_longest_name_that_a_service_may_have_is_taken() -> None:
    rollout = KSERVE_ROLLOUT.replace("{name: fraud-detector}", f"{{name: {'x' * 50}}}")
    assert codes(repository(**{**FILES, "rollouts": rollout})) == []


def test_an_approval_between_weights_is_no_obstacle() -> None:
    approval = "{weight: 5%}, {approval: {by: [owners]}}"
    role = (
        "apiVersion: fairlead.dev/v1alpha1\nkind: Role\nmetadata: {name: owners}\n"
        "spec:\n  groups: [owners]\n"
        "  allow: [{models: {labels: {team: risk}}, actions: [promote]}]\n"
        "  tests:\n"
        "  - {can: promote, model: fraud-detector@v3, expect: allowed}\n"
        "  - {can: infer, model: fraud-detector@v3, expect: denied}\n"
    )
    rollout = KSERVE_ROLLOUT.replace("{weight: 5%}", approval)
    assert codes(repository(**{**FILES, "rollouts": rollout}, roles=role)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CONTAINER, ""),
        (CONTAINER, CONTAINER + "    route: {hostnames: [a.example.com]}\n"),
        (CONTAINER, CONTAINER + "    modelMount: /models\n"),
    ],
)
def test_the_container_is_declared_and_what_kserve_decides_is_not(old: str, new: str) -> None:
    assert codes(repository(**{**FILES, "models": KSERVE_MODEL.replace(old, new)})) == [
        "field-value"
    ]
