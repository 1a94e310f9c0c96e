"""What the kinds demand beyond the form of each field."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import yaml
from pydantic import ValidationError

from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.kinds import KINDS, AgentScope, Gate, Model, Repository, Role, Rollout
from reconciler.core.kinds.agent_scope import AgentScopeSpec
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.kinds.model import ModelSpec
from reconciler.core.kinds.references import OciArtifact, SecretReference
from reconciler.core.kinds.repository import Allowance, AllowedClusters, DeletionBudget
from reconciler.core.kinds.role import Rule
from reconciler.core.kinds.rollout import Canary, RolloutSpec, Strategy
from reconciler.core.kinds.serving import Resources, Serving

DIGEST = f"sha256:{'ab' * 32}"
ARTIFACT = f"oci://registry.example.com/models/fraud@{DIGEST}"
IMAGE = f"registry.example.com/serve@{DIGEST}"


def canary(*steps: str) -> Canary:
    return Canary.model_validate({"steps": [yaml.safe_load(step) for step in steps]})


def reasons(error: pytest.ExceptionInfo[ValidationError]) -> list[str]:
    return [details["ctx"]["reason"] for details in error.value.errors() if "ctx" in details]


def test_every_kind_is_registered_under_its_own_name() -> None:
    for name, kind in KINDS.items():
        assert kind.model_fields["kind"].annotation.__args__ == (name,)


def test_every_field_of_every_kind_is_described() -> None:
    for kind in KINDS.values():
        for field in kind.model_fields["spec"].annotation.model_fields.values():
            assert field.description


def test_an_artifact_is_split_into_repository_and_digest() -> None:
    artifact = OciArtifact.parse(ARTIFACT)
    assert artifact.repository == "registry.example.com/models/fraud"
    assert artifact.digest == DIGEST
    assert str(artifact) == ARTIFACT


def test_a_secret_reference_is_split_into_store_path_and_key() -> None:
    reference = SecretReference.parse("vault:kv/risk/fraud#hf_token")
    assert reference == SecretReference("vault", "kv/risk/fraud", "hf_token")
    assert str(reference) == "vault:kv/risk/fraud#hf_token"


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/serve:latest",
        "registry.example.com/serve",
        f"serve@{DIGEST}",
        f"registry.example.com/Serve@{DIGEST}",
        f"registry.example.com/serve@{DIGEST[:-1]}",
        f"registry.example.com/serve@{DIGEST}\n",
    ],
)
def test_an_image_that_is_not_pinned_is_refused(image: str) -> None:
    with pytest.raises(ValidationError):
        Serving.model_validate({"runtime": "deployment", "container": {"image": image, "port": 1}})


@pytest.mark.parametrize(
    "image", [IMAGE, IMAGE.replace("@", ":1.2@"), f"localhost:5000/a/b@{DIGEST}"]
)
def test_an_image_with_a_digest_is_taken_with_or_without_tag(image: str) -> None:
    Serving.model_validate({"runtime": "deployment", "container": {"image": image, "port": 1}})


@pytest.mark.parametrize("runtime", ["deployment", "kserve"])
def test_what_runs_a_container_needs_one(runtime: str) -> None:
    with pytest.raises(ValidationError, match="has no container"):
        Serving.model_validate({"runtime": runtime})


def test_a_chart_is_declared_without_one() -> None:
    assert Serving.model_validate({"runtime": "chart"}).container is None


LORA = {"server": "base", "alias": "support", "path": "/adapters/{digest}"}
LABELLED = {"label": "model_name"}


def test_an_adapter_names_its_server_alias_path_and_label() -> None:
    serving = {"runtime": "lora", "lora": LORA, "signals": LABELLED}
    assert Serving.model_validate(serving).lora.alias == "support"


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        ({"runtime": "lora", "signals": LABELLED}, "has no lora"),
        ({"runtime": "lora", "lora": LORA}, "has no signals.label"),
        ({"runtime": "chart", "lora": LORA}, "only runtime lora uses"),
        ({"runtime": "chart", "signals": LABELLED}, "only runtime lora uses"),
        (
            {"runtime": "lora", "lora": LORA, "signals": LABELLED, "route": {}},
            "those of its server",
        ),
        (
            {"runtime": "lora", "signals": LABELLED, "lora": {**LORA, "alias": "a@b"}},
            "is not a name by which callers ask",
        ),
        (
            {"runtime": "lora", "signals": LABELLED, "lora": {**LORA, "path": "/adapters/new"}},
            "is not a path with {digest} in it",
        ),
    ],
)
def test_what_does_not_say_how_an_adapter_is_served_is_refused(
    serving: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(reason)):
        Serving.model_validate(serving)


def test_a_version_is_listed_once() -> None:
    version = {"name": "v1", "artifact": ARTIFACT}
    with pytest.raises(ValidationError, match="lists v1 twice"):
        ModelSpec.model_validate(
            {"owner": "a", "versions": [version, version], "serving": {"runtime": "chart"}}
        )


def test_requests_stay_below_limits() -> None:
    with pytest.raises(ValidationError, match="above its limit"):
        Resources.model_validate({"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}})


def test_a_quantity_may_be_a_plain_number() -> None:
    resources = Resources.model_validate({"limits": {"nvidia.com/gpu": 1, "cpu": 0.5}})
    assert {name: str(limit) for name, limit in resources.limits.items()} == {
        "nvidia.com/gpu": "1",
        "cpu": "0.5",
    }


def test_a_canary_may_mix_cohorts_mirrors_weights_and_approvals() -> None:
    steps = canary(
        "cohort: {header: x-cohort, value: internal}",
        "mirror: 10%",
        "weight: 5%",
        "approval: {by: [product-owner]}",
        "weight: 100%",
    ).steps
    assert [step.chosen for step in steps] == ["cohort", "mirror", "weight", "approval", "weight"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (("weight: 50%", "weight: 5%", "weight: 100%"), "go from weight 50% to 5%"),
        (("weight: 5%", "weight: 5%", "weight: 100%"), "go from weight 5% to 5%"),
        (("weight: 50%",), "do not end with weight 100%"),
        (("weight: 100%", "mirror: 5%"), "do not end with weight 100%"),
    ],
)
def test_weights_grow_and_end_with_all_traffic(steps: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValidationError) as error:
        canary(*steps)
    assert reasons(error) == [reason]


@pytest.mark.parametrize("step", ["{}", "{mirror: 5%, weight: 5%}"])
def test_a_step_is_exactly_one_thing(step: str) -> None:
    with pytest.raises(ValidationError, match="of cohort, mirror, weight, approval"):
        canary(step, "weight: 100%")


def test_a_strategy_is_exactly_one() -> None:
    with pytest.raises(ValidationError, match="gives none of canary, blueGreen, recreate"):
        Strategy.model_validate({"keepWarm": "1h"})


def test_a_strategy_without_options_is_chosen_by_an_empty_mapping() -> None:
    strategy = Strategy.model_validate({"blueGreen": {}, "keepWarm": "2h"})
    assert strategy.chosen == "blue_green"
    assert strategy.keep_warm == timedelta(hours=2)


def test_a_wave_selects_by_at_least_one_label() -> None:
    spec = {"model": "a", "version": "b", "namespace": "c", "waves": [{"clusters": {}}]}
    with pytest.raises(ValidationError, match="at least 1"):
        RolloutSpec.model_validate(spec)


@pytest.mark.parametrize("field", ["strategy", "gates", "onFailure"])
def test_an_optional_field_may_be_left_out_but_not_left_empty(field: str) -> None:
    spec = {"model": "a", "version": "b", "namespace": "c", "waves": [{"clusters": {"env": "x"}}]}
    RolloutSpec.model_validate(spec)
    with pytest.raises(ValidationError):
        RolloutSpec.model_validate({**spec, field: None})


@pytest.mark.parametrize(
    ("owned", "limit"), [(0, 0), (1, 1), (5, 1), (30, 3), (31, 4), (200, 20), (10_000, 20)]
)
def test_the_stricter_deletion_limit_decides_and_leaves_one_object(owned: int, limit: int) -> None:
    assert DeletionBudget().limit(owned) == limit


def test_stateful_kinds_are_deleted_only_when_named() -> None:
    budget = DeletionBudget.model_validate({"allowStateful": ["StatefulSet.apps"]})
    assert budget.permits_kind("apps", "StatefulSet")
    assert budget.permits_kind("", "ConfigMap")
    assert not budget.permits_kind("", "PersistentVolumeClaim")
    assert not budget.permits_kind("", "Namespace")
    assert not budget.permits_kind("apiextensions.k8s.io", "CustomResourceDefinition")


@pytest.mark.parametrize(
    ("type", "permitted"),
    [
        (GroupVersionKind("", "v1", "ConfigMap"), True),
        (GroupVersionKind("apps", "v1", "Deployment"), True),
        (GroupVersionKind("rbac.authorization.k8s.io", "v1", "Role"), True),
        (GroupVersionKind("rbac.authorization.k8s.io", "v1", "ClusterRole"), False),
        (GroupVersionKind("admissionregistration.k8s.io", "v1", "AnyWebhook"), False),
        (GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), False),
        (GroupVersionKind("", "v1", "Node"), False),
        (GroupVersionKind("", "v1", "Secret"), False),
        (GroupVersionKind("example.com", "v1", "Secret"), True),
    ],
)
def test_kinds_that_change_what_others_may_do_are_permitted_only_when_named(
    type: GroupVersionKind, permitted: bool
) -> None:
    allow = {"namespaces": ["team-*"], "kinds": ["Role.rbac.authorization.k8s.io"]}
    assert Allowance.model_validate(allow).permits_kind(type) is permitted


def test_secrets_cannot_be_permitted() -> None:
    with pytest.raises(ValidationError, match="lists Secret"):
        Allowance.model_validate({"namespaces": ["a"], "kinds": ["Secret"]})


@pytest.mark.parametrize(("namespace", "permitted"), [("team-a", True), ("kube-system", False)])
def test_namespaces_are_permitted_by_pattern(namespace: str, permitted: bool) -> None:
    allow = Allowance.model_validate({"namespaces": ["team-*", "monitoring"]})
    assert allow.permits_namespace(namespace) is permitted


@pytest.mark.parametrize(
    ("name", "labels", "included"),
    [("a", {}, True), ("b", {"env": "x", "zone": "1"}, True), ("b", {"env": "y"}, False)],
)
def test_clusters_are_allowed_by_name_or_label(
    name: str, labels: dict[str, str], included: bool
) -> None:
    allowed = AllowedClusters.model_validate({"names": ["a"], "labels": {"env": "x"}})
    assert allowed.include(name, labels) is included


def test_a_repository_that_allows_no_cluster_is_refused() -> None:
    with pytest.raises(ValidationError, match="allows no cluster"):
        AllowedClusters.model_validate({})


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../b", "a//b", "a/", ".", "a/..", "a b"])
def test_a_path_stays_within_the_repository(path: str) -> None:
    with pytest.raises(ValidationError, match="path relative to the root"):
        Repository.model_validate(
            {
                "apiVersion": "fairlead.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "a"},
                "spec": {
                    "clusters": {"names": ["a"]},
                    "allow": {"namespaces": ["a"]},
                    "manifests": [{"path": path}],
                },
            }
        )


@pytest.mark.parametrize(
    "rule",
    [
        "{models: {labels: {team: risk}}}",
        "{actions: [infer]}",
        "{resources: [pods], verbs: [get]}",
        "{models: {labels: {a: b}}, actions: [infer], resources: [pods]}",
        "{}",
    ],
)
def test_a_rule_of_a_role_is_about_models_or_about_resources(rule: str) -> None:
    with pytest.raises(ValidationError, match="neither a rule for models nor one for resources"):
        Rule.model_validate(yaml.safe_load(rule))


def test_a_gate_judges_exactly_one_thing() -> None:
    with pytest.raises(ValidationError, match="gives errorRate and latency"):
        GateSpec.model_validate({"errorRate": {"atMost": "1%"}, "latency": {"atMost": "1s"}})


def test_an_agent_scope_ends() -> None:
    assert AgentScopeSpec.model_fields["expires"].is_required()


@pytest.mark.parametrize("kind", [AgentScope, Gate, Model, Role, Rollout])
def test_a_document_is_never_changed_after_it_was_checked(kind: type) -> None:
    assert kind.model_config["frozen"]
