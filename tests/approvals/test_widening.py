"""Which commits give somebody more, and which only take."""

from __future__ import annotations

import pytest

from reconciler.core.approvals.widening import only_narrows, widenings
from reconciler.core.desired import DesiredState
from reconciler.core.kinds.repository import Allowance, Approvals, RepositorySpec
from tests.desired.builders import CLUSTERS, MODEL, POLICY, ROLLOUT, compiled, config_map

RULES = """\
  signatures: {required: true}
  approvals:
    widerAccess: {count: 1, by: [platform]}
    people: {platform: [grace]}
"""
POLICY_IN_FORCE = (
    POLICY.replace(
        "monitoring]}",
        "monitoring], kinds: [ClusterRole.rbac.authorization.k8s.io, "
        "Role.rbac.authorization.k8s.io, RoleBinding.rbac.authorization.k8s.io]}",
    )
    + RULES
)
OWNER = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: owner}
spec:
  groups: [owners]
  allow: [{models: {labels: {team: risk}}, actions: [infer]}]
"""
BOT = """\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: bot}
spec:
  purpose: evaluation
  models: [{model: fraud-detector, versions: [v3], actions: [infer]}]
  tools:
  - {server: metrics, name: query, schema: "sha256:%s"}
  token: {audience: models}
  limits: {callsPerMinute: 60, pods: 2}
  egress: [gateway]
  expires: 2027-01-01
""" % ("11" * 32)
LISTED = MODEL.replace(
    "@sha256:" + "ab" * 32 + "\n  - name: v4",
    "@sha256:" + "ab" * 32 + "\n    access: {inference: [owner, agent/bot]}\n  - name: v4",
)
NARROWER = LISTED.replace("[owner, agent/bot]", "[owner]")
POLICIES = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed, namespace: team-risk}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: debug, namespace: team-risk}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: debug}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: oncall}]
"""
FILES = {
    "fairlead.yaml": POLICY_IN_FORCE,
    "clusters.yaml": CLUSTERS,
    "models.yaml": LISTED,
    "rollouts.yaml": ROLLOUT,
    "roles.yaml": OWNER,
    "people.yaml": "---\n".join(
        "apiVersion: fairlead.dev/v1alpha1\nkind: Role\n"
        f"metadata: {{name: {name}}}\nspec: {{groups: [{name}], "
        "allow: [{resources: [pods], verbs: [get], namespaces: [x]}]}\n"
        for name in ("platform", "sales")
    ),
    "bot.yaml": BOT,
    "platform/net/policies.yaml": POLICIES,
    "platform/net/settings.yaml": config_map("settings"),
}


def state(**changed: str | None) -> DesiredState:
    files = FILES | {f"{name.replace('__', '/')}.yaml": text for name, text in changed.items()}
    return compiled({path: text for path, text in files.items() if text is not None}).state


IN_FORCE = state()


def given(**changed: str | None) -> tuple[str, ...]:
    return widenings(IN_FORCE, state(**changed))


def test_what_changes_nobodys_access_widens_nothing() -> None:
    assert given(platform__net__settings=config_map("settings", value="2")) == ()
    assert given(rollouts=ROLLOUT.replace("version: v3", "version: v4")) == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"roles": OWNER.replace("[infer]", "[infer, promote]")}, "Role owner gains promote on"),
        ({"roles": OWNER.replace("[owners]", "[owners, sales]")}, "group sales gains Role owner"),
        ({"bot": BOT.replace("2027-01-01", "2028-01-01")}, "agent bot gains what its scope"),
        ({"bot": BOT.replace("[gateway]", "[gateway, team-x]")}, "gains connections to team-x"),
        ({"bot": BOT.replace("Minute: 60", "Minute: 600")}, "higher limit of calls per minute"),
        ({"bot": BOT.replace("callsPerMinute: 60, ", "")}, "higher limit of calls per minute"),
        ({"bot": BOT.replace("audience: models", "audience: models, ttl: 15m")}, "last longer"),
        ({"bot": BOT.replace("1111", "2222")}, "another definition of tool metrics/query"),
        ({"platform__net__policies": None}, "lets through more than before"),
        ({"platform__net__rbac": BINDING}, "group oncall gains Role debug in namespace team-risk"),
    ],
)
def test_a_commit_that_gives_somebody_more_widens(
    changed: dict[str, str | None], told: str
) -> None:
    [sentence] = dict.fromkeys(given(**changed))
    assert told in sentence


def test_a_version_that_lets_somebody_in_widens() -> None:
    before = state(models=NARROWER)
    assert widenings(before, IN_FORCE) == ("agent bot gains infer on fraud-detector@v3",)


@pytest.mark.parametrize("label", ["rbac.authorization.k8s.io/aggregate-to-admin", "team"])
def test_a_role_that_may_join_another_widens(label: str) -> None:
    role = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: extra, labels: {%s}}\nrules: []\n"
    )
    bare, joined = role % "", role % f'{label}: "true"'
    before, after = (state(platform__net__extra=text) for text in (bare, joined))
    assert len(widenings(before, after)) == 1
    assert widenings(after, before) == ()


