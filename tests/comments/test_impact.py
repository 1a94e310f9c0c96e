"""What merging would touch, and how risky that is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.identifiers import ObjectKey
from reconciler.core.plans import Action, Change, ClusterPlan
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.impact import Amount, Risk
from tests.desired.builders import MODEL, ROLLOUT
from tests.presenting.builders import (
    PRODUCTION,
    STAGING,
    change,
    drifted,
    limits,
    manifest,
    role_binding,
    stale,
    unverified,
)

from .builders import (
    CANARY,
    GATES,
    OWNER,
    POLICY_WITH_RBAC,
    REQUEST,
    case_of,
    planned,
    risk_team,
    state,
)

GPUS = MODEL.replace(
    "      port: 8000\n", "      port: 8000\n      resources: {limits: {nvidia.com/gpu: 2}}\n"
)


def test_a_canary_tells_its_steps_gates_and_the_warm_version() -> None:
    impact = case_of(state(**risk_team()), state(**risk_team(version="v4"))).impact
    [rollout] = impact.rollouts
    assert (rollout.model, rollout.before, rollout.after) == ("fraud-detector", "v3", "v4")
    assert rollout.clusters == ("production-1", "staging-1")
    assert rollout.steps[1:] == (
        "5 % of the requests",
        "25 % of the requests",
        "approval by product-owner",
        "all requests",
    )
    assert (rollout.gates, rollout.waves) == (("errors",), 2)
    assert rollout.keep_warm == timedelta(hours=1)
    assert impact.risk is Risk.MEDIUM


def test_a_version_that_moves_at_once_is_a_high_risk() -> None:
    before, after = (state(**risk_team(version=v, rollout=ROLLOUT)) for v in ("v3", "v4"))
    impact = case_of(before, after).impact
    assert impact.risk is Risk.HIGH
    assert "fraud-detector goes from v3 to v4 at once, for all requests" in words(impact)


def test_steps_without_a_gate_are_a_high_risk() -> None:
    rollout = CANARY.replace("  gates: [errors]\n", "")
    before, after = (state(**risk_team(version=v, rollout=rollout)) for v in ("v3", "v4"))
    assert case_of(before, after).impact.risk is Risk.HIGH


def test_a_model_that_would_no_longer_run_is_a_high_risk() -> None:
    gone = risk_team()
    del gone["rollouts"]
    impact = case_of(state(**risk_team()), state(**gone)).impact
    assert "fraud-detector v3 would no longer run" in words(impact)
    assert impact.risk is Risk.HIGH


def test_the_first_rollout_moves_nobody() -> None:
    without = risk_team()
    del without["rollouts"]
    impact = case_of(state(**without), state(**risk_team())).impact
    [rollout] = impact.rollouts
    assert (rollout.before, rollout.moves, rollout.steps) == ("", False, ())


def test_devices_are_counted_before_during_and_after() -> None:
    before = state(**risk_team(model=GPUS))
    after = state(**risk_team(model=GPUS, version="v4"))
    impact = case_of(before, after).impact
    assert impact.devices == (("nvidia.com/gpu", Amount(8, 16, 8)),)
    assert impact.replicas == Amount(4, 8, 4)


def test_more_devices_are_a_reason() -> None:
    impact = case_of(state(**risk_team()), state(**risk_team(model=GPUS))).impact
    assert "it needs 8 more nvidia.com/gpu" in words(impact)


def test_what_does_not_change_touches_nothing() -> None:
    same = state(**risk_team())
    impact = case_of(same, same).impact
    assert (impact.clusters, impact.models, impact.rollouts, impact.access) == ((), (), (), ())
    assert impact.risk is Risk.LOW


def test_approvals_that_are_given_change_no_way() -> None:
    given = CANARY + "  approved: [{version: v3, step: 4, by: product-owner}]\n"
    impact = case_of(state(**risk_team()), state(**risk_team(rollout=given))).impact
    assert impact.rollouts == ()


ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: team-risk}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""
BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: team-risk}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: analysts}
"""


def sentence(change: AccessChange) -> str:
    where = f" in {', '.join(change.clusters)}" if change.clusters else ""
    return f"{change.who} {'gains' if change.gains else 'loses'} {change.what}{where}"


def sentences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    states = (state(policy=POLICY_WITH_RBAC, **files) for files in (before, after))
    return [sentence(change) for change in case_of(*states).impact.access]


def test_a_new_binding_says_who_gains_what_and_where() -> None:
    assert sentences({}, {"platform__risk__a": BINDING}) == [
        "group analysts gains Role reader in namespace team-risk in production-1, staging-1"
    ]


def test_a_subject_that_goes_loses_the_role() -> None:
    more = BINDING + "- {kind: ServiceAccount, name: bot, namespace: team-risk}\n"
    assert sentences({"platform__risk__a": more}, {"platform__risk__a": BINDING}) == [
        "service account team-risk/bot loses Role reader in namespace team-risk in production-1, "
        "staging-1"
    ]


