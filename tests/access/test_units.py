"""What roles and agent scopes become in clusters."""

from __future__ import annotations

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.manifests import JsonObject
from tests.desired.builders import MODEL, POLICY, ROLLOUT, codes, compiled, repository

LISTED = MODEL.replace(
    "  - name: v3\n",
    "  - name: v3\n    access: {inference: [owner, agent/bot], retraining: [owner]}\n",
)
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-search}\n"
ROLE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: owner, labels: {team: risk}}
spec:
  groups: [owners]
  allow:
  - {models: {labels: {team: risk}}, actions: [infer, retrain, promote]}
  - {resources: [deployments, pods/log], verbs: [get], namespaces: [team-*]}
  unless: [{labels: {tier: secret}, actions: [infer, promote]}]
"""
SCOPE = """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: bot}
spec:
  purpose: evaluation
  models: [{model: fraud-detector, versions: [v3], actions: [infer, retrain]}]
  token: {audience: models}
  limits: {pods: 4, gpus: 0}
  egress: [gateway, monitoring]
  expires: 2027-06-30
"""
FILES = {
    "models": LISTED,
    "rollouts": ROLLOUT.replace("  - clusters: {env: production}\n", ""),
    "platform__search__ns": NAMESPACE,
    "roles": ROLE,
    "agents": SCOPE,
}
AUTHORIZER = POLICY + "  authorizer: {namespace: monitoring}\n"
STAGING, PRODUCTION = ClusterName("staging-1"), ClusterName("production-1")


def unit(name: str, cluster: ClusterName = STAGING, **files: str) -> Unit | None:
    state = state_of(**files)
    return state.units.get((cluster, UnitName(name)))


def state_of(policy: str = POLICY, **files: str) -> DesiredState:
    return compiled({**repository(**{**FILES, **files}), "fairlead.yaml": policy}).state


def bodies(found: Unit | None, kind: str) -> dict[str, JsonObject]:
    """By namespace, or by name where there is none."""
    assert found is not None
    return {
        key.namespace or key.name: manifest.body
        for key, manifest in found.manifests.items()
        if key.kind == kind
    }


def test_a_role_is_rbac_in_each_namespace_where_it_may_do_anything() -> None:
    found = unit("role/owner")
    resources = [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]
    models = [
        {
            "apiGroups": ["fairlead.dev"],
            "resources": ["modelversions/infer", "modelversions/retrain"],
            "resourceNames": ["fraud-detector@v3"],
            "verbs": ["create"],
        },
        {
            "apiGroups": ["fairlead.dev"],
            "resources": ["modelversions/promote"],
            "resourceNames": ["fraud-detector@v3", "fraud-detector@v4"],
            "verbs": ["create"],
        },
    ]
    roles = bodies(found, "Role")
    assert {name: role["rules"] for name, role in roles.items()} == {
        "team-risk": [*models, *resources],
        "team-search": resources,
    }
    for binding in bodies(found, "RoleBinding").values():
        group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:owners"}
        assert binding["subjects"] == [group]
        assert binding["roleRef"]["name"] == "fairlead:role:owner"


def test_where_no_rollout_is_no_version_is_in_reach() -> None:
    roles = bodies(unit("role/owner", PRODUCTION), "Role")
    assert not [
        rule for role in roles.values() for rule in role["rules"] if "resourceNames" in rule
    ]


def test_an_agent_has_a_home_in_every_cluster_and_rights_where_its_models_are() -> None:
    found = unit("agent/bot")
    assert sorted(f"{k.kind} {k.namespace or k.name}" for k in found.manifests) == [
        "LimitRange agent-bot",
        "Namespace agent-bot",
        "NetworkPolicy agent-bot",
        "ResourceQuota agent-bot",
        "Role team-risk",
        "RoleBinding team-risk",
        "ServiceAccount agent-bot",
    ]
    (rule,) = bodies(found, "Role")["team-risk"]["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (
        ["modelversions/infer"],
        ["fraud-detector@v3"],
    )
    assert bodies(found, "RoleBinding")["team-risk"]["subjects"] == [
        {"kind": "ServiceAccount", "namespace": "agent-bot", "name": "bot"}
    ]
    assert not bodies(unit("agent/bot", PRODUCTION), "RoleBinding")


def test_an_agent_is_kept_to_its_limits() -> None:
    found = unit("agent/bot", PRODUCTION)
    namespace = bodies(found, "Namespace")["agent-bot"]["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["annotations"] == {
        "fairlead.dev/expires": "2027-06-30",
        "fairlead.dev/token-audience": "models",
        "fairlead.dev/token-seconds": "600",
    }
    account = bodies(found, "ServiceAccount")["agent-bot"]
    assert account["automountServiceAccountToken"] is False
    quota = bodies(found, "ResourceQuota")["agent-bot"]["spec"]["hard"]
    assert quota == {"pods": "4", "requests.nvidia.com/gpu": "0"}
    network = bodies(found, "NetworkPolicy")["agent-bot"]["spec"]
    assert network["podSelector"] == {}
    targets = [
        rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in network["egress"]
    ]
    assert targets == ["gateways", "monitoring", "kube-system"]


def test_a_restriction_is_bound_where_the_policy_names_a_place_for_its_parameters() -> None:
    assert bodies(unit("role/owner"), "ConfigMap") == {}
    found = state_of(AUTHORIZER).units[STAGING, UnitName("role/owner")]
    (parameters,) = bodies(found, "ConfigMap").values()
    assert parameters["metadata"]["namespace"] == "monitoring"
    assert parameters["data"] == {
        "revision": parameters["data"]["revision"],
        "role": "owner",
        "actions": "infer and promote",
        "labels": "tier=secret",
        "groups": "oidc:owners",
        "resources": "deployments\nstatefulsets\ndaemonsets\ninferenceservices\nhttproutes",
    }
    (binding,) = bodies(found, "ValidatingAdmissionPolicyBinding").values()
    assert binding["spec"]["paramRef"]["parameterNotFoundAction"] == "Deny"
    assert binding["spec"]["paramRef"]["name"] == parameters["metadata"]["name"]
    shared = state_of(AUTHORIZER).units[STAGING, UnitName("access")]
    assert binding["spec"]["policyName"] in bodies(shared, "ValidatingAdmissionPolicy")


def test_every_object_says_whose_it_is() -> None:
    state = state_of(AUTHORIZER)
    for (_, name), found in state.units.items():
        if name.startswith(("role/", "agent/", "access")):
            for manifest in found.manifests.values():
                labels = manifest.body["metadata"]["labels"]
                assert labels["fairlead.dev/repository"] == "acme"
                assert labels["fairlead.dev/unit"] == name.replace("/", ".")
                assert labels["app.kubernetes.io/managed-by"] == "fairlead"


def test_an_agents_namespace_must_be_allowed() -> None:
    tree = {
        **repository(**FILES),
        "fairlead.yaml": POLICY.replace(" agent-*,", ""),
    }
    assert "namespace-not-allowed" in codes(tree)


def test_no_role_gives_what_gives_rights() -> None:
    for resources, verbs, code in (
        ("secrets", "get", "resource-not-allowed"),
        ("secrets/status", "get", "resource-not-allowed"),
        ("serviceaccounts/token", "create", "resource-not-allowed"),
        ("roles.rbac.authorization.k8s.io", "patch", "resource-not-allowed"),
        ("modelversions.fairlead.dev/infer", "create", "resource-not-allowed"),
        ("users.authentication.k8s.io", "get", "resource-not-allowed"),
        ("widgets", "get", "unknown-resource"),
    ):
        role = ROLE.replace(
            "[deployments, pods/log], verbs: [get]", f"[{resources}], verbs: [{verbs}]"
        )
        assert code in codes(repository(**{**FILES, "roles": role})), resources


def test_no_policy_of_another_repository_answers_a_probe() -> None:
    found = set()
    for name in ("acme", "other"):
        policy = AUTHORIZER.replace("name: acme", f"name: {name}")
        shared = state_of(policy).units[STAGING, UnitName("access")]
        policies = bodies(shared, "ValidatingAdmissionPolicy").values()
        found |= {body["metadata"]["annotations"]["fairlead.dev/probe"] for body in policies}
    assert len(found) == 4
