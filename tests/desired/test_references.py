"""Names lead somewhere, and to one thing."""

from __future__ import annotations

import pytest

from reconciler.core.problems import errors_among
from tests.desired.builders import (
    CLUSTERS,
    MODEL,
    ROLLOUT,
    codes,
    compile_tree,
    config_map,
    repository,
)

HEAD = "apiVersion: fairlead.dev/v1alpha1\n"
SCOPE = (
    HEAD + "kind: AgentScope\nmetadata: {name: eval-bot}\n"
    "spec:\n  purpose: evaluation\n"
    "  models: [{model: fraud-detector, versions: [v3], actions: [infer]}]\n"
    "  token: {audience: gateway}\n  expires: '2027-06-30'\n"
)
GATEWAY = "spec: {gateway: {name: public, namespace: gateways}}\n"
GATE = HEAD + "kind: Gate\nmetadata: {name: answers}\nspec: {evaluation: {name: golden}}\n"


def found(**files: str) -> list[tuple[str, str]]:
    _, problems = compile_tree(repository(**{"models": MODEL, "rollouts": ROLLOUT, **files}))
    return [(problem.code, problem.location) for problem in errors_among(problems)]


def test_a_model_that_no_file_declares_is_named_with_the_nearest() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT.replace("model: fraud", "model: frau"))
    _, problems = compile_tree(tree)
    assert [(p.code, p.location) for p in problems] == [("unknown-model", "rollouts.yaml:5:10")]
    assert problems[0].hint == "did you mean fraud-detector?"


def test_a_version_that_the_model_does_not_have_is_a_problem() -> None:
    rollout = ROLLOUT.replace("v3", "v9")
    assert found(rollouts=rollout) == [("unknown-version", "rollouts.yaml:6:12")]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"rollouts": ROLLOUT + "  gates: [errors]\n"}, "unknown-gate"),
        ({"gates": GATE}, "unknown-evaluation"),
        ({"scopes": SCOPE.replace("model: fraud", "model: x")}, "unknown-model"),
        ({"scopes": SCOPE.replace("[v3]", "[v3, v9]")}, "unknown-version"),
        (
            {
                "models": MODEL.replace(
                    "\n  - name: v4", "\n    access: {inference: [owner]}\n  - name: v4"
                )
            },
            "unknown-role",
        ),
        (
            {
                "models": MODEL.replace(
                    "\n  - name: v4", "\n    access: {retraining: [agent/x]}\n  - name: v4"
                )
            },
            "unknown-agent-scope",
        ),
        (
            {
                "clusters": CLUSTERS.replace("env: staging}}\n", f"env: staging}}}}\n{GATEWAY}"),
                "rollouts": ROLLOUT + "  strategy:\n    canary:\n      steps:\n"
                "      - approval: {by: [owner]}\n      - weight: 100%\n",
            },
            "unknown-role",
        ),
        ({"rollouts": ROLLOUT.replace("env: staging", "env: nowhere")}, "no-cluster"),
    ],
)
def test_a_dangling_reference_is_a_problem(files: dict[str, str], code: str) -> None:
    assert [name for name, _ in found(**files)] == [code]


CANARY = "  strategy: {canary: {steps: [{weight: 5%}, {weight: 100%}]}}\n"


def test_a_strategy_that_divides_requests_needs_a_gateway_in_every_cluster() -> None:
    assert found(rollouts=ROLLOUT + CANARY) == [("strategy-without-gateway", "rollouts.yaml:11:13")]


def test_a_strategy_that_divides_requests_needs_a_route() -> None:
    inside = MODEL.replace("    route: {hostnames: [fraud.example.com]}\n", "")
    assert found(models=inside, rollouts=ROLLOUT + CANARY) == [
        ("strategy-without-route", "rollouts.yaml:11:13")
    ]


@pytest.mark.parametrize(
    ("by", "asked", "problems"),
    [
        ("agent/one", "[agent/one]", []),
        ("agent/one", "[agent/two]", ["approval-not-asked"]),
    ],
)
def test_a_gate_is_approved_by_whom_it_asks(by: str, asked: str, problems: list[str]) -> None:
    gate = HEAD + "kind: Gate\nmetadata: {name: ok}\nspec: {approval: {by: " + asked + "}}\n"
    scopes = "---\n".join(SCOPE.replace("eval-bot", name) for name in ("one", "two"))
    given = f"  gates: [ok]\n  approved: [{{version: v3, gate: ok, by: {by}}}]\n"
    codes_found = [code for code, _ in found(gates=gate, scopes=scopes, rollouts=ROLLOUT + given)]
    assert codes_found == problems


