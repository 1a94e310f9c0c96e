"""Builders of plans and status, with every part that a reader may have to see."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.audit.records import Reason
from reconciler.core.errors import Cause
from reconciler.core.fields import ABSENT, FieldChange
from reconciler.core.identifiers import (
    ClusterName,
    CommitSha,
    Digest,
    DocumentPath,
    ObjectKey,
    UnitName,
)
from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.ordering import Wave
from reconciler.core.plans import (
    Action,
    Change,
    ClusterPlan,
    Deletions,
    Plan,
    Refusal,
    Unverified,
    Waiting,
    WaitReason,
)
from reconciler.core.problems import Span
from reconciler.core.rendering.release import MODEL_LABEL, VERSION_LABEL

BASE = CommitSha("a" * 40)
HEAD = CommitSha("b" * 40)
STAGING = ClusterName("staging")
PRODUCTION = ClusterName("production")
FRAUD = UnitName("rollout/fraud-detector")
TEAM = UnitName("manifests/platform/team-risk")


def manifest(kind: str, name: str, *, group: str = "", version: str = "", **rest: str) -> Manifest:
    """An object in team-risk. `version` is that of the model fraud-detector."""
    labels: JsonObject = {MODEL_LABEL: "fraud-detector", VERSION_LABEL: version} if version else {}
    body: JsonObject = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "team-risk", "labels": labels},
        "data": dict(rest),
    }
    return manifest_of(body, Source(DocumentPath("rollouts/risk/fraud-detector.yaml"), Span(2, 1)))


def change(
    action: Action,
    *,
    before: Manifest | None = None,
    after: Manifest | None = None,
    unit: UnitName = FRAUD,
    wave: Wave = Wave.CONFIGURATION,
    **rest: object,
) -> Change:
    found = after or before
    assert found is not None
    made = Change(
        unit=unit,
        key=found.key,
        api_version=found.type.api_version,
        action=action,
        reason=Reason.COMMIT,
        wave=wave,
        stage=0,
        commit=HEAD,
        desired=after,
        previous=before,
    )
    return replace(made, **rest)  # type: ignore[arg-type]


def plan(*clusters: ClusterPlan, notices: tuple[str, ...] = ()) -> Plan:
    return Plan("ml-platform", BASE, HEAD, clusters, notices)


def new_version() -> tuple[Change, ...]:
    """The model goes from v2 to v3: workload and Service anew, traffic moved."""
    old = manifest("Deployment", "fraud-v2", group="apps", version="v2")
    new = manifest("Deployment", "fraud-v3", group="apps", version="v3")
    route = "gateway.networking.k8s.io"
    return (
        change(Action.CREATE, after=new, wave=Wave.WORKLOADS),
        change(
            Action.UPDATE,
            before=manifest("HTTPRoute", "fraud", group=route, version="v2"),
            after=manifest("HTTPRoute", "fraud", group=route, version="v3"),
            wave=Wave.WIDENING,
            fields=(
                FieldChange(".spec.rules[0].backendRefs[name=fraud-v2]", {"port": 80}, ABSENT),
                FieldChange(".spec.rules[0].backendRefs[name=fraud-v3]", ABSENT, {"port": 80}),
            ),
            hidden=3,
        ),
        change(Action.DELETE, before=old, wave=Wave.DELETION),
    )


def role_binding() -> Change:
    return change(
        Action.CREATE,
        after=manifest("RoleBinding", "readers", group="rbac.authorization.k8s.io"),
        unit=TEAM,
        wave=Wave.WIDENING,
    )


def limits(value: int = 5) -> Change:
    """A change of a Deployment whose pods restart."""
    found = manifest("Deployment", "server", group="apps")
    return change(
        Action.UPDATE,
        before=found,
        after=found,
        unit=TEAM,
        wave=Wave.WORKLOADS,
        fields=(FieldChange(".spec.template.spec.replicas", 3, value),),
        hidden=14,
        restarts=True,
    )


def drifted() -> Change:
    found = manifest("ConfigMap", "limits")
    return change(
        Action.UPDATE,
        before=found,
        after=found,
        unit=TEAM,
        reason=Reason.DRIFT,
        fields=(FieldChange(".data.rate", "900", "60"),),
    )


def conflict() -> Refusal:
    return Refusal(
        TEAM,
        ObjectKey("", "ConfigMap", "team-risk", "limits"),
        "conflict",
        "apply ConfigMap/team-risk/limits: another manager sets .data.rate",
        (Cause(".data.rate", "conflict with hpa", "hpa-controller"),),
        "platform/team-risk/limits.yaml:1",
    )


def unverified() -> Unverified:
    key = ObjectKey("", "ConfigMap", "team-new", "limits")
    return Unverified(TEAM, key, "the plan creates namespace team-new")


def stale(unit: UnitName = FRAUD) -> Waiting:
    return Waiting(unit, WaitReason.CLUSTER_STALE, "the connection was refused")


def over_budget() -> Deletions:
    return Deletions(
        count=30,
        of=40,
        identity=Digest("sha256:" + "c" * 64),
        excess="30 of 40 objects would be lost, the budget is 4",
    )