def test_verbs_that_are_added_are_told_together_and_alone() -> None:
    more = ROLE.replace("[get]", "[get, watch, list]")
    assert sentences({"platform__risk__a": ROLE}, {"platform__risk__a": more}) == [
        "whoever has Role team-risk/reader gains list, watch on pods in production-1, staging-1"
    ]


def test_documents_of_access_are_told_as_well() -> None:
    wider = OWNER.replace("[infer]", "[infer, promote]").replace(
        "[product-owners]", "[product-owners, leads]"
    )
    states = (state(**{**risk_team(), "roles": roles}) for roles in (OWNER, wider))
    assert [sentence(change) for change in case_of(*states).impact.access] == [
        "Role product-owner gains promote on fraud-detector@v3 and fraud-detector@v4",
        "group leads gains Role product-owner",
    ]


def test_a_restriction_takes_access() -> None:
    loose = OWNER.replace("[infer]", "[infer, promote]")
    tighter = loose + "  unless: [{labels: {tier: restricted}, actions: [promote]}]\n"
    states = (state(**{**risk_team(), "roles": roles}) for roles in (loose, tighter))
    assert [sentence(change) for change in case_of(*states).impact.access] == [
        "Role product-owner loses promote on fraud-detector@v3 and fraud-detector@v4"
    ]


def test_access_to_a_version_is_told() -> None:
    wider = MODEL.replace(
        "  - name: v4\n", "  - name: v4\n    access: {inference: [product-owner]}\n"
    )
    impact = case_of(state(**risk_team()), state(**risk_team(model=wider))).impact
    assert [sentence(change) for change in impact.access] == [
        "Role product-owner gains infer on fraud-detector@v4"
    ]
    assert impact.risk is Risk.HIGH


def deleted(kind: str = "ConfigMap", *, name: str = "x", group: str = "") -> Change:
    return change(Action.DELETE, before=manifest(kind, name, group=group))


@pytest.mark.parametrize(
    ("cluster", "risk"),
    [
        (ClusterPlan(STAGING), Risk.LOW),
        (ClusterPlan(STAGING, drift=(drifted(),)), Risk.LOW),
        (ClusterPlan(STAGING, changes=(limits(),)), Risk.MEDIUM),
        (ClusterPlan(STAGING, changes=(deleted(),)), Risk.MEDIUM),
        (ClusterPlan(STAGING, unverified=(unverified(),)), Risk.MEDIUM),
        (ClusterPlan(STAGING, changes=tuple(deleted(name=f"x{n}") for n in range(11))), Risk.HIGH),
        (ClusterPlan(STAGING, changes=(deleted("PersistentVolumeClaim"),)), Risk.HIGH),
        (ClusterPlan(STAGING, changes=(deleted("StatefulSet", group="apps"),)), Risk.HIGH),
        (ClusterPlan(STAGING, changes=(role_binding(),)), Risk.HIGH),
        (ClusterPlan(STAGING, changes=(replace(limits(), force=True),)), Risk.HIGH),
        (ClusterPlan(STAGING, waiting=(stale(),)), Risk.HIGH),
    ],
    ids=lambda found: found.name if isinstance(found, Risk) else "",
)
def test_the_risk_is_that_of_the_worst_reason(cluster: ClusterPlan, risk: Risk) -> None:
    assert planned(ClusterPlan(PRODUCTION), cluster).impact.risk is risk


def test_a_plan_that_asked_no_cluster_is_a_high_risk() -> None:
    case = planned(ClusterPlan(STAGING), request=replace(REQUEST, offline=True))
    assert case.impact.risk is Risk.HIGH


def test_a_change_of_the_policy_is_a_high_risk() -> None:
    impact = case_of(state(), state(policy=POLICY_WITH_RBAC)).impact
    assert words(impact) == ["it changes the policy that judges what comes after"]
    assert impact.risk is Risk.HIGH


def test_a_gate_that_judges_otherwise_is_a_reason() -> None:
    weaker = {**risk_team(), "gates": GATES.replace("1%", "9%")}
    impact = case_of(state(**risk_team()), state(**weaker)).impact
    assert words(impact) == ["gate errors would judge otherwise"]


def test_objects_that_both_commits_declare_alike_are_counted_apart() -> None:
    case = planned(ClusterPlan(STAGING, changes=(limits(),)))
    assert case.impact.late == 1
    assert "1 object is written, for a cluster is not yet as the base declares" in case.comment()


def test_what_the_commits_declare_otherwise_is_not_late() -> None:
    assert case_of(state(**risk_team()), state(**risk_team(version="v4"))).impact.late == 0


def test_what_restarts_is_named() -> None:
    impact = planned(ClusterPlan(STAGING, changes=(limits(),))).impact
    assert impact.restarts == (ObjectKey("apps", "Deployment", "team-risk", "server"),)


def words(impact: object) -> list[str]:
    return [reason.words for reason in impact.reasons]  # type: ignore[attr-defined]
