"""The order in which changes take effect."""

from __future__ import annotations

from typing import cast

import pytest

from reconciler.core.identifiers import DocumentPath, ObjectKey
from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.ordering import Wave, binds, deletion_order, stepping_stone, wave_of
from reconciler.core.problems import Span

RBAC = "rbac.authorization.k8s.io/v1"
GATEWAY = "gateway.networking.k8s.io/v1"


def manifest(api_version: str, kind: str, **fields: object) -> Manifest:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, **fields}
    return manifest_of(cast(JsonObject, body), Source(DocumentPath("a.yaml"), Span(1, 1)))


def rule(verbs: str, resources: str = "pods", groups: str = "", **more: list[str]) -> JsonObject:
    return cast(
        JsonObject,
        {
            "apiGroups": groups.split(",") if groups else [""],
            "resources": resources.split(","),
            "verbs": verbs.split(","),
            **more,
        },
    )


def role(*rules: JsonObject, kind: str = "Role", **fields: object) -> Manifest:
    return manifest(RBAC, kind, rules=list(rules), **fields)


def binding(*subjects: str, role_name: str = "reader") -> Manifest:
    return manifest(
        RBAC,
        "RoleBinding",
        roleRef={"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": role_name},
        subjects=[{"kind": "Group", "name": name} for name in subjects],
    )


def policy(**spec: object) -> Manifest:
    return manifest("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, **spec})


def change(before: Manifest | None, after: Manifest | None) -> Wave:
    return wave_of(before=before, after=after)


def stone(before: Manifest, after: Manifest) -> JsonObject:
    between = stepping_stone(before, after)
    assert between is not None
    return between.body


@pytest.mark.parametrize(
    ("api_version", "kind", "created", "deleted"),
    [
        ("v1", "Namespace", Wave.FOUNDATION, Wave.DELETION),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Wave.FOUNDATION, Wave.DELETION),
        ("networking.k8s.io/v1", "NetworkPolicy", Wave.TIGHTENING, Wave.WIDENING),
        ("v1", "ResourceQuota", Wave.TIGHTENING, Wave.WIDENING),
        ("v1", "LimitRange", Wave.TIGHTENING, Wave.WIDENING),
        ("policy/v1", "PodDisruptionBudget", Wave.TIGHTENING, Wave.WIDENING),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            Wave.TIGHTENING,
            Wave.WIDENING,
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            Wave.TIGHTENING,
            Wave.WIDENING,
        ),
        (RBAC, "Role", Wave.CONFIGURATION, Wave.TIGHTENING),
        (RBAC, "ClusterRole", Wave.CONFIGURATION, Wave.TIGHTENING),
        (RBAC, "RoleBinding", Wave.WIDENING, Wave.TIGHTENING),
        (RBAC, "ClusterRoleBinding", Wave.WIDENING, Wave.TIGHTENING),
        (GATEWAY, "ReferenceGrant", Wave.WIDENING, Wave.TIGHTENING),
        (GATEWAY, "HTTPRoute", Wave.WIDENING, Wave.TIGHTENING),
        (GATEWAY, "Gateway", Wave.WIDENING, Wave.TIGHTENING),
        ("networking.k8s.io/v1", "Ingress", Wave.WIDENING, Wave.TIGHTENING),
        ("v1", "ConfigMap", Wave.CONFIGURATION, Wave.DELETION),
        ("v1", "Service", Wave.CONFIGURATION, Wave.DELETION),
        ("v1", "ServiceAccount", Wave.CONFIGURATION, Wave.DELETION),
        ("v1", "PersistentVolumeClaim", Wave.CONFIGURATION, Wave.DELETION),
        ("apps/v1", "Deployment", Wave.WORKLOADS, Wave.DELETION),
        ("batch/v1", "Job", Wave.WORKLOADS, Wave.DELETION),
        ("serving.kserve.io/v1beta1", "InferenceService", Wave.WORKLOADS, Wave.DELETION),
        ("example.com/v1", "Unheard", Wave.WORKLOADS, Wave.DELETION),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingWebhookConfiguration",
            Wave.WIDENING,
            Wave.DELETION,
        ),
    ],
)
def test_each_kind_comes_and_goes_in_its_wave(
    api_version: str, kind: str, created: Wave, deleted: Wave
) -> None:
    one = manifest(api_version, kind)
    assert (change(None, one), change(one, None)) == (created, deleted)


def test_what_pods_need_to_become_healthy_is_granted_before_they_start() -> None:
    subjects = [{"kind": "ServiceAccount", "name": "operator", "namespace": "n"}]
    own = manifest(RBAC, "RoleBinding", roleRef={"kind": "Role", "name": "r"}, subjects=subjects)
    assert change(None, own) is Wave.CONFIGURATION


