"""Change requests to comment on, with the states that their commits declare."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.desired import DesiredState
from reconciler.core.intent import intent_plan
from reconciler.core.plans import ClusterPlan, Plan
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.impact import Impact, impact
from reconciler.core.presenting.plan_comment import BUDGET, plan_comment
from reconciler.core.presenting.plan_view import PlanView, plan_view
from tests.desired.builders import MODEL, POLICY, ROLLOUT, compiled, repository
from tests.presenting.builders import BASE, HEAD

CANARY = (
    ROLLOUT
    + """\
  strategy:
    canary:
      steps:
      - cohort: {header: x-cohort, value: internal}
      - weight: 5%
      - weight: 25%
      - approval: {by: [product-owner]}
      - weight: 100%
  gates: [errors]
"""
)
GATES = """\
apiVersion: fairlead.dev/v1alpha1
kind: Gate
metadata: {name: errors}
spec: {errorRate: {atMost: 1%, confidence: 99%}}
"""
OWNER = """\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: product-owner}
spec:
  groups: [product-owners]
  allow: [{models: {labels: {team: risk}}, actions: [infer]}]
"""
_GATEWAY = "  defaults: {gateway: {name: public, namespace: gateways}}\n"
POLICY_WITH_RBAC = POLICY.replace(
    "monitoring]}",
    "monitoring], kinds: [Role.rbac.authorization.k8s.io, RoleBinding.rbac.authorization.k8s.io]}",
)
REQUEST = Request(head=HEAD, base=BASE, url="https://fairlead.example.com/pr/7")


def state(*, policy: str = POLICY, **files: str) -> DesiredState:
    """What a repository with these files declares."""
    tree: dict[str, str | bytes] = dict(repository(**files))
    tree["fairlead.yaml"] = policy + _GATEWAY
    return compiled(tree).state


def risk_team(*, version: str = "v3", rollout: str = CANARY, model: str = MODEL) -> dict[str, str]:
    return {
        "models": model,
        "rollouts": rollout.replace("version: v3", f"version: {version}"),
        "gates": GATES,
        "roles": OWNER,
    }


@dataclass(frozen=True)
class Case:
    """A plan with what it comes from."""

    plan: Plan
    before: DesiredState | None
    after: DesiredState
    request: Request = REQUEST

    @property
    def view(self) -> PlanView:
        return plan_view(self.plan)

    @property
    def impact(self) -> Impact:
        return impact(self.plan, self.before, self.after, offline=self.request.offline)

    def comment(self, *, budget: int = BUDGET) -> str:
        return plan_comment(self.view, self.impact, request=self.request, budget=budget)


def case_of(before: DesiredState, after: DesiredState, *, request: Request = REQUEST) -> Case:
    """From two states: what they declare otherwise."""
    return Case(intent_plan(before, after), before, after, request)


def planned(*clusters: ClusterPlan, request: Request = REQUEST, **rest: object) -> Case:
    """From parts of a plan, where both commits declare the same."""
    same = state()
    plan = replace(Plan("ml-platform", BASE, HEAD, clusters), **rest)  # type: ignore[arg-type]
    return Case(plan, same, same, request)