def test_what_a_broken_document_declares_is_not_called_unknown() -> None:
    assert [code for code, _ in found(models=MODEL.replace("port: 8000", "port: 0"))] == [
        "field-value"
    ]


def test_a_name_is_declared_once() -> None:
    assert found(more=MODEL) == [("duplicate-name", "more.yaml:3:18")]


def test_an_object_is_declared_once_in_a_unit() -> None:
    _, problems = compile_tree(
        repository(platform__x__a=config_map("same"), platform__x__b=config_map("same"))
    )
    assert [(p.code, p.path) for p in problems] == [("duplicate-object", "platform/x/b.yaml")]
    assert "platform/x/a.yaml:1" in problems[0].message


def test_an_object_is_declared_once_in_a_cluster() -> None:
    tree = repository(platform__x__a=config_map("same"), platform__y__b=config_map("same"))
    _, problems = compile_tree(tree)
    assert {(p.code, p.path) for p in problems} == {("duplicate-object", "platform/y/b.yaml")}


def test_the_same_object_in_clusters_apart_is_no_conflict() -> None:
    tree = repository(platform__x__a=config_map("same"), apps__y__b=config_map("same"))
    tree["fairlead.yaml"] = str(tree["fairlead.yaml"]) + (
        "    clusters: {env: staging}\n  - path: apps/*\n    clusters: {env: production}\n"
    )
    assert codes(tree) == []


def test_a_manifest_cannot_take_the_place_of_what_a_rollout_makes() -> None:
    service = (
        "apiVersion: v1\nkind: Service\n"
        "metadata: {name: fraud-detector, namespace: team-risk}\nspec: {ports: [{port: 80}]}\n"
    )
    assert {code for code, _ in found(platform__x__svc=service)} == {"duplicate-object"}


def test_two_rollouts_may_not_run_one_model_in_one_namespace() -> None:
    assert {code for code, _ in found(more=ROLLOUT.replace("{name: fraud", "{name: second"))} == {
        "rival-rollouts",
        "rival-routes",
    }


def test_two_models_may_not_get_the_same_requests() -> None:
    other = (MODEL + "---\n" + ROLLOUT).replace("fraud-detector", "churn")
    assert [code for code, _ in found(more=other)] == ["rival-routes"]
    assert found(more=other.replace("fraud.example", "churn.example")) == []


def test_a_runtime_that_cannot_be_rolled_out_says_so() -> None:
    assert found(models=MODEL.replace("runtime: deployment", "runtime: chart")) == [
        ("runtime-not-supported", "rollouts.yaml:5:10")
    ]


def test_a_secret_value_in_a_model_is_refused_without_repeating_it() -> None:
    token = "hf_" + "aB3" * 12
    model = MODEL.replace("      port: 8000", f"      port: 8000\n      env: {{HF_TOKEN: {token}}}")
    _, problems = compile_tree(repository(models=model, rollouts=ROLLOUT))
    assert [problem.code for problem in problems] == ["secret-value"]
    assert token not in problems[0].message


def test_a_cluster_that_disappears_leaves_selectors_that_mean_nothing() -> None:
    staging_only = CLUSTERS.partition("---")[0]
    assert [code for code, _ in found(clusters=staging_only)] == ["no-cluster"]


@pytest.mark.parametrize(
    "strategy",
    [
        "{canary: {steps: [{weight: 0%}, {weight: 100%}]}}",
        "{canary: {steps: [{mirror: 0%}, {weight: 100%}]}}",
        "{canary: {steps: [{weight: 5%}, {weight: 100%}]}, deadline: 0s}",
    ],
)
def test_a_step_that_can_only_fail_is_refused(strategy: str) -> None:
    clusters = CLUSTERS.replace("env: staging}}\n", f"env: staging}}}}\n{GATEWAY}")
    problems = found(clusters=clusters, rollouts=f"{ROLLOUT}  strategy: {strategy}\n")
    assert [code for code, _ in problems] == ["field-value"]


def test_gates_need_a_step_with_requests_to_judge() -> None:
    clusters = CLUSTERS.replace("env: staging}}\n", f"env: staging}}}}\n{GATEWAY}")
    gate = HEAD + "kind: Gate\nmetadata: {name: errors}\nspec: {errorRate: {atMost: 1%}}\n"
    at_once = "  gates: [errors]\n  strategy: {canary: {steps: [{weight: 100%}]}}\n"
    problems = found(clusters=clusters, gates=gate, rollouts=ROLLOUT + at_once)
    assert [code for code, _ in problems] == ["gates-without-requests"]