def test_a_grant_to_a_group_waits_although_a_service_account_shares_it() -> None:
    subjects = [{"kind": "ServiceAccount", "name": "operator"}, {"kind": "Group", "name": "all"}]
    shared = manifest(RBAC, "RoleBinding", roleRef={"kind": "Role"}, subjects=subjects)
    assert change(None, shared) is Wave.WIDENING


def test_a_role_that_others_take_in_gives_at_once_and_waits() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    taken_in = manifest(RBAC, "ClusterRole", metadata={"name": "x", "labels": label})
    assert change(None, taken_in) is Wave.WIDENING


def test_a_restriction_waits_for_its_parameters() -> None:
    admission, kind = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"
    parameters = {"name": "x", "namespace": "y", "parameterNotFoundAction": "Deny"}
    bare = manifest(admission, kind, spec={"policyName": "p"})
    reading = manifest(admission, kind, spec={"policyName": "p", "paramRef": parameters})
    assert change(None, bare) is Wave.TIGHTENING
    assert change(None, reading) is Wave.CONFIGURATION


@pytest.mark.parametrize(
    ("group", "bound"),
    [(RBAC, "Role"), ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")],
)
def test_what_binds_is_told_from_what_is_bound(group: str, bound: str) -> None:
    assert not binds(manifest(group, bound).key)
    assert binds(manifest(group, f"{bound}Binding").key)
    assert not binds(manifest("example.com/v1", f"{bound}Binding").key)


def test_a_service_moves_to_other_pods_only_when_they_are_healthy() -> None:
    before = manifest("v1", "Service", spec={"selector": {"version": "v1"}})
    after = manifest("v1", "Service", spec={"selector": {"version": "v2"}})
    assert change(before, after) is Wave.WIDENING


def test_a_kind_is_known_by_its_group_too() -> None:
    assert change(None, manifest("example.com/v1", "Role")) is Wave.WORKLOADS


def test_waves_run_from_foundation_to_deletion() -> None:
    assert [wave.name for wave in sorted(Wave)] == [
        "FOUNDATION",
        "TIGHTENING",
        "CONFIGURATION",
        "WORKLOADS",
        "WIDENING",
        "DELETION",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (role(rule("get,list")), role(rule("get"))),
        (role(rule("*")), role(rule("get"))),
        (role(rule("get", "*")), role(rule("get", "pods"))),
        (role(rule("get", "*/scale")), role(rule("get", "deployments/scale"))),
        (role(rule("get")), role(rule("get", resourceNames=["a"]))),
        (role(rule("get"), rule("list")), role(rule("get"))),
        (role(rule("get", groups="*")), role(rule("get", groups="apps"))),
        (binding("a", "b"), binding("a")),
        (policy(ingress=[{}, {"ports": []}]), policy(ingress=[{}])),
        (policy(policyTypes=["Ingress"]), policy(policyTypes=["Ingress", "Egress"])),
    ],
)
def test_a_change_that_only_takes_is_tightening_and_its_reverse_widening(
    before: Manifest, after: Manifest
) -> None:
    assert change(before, after) is Wave.TIGHTENING
    assert change(after, before) is Wave.WIDENING
    assert stepping_stone(before, after) is None
    assert stepping_stone(after, before) is None


def test_the_same_permissions_written_otherwise_give_nothing() -> None:
    before = role(rule("get,list", "pods,services"))
    after = role(rule("get", "services,pods"), rule("list", "pods"), rule("list", "services"))
    assert change(before, after) is Wave.TIGHTENING
    assert stepping_stone(before, after) is None


def test_a_role_that_gives_and_takes_is_narrowed_first() -> None:
    before = role(rule("get,list", "pods,secrets"))
    after = role(rule("get,delete", "pods,configmaps"))
    assert change(before, after) is Wave.WIDENING
    assert stone(before, after)["rules"] == [rule("get", "pods")]


def test_a_stepping_stone_narrows_wildcards_to_what_both_sides_allow() -> None:
    before = role(rule("*", "pods,*/scale", "*"))
    after = role(rule("get,patch", "*", "apps"), rule("get", "nodes"))
    assert stone(before, after)["rules"] == [rule("get,patch", "pods,*/scale", "apps")]


def test_a_stepping_stone_keeps_the_names_of_both() -> None:
    before = role(rule("get", resourceNames=["a", "b"]))
    after = role(rule("get", resourceNames=["b", "c"]))
    assert stone(before, after)["rules"] == [rule("get", resourceNames=["b"])]


def test_a_stepping_stone_of_url_paths() -> None:
    def urls(*paths: str) -> JsonObject:
        return cast(JsonObject, {"nonResourceURLs": list(paths), "verbs": ["get"]})

    before = role(urls("/metrics/*", "/healthz"), kind="ClusterRole")
    after = role(urls("/metrics/cadvisor", "/version"), kind="ClusterRole")
    assert stone(before, after)["rules"] == [urls("/metrics/cadvisor")]