def test_a_network_policy_that_is_added_widens_where_it_lets_anything_through() -> None:
    added = POLICIES.replace("name: closed", "name: added")
    assert given(platform__net__added=added) == ()
    opened = added.replace("[Ingress]", "[Ingress], ingress: [{}]")
    (told,) = given(platform__net__added=opened)
    assert "NetworkPolicy.networking.k8s.io/team-risk/added lets through" in told


BRAKE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: brake}
spec:
  groups: [owners, sales]
  allow: [{resources: [pods], verbs: [get], namespaces: [x]}]
  unless: [{labels: {team: risk}, actions: [promote]}]
"""


@pytest.mark.parametrize(
    ("changed", "groups"),
    [
        (BRAKE.replace("owners, ", ""), ["owners"]),
        (BRAKE.replace("  unless: [{labels: {team: risk}, actions: [promote]}]\n", ""), None),
        (None, None),
    ],
)
def test_whom_a_restriction_binds_no_more_has_gained(
    changed: str | None, groups: list[str] | None
) -> None:
    before, after = state(brake=BRAKE), state(brake=changed)
    assert widenings(before, after) == tuple(
        f"group {group} is no longer kept from promote on models with team=risk"
        for group in groups or ["owners", "sales"]
    )
    assert not only_narrows(before, after)


def test_without_its_own_rule_a_break_glass_needs_what_wider_access_does() -> None:
    stricter = POLICY_IN_FORCE.replace(
        "people: {", "breakGlass: {count: 2, by: [platform]}\n    people: {"
    )
    assert widenings(state(fairlead=stricter), IN_FORCE) == ("a BreakGlass needs other approvals",)
    assert given(fairlead=stricter) == ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("{required: true}", "{required: false}", "commits need no signature any more"),
        ("count: 1", "count: 2", None),
        ("[platform]}", "[platform, sales]}", "wider access needs other approvals"),
        ("    widerAccess: {count: 1, by: [platform]}\n", "", "wider access needs other"),
        ("[grace]", "[grace, ada]", "ada may approve as platform"),
        ("[grace]", "[linus]", "linus may approve as platform"),
        ("[grace]", "[]", None),
        ("team-*, ", "team-*, kube-system, ", "the policy allows namespace kube-system"),
        ("ClusterRole.rbac.authorization.k8s.io, ", "", None),
        ("people: {", "breakGlass: {count: 1, by: [sales]}\n    people: {", "a BreakGlass needs"),
        ("{fleet: acme}}", "{fleet: acme}, names: [other]}", "the policy allows cluster other"),
    ],
)
def test_the_policy_loosens_where_it_lets_through_more(
    before: str, after: str, told: str | None
) -> None:
    found = given(fairlead=POLICY_IN_FORCE.replace(before, after))
    assert any(told in sentence for sentence in found) if told else found == ()


def test_secrets_that_may_be_named_are_any_where_none_is_listed() -> None:
    place = "secrets: [{namespaces: [team-*], from: ['vault:kv/*']}], kinds"
    listed = state(fairlead=POLICY_IN_FORCE.replace("kinds", place, 1))
    assert widenings(IN_FORCE, listed) == ()
    assert widenings(listed, IN_FORCE) == ("the policy allows other secrets",)


def test_every_field_of_the_policy_is_looked_at_or_gives_nobody_anything() -> None:
    """One that is added has to be thought of in loosening.py."""
    looked_at = "signatures approvals owners ignore authorizer allow clusters defaults"
    harmless = "manifests exclude deletion_budget release"
    assert RepositorySpec.model_fields.keys() == {*looked_at.split(), *harmless.split()}
    assert Allowance.model_fields.keys() == {"namespaces", "kinds", "secrets"}
    assert Approvals.model_fields.keys() == {"wider_access", "break_glass", "people"}


def test_owners_and_ignored_fields_have_no_direction() -> None:
    owned = POLICY_IN_FORCE + "  owners: [{path: models, owners: [platform]}]\n"
    free = POLICY_IN_FORCE + "  ignore: [{kind: Service, fields: [/spec/ports]}]\n"
    assert given(fairlead=owned) == ("others answer for paths of the repository",)
    assert len(given(fairlead=free)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"models": NARROWER},
        {"bot": None, "models": NARROWER},
        {"roles": OWNER.replace("team: risk", "team: other")},
    ],
)
def test_what_only_takes_access_only_narrows(changed: dict[str, str | None]) -> None:
    assert only_narrows(IN_FORCE, state(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"models": NARROWER, "platform__net__settings": config_map("settings", value="2")},
        {"models": NARROWER, "rollouts": ROLLOUT.replace("version: v3", "version: v4")},
        {"models": NARROWER, "fairlead": POLICY_IN_FORCE.replace("count: 1", "count: 2")},
        {"models": NARROWER, "roles": OWNER.replace("[infer]", "[infer, promote]")},
        {"models": NARROWER.replace("port: 8000", "port: 8001")},
    ],
)
def test_whatever_else_changes_is_more_than_narrowing(changed: dict[str, str | None]) -> None:
    assert not only_narrows(IN_FORCE, state(**changed))


def test_the_revert_of_a_narrowing_widens_and_that_of_a_widening_narrows() -> None:
    narrowed = state(models=NARROWER)
    assert only_narrows(IN_FORCE, narrowed)
    assert widenings(narrowed, IN_FORCE)
    assert not only_narrows(narrowed, IN_FORCE)