def test_permissions_with_nothing_in_common_leave_an_empty_role_between() -> None:
    assert stone(role(rule("get")), role(rule("list")))["rules"] == []


def test_a_stepping_stone_names_the_source_of_what_follows() -> None:
    after = role(rule("list"))
    between = stepping_stone(role(rule("get")), after)
    assert between is not None
    assert (between.key, between.source) == (after.key, after.source)


def test_an_aggregation_label_gives_the_rules_to_another_role() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    plain = role(rule("get"), kind="ClusterRole")
    shared = role(rule("get"), kind="ClusterRole", metadata={"name": "x", "labels": label})
    assert change(plain, shared) is Wave.WIDENING
    assert change(shared, plain) is Wave.TIGHTENING


def test_a_stepping_stone_leaves_out_new_aggregation() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true", "team": "risk"}
    before = role(rule("get,list"), kind="ClusterRole")
    after = role(rule("get"), kind="ClusterRole", metadata={"name": "x", "labels": label})
    assert stone(before, after)["metadata"] == {"name": "x", "labels": {"team": "risk"}}


def test_a_new_aggregation_selector_gives() -> None:
    def aggregated(*names: str) -> Manifest:
        selectors = [{"matchLabels": {name: "true"}} for name in names]
        rule_of = {"clusterRoleSelectors": selectors}
        return role(kind="ClusterRole", aggregationRule=rule_of)

    assert change(aggregated("a"), aggregated("a", "b")) is Wave.WIDENING
    assert change(aggregated("a", "b"), aggregated("a")) is Wave.TIGHTENING
    between = stone(aggregated("a", "b"), aggregated("b", "c"))
    assert between == aggregated("b").body


def test_a_binding_that_gives_and_takes_is_narrowed_first() -> None:
    assert stone(binding("a", "b"), binding("b", "c")) == binding("b").body


def test_a_binding_to_another_role_binds_nobody_in_between() -> None:
    between = stone(binding("a", role_name="reader"), binding("a", role_name="writer"))
    assert between == binding(role_name="reader").body


def test_a_network_policy_that_gives_and_takes_is_narrowed_first() -> None:
    one, two, three = ({"ports": [{"port": port}]} for port in (1, 2, 3))
    between = stone(policy(ingress=[one, two]), policy(ingress=[two, three]))
    assert between["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [two]}


def test_between_two_network_policies_both_directions_are_governed() -> None:
    before = policy(policyTypes=["Ingress"], ingress=[])
    after = policy(policyTypes=["Egress"], egress=[{}])
    assert stone(before, after)["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [{}],
    }


def test_a_network_policy_for_other_pods_has_no_state_between() -> None:
    before, after = policy(ingress=[]), policy(ingress=[{}], podSelector={"matchLabels": {}})
    assert stepping_stone(before, after) is None
    assert change(before, after) is Wave.WIDENING


def test_a_raised_quota_is_there_before_the_workloads_that_need_it() -> None:
    one, two = (manifest("v1", "ResourceQuota", spec={"hard": {"pods": n}}) for n in ("1", "2"))
    assert change(one, two) < Wave.WORKLOADS


def test_traffic_is_taken_before_and_given_after_workloads_change() -> None:
    route, workload = manifest(GATEWAY, "HTTPRoute"), manifest("apps/v1", "Deployment")
    assert change(route, None) < change(None, workload) < change(None, route)
    assert change(route, None) < change(workload, None)


def test_a_configuration_is_deleted_after_the_workload_that_replaces_its_user() -> None:
    settings, workload = manifest("v1", "ConfigMap"), manifest("apps/v1", "Deployment")
    assert change(settings, None) > change(workload, workload)


def test_deletion_goes_from_traffic_to_foundation() -> None:
    keys = [
        ObjectKey("", "Namespace", "", "n"),
        ObjectKey("", "ConfigMap", "n", "c"),
        ObjectKey("apps", "Deployment", "n", "d"),
        ObjectKey("gateway.networking.k8s.io", "HTTPRoute", "n", "r"),
        ObjectKey("rbac.authorization.k8s.io", "Role", "n", "r"),
        ObjectKey("apiextensions.k8s.io", "CustomResourceDefinition", "", "x"),
        ObjectKey("example.com", "Unheard", "n", "u"),
    ]
    groups = [{key.kind for key in group} for group in deletion_order(keys)]
    assert groups == [
        {"HTTPRoute"},
        {"Deployment", "Unheard"},
        {"ConfigMap", "Role"},
        {"Namespace", "CustomResourceDefinition"},
    ]


def test_deletion_of_nothing_has_no_groups() -> None:
    assert deletion_order([]) == ()
