"""Health: does an object do what it declares, told from its status alone.

Separate because plans, waves and pages must call the same state by the same name. The rules are
those of kstatus, which Flux and Config Sync follow too; where ours differ, the rule says so.
The invariant: what cannot be read is not CURRENT, and nothing here looks at a clock, so that the
same object always has the same health.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, cast

from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.statuses import (
    Condition,
    Health,
    Subject,
    conditions_of,
    holds,
    part,
    parts,
    said,
)
from reconciler.core.workload_health import (
    daemon_set,
    deployment,
    job,
    pod,
    replica_set,
    stateful_set,
)

__all__ = ["Condition", "Health", "health_of"]

_Rule: TypeAlias = Callable[[Subject], Health]
"""The generation is known to be observed where the status tells it."""

_CURRENT: Final = Health(Condition.CURRENT, "as declared")
_TERMINATING: Final = Health(Condition.TERMINATING, "is being deleted")
_UNOBSERVED: Final = Health(Condition.IN_PROGRESS, "no controller has looked at this version yet")
_UNROUTED: Final = Health(
    Condition.IN_PROGRESS, "no gateway controller has accepted it yet", gate=False
)


def health_of(body: JsonObject) -> Health:
    """The health of a live object.

    A kind without a status, which most configuration is, costs under 1 µs.
    """
    metadata = cast(JsonObject, body["metadata"])
    if metadata.get("deletionTimestamp"):
        return _TERMINATING
    group = cast(str, body["apiVersion"]).rpartition("/")[0]
    kind = (group, cast(str, body["kind"]))
    rule = _RULES.get(kind)
    status = body.get("status")
    if not isinstance(status, dict):
        if rule is None:
            return _CURRENT
        status = {}
    observed = status.get("observedGeneration") if kind not in _TELL_ANOTHER else None
    if observed is None:
        if kind in _TELL_GENERATION:
            return _UNOBSERVED
    elif observed != metadata.get("generation", observed):
        return _UNOBSERVED
    if declared := _declared(status):
        return declared
    subject = Subject(part(body, "spec"), status, metadata.get("generation"))
    return (rule or _by_ready)(subject)


def _declared(status: JsonObject) -> Health | None:
    """What the two conditions say that kstatus reserved for exactly this."""
    if "conditions" not in status:
        return None
    conditions = conditions_of(status)
    if holds(conditions, "Stalled", "True"):
        return Health(Condition.FAILED, said(conditions["Stalled"], "stalled"))
    if holds(conditions, "Reconciling", "True"):
        return Health(Condition.IN_PROGRESS, said(conditions["Reconciling"], "reconciling"))
    return None


def _by_ready(subject: Subject) -> Health:
    """Kinds without a rule: their Ready condition, and without one nothing is amiss."""
    ready = conditions_of(subject.status).get("Ready")
    return _CURRENT if ready is None else _by_condition(ready)


def _by_condition(condition: JsonObject) -> Health:
    if condition.get("status") == "True":
        return _CURRENT
    name = condition.get("type")
    return Health(Condition.IN_PROGRESS, said(condition, f"{name} is {condition.get('status')}"))


def _volume_claim(subject: Subject) -> Health:
    match subject.status.get("phase"):
        case "Bound":
            return Health(Condition.CURRENT, "bound")
        case "Lost":
            return Health(Condition.FAILED, "its volume is lost")
        case _:
            # No gate: with volumeBindingMode WaitForFirstConsumer it is bound only once a pod of
            # a later wave uses it, and that pod is waited for.
            return Health(Condition.IN_PROGRESS, "not bound to a volume yet", gate=False)


def _service(subject: Subject) -> Health:
    balanced = part(subject.status, "loadBalancer").get("ingress")
    if subject.spec.get("type") != "LoadBalancer" or balanced:
        return _CURRENT
    # No gate: a cluster may have no implementation of load balancers, and kstatus asks for none.
    return Health(Condition.IN_PROGRESS, "has no load balancer address yet", gate=False)


def _disruption_budget(subject: Subject) -> Health:
    allowed = conditions_of(subject.status).get("DisruptionAllowed", {})
    if allowed.get("reason") == "SyncFailed":
        return Health(Condition.IN_PROGRESS, said(allowed, "cannot be computed"), gate=False)
    return _CURRENT


def _quota(subject: Subject) -> Health:
    # kstatus has no rule. Admission enforces the limits in the status; a controller copies them.
    if subject.status.get("hard", {}) == subject.spec.get("hard", {}):
        return Health(Condition.CURRENT, "enforced")
    return Health(Condition.IN_PROGRESS, "not enforced yet")


def _definition(subject: Subject) -> Health:
    conditions = conditions_of(subject.status)
    if holds(conditions, "NamesAccepted", "False"):
        return Health(Condition.FAILED, said(conditions["NamesAccepted"], "names are taken"))
    established = conditions.get("Established", {})
    if established.get("status") == "True":
        return Health(Condition.CURRENT, "established")
    failed = established.get("status") == "False" and established.get("reason") != "Installing"
    explanation = said(established, "the server does not serve it yet")
    return Health(Condition.FAILED if failed else Condition.IN_PROGRESS, explanation)


def _namespace(subject: Subject) -> Health:
    if subject.status.get("phase") == "Active":
        return Health(Condition.CURRENT, "active")
    phase = subject.status.get("phase", "not set yet")
    return Health(Condition.IN_PROGRESS, f"its phase is {phase}")


def _api_service(subject: Subject) -> Health:
    available = conditions_of(subject.status).get("Available")
    return _UNOBSERVED if available is None else _by_condition(available)


def _route(subject: Subject) -> Health:
    """Routes of the Gateway API: every parent that a controller answers for accepts them."""
    wanted = {_parent(parent) for parent in parts(subject.spec, "parentRefs")}
    answered = set()
    for answer in parts(subject.status, "parents"):
        parent = _parent(part(answer, "parentRef"))
        # A controller may not have taken back its answer for an earlier parent yet.
        if parent in wanted:
            answered.add(parent)
            conditions = conditions_of(answer)
            if unmet := _unmet(conditions, ("Accepted", "ResolvedRefs"), subject.generation):
                return unmet
    return _CURRENT if answered == wanted else _UNROUTED


def _parent(reference: JsonObject) -> tuple[str, ...]:
    # Not the namespace: the reference leaves it out where it is the route's own.
    return tuple(str(reference.get(name)) for name in ("name", "sectionName", "port"))


def _gateway(subject: Subject) -> Health:
    conditions = conditions_of(subject.status)
    return _unmet(conditions, ("Accepted", "Programmed"), subject.generation) or _CURRENT


def _gateway_class(subject: Subject) -> Health:
    return _unmet(conditions_of(subject.status), ("Accepted",), subject.generation) or _CURRENT


def _unmet(
    conditions: dict[str, JsonObject], names: Iterable[str], generation: JsonValue
) -> Health | None:
    """The first of some Gateway API conditions that does not hold for this generation.

    One that is false is not a failure yet: a backend or a listener may be about to come.
    """
    for name in names:
        condition = conditions.get(name)
        # The definitions give a new object these conditions with the reason Pending.
        pending = {"status": "Unknown", "reason": "Pending"}
        if condition is None or pending.items() <= condition.items():
            return _UNROUTED
        if condition.get("observedGeneration", generation) != generation:
            return _UNOBSERVED
        if condition.get("status") != "True":
            return _by_condition(condition)
    return None


def _inference_service(subject: Subject) -> Health:
    model = part(subject.status, "modelStatus")
    if model.get("transitionStatus") in ("InvalidSpec", "BlockedByFailedLoad"):
        failure = part(model, "lastFailureInfo")
        return Health(Condition.FAILED, said(failure, "the model cannot be loaded"))
    ready = conditions_of(subject.status).get("Ready")
    # kstatus takes a resource without the condition for current; a model is loaded first.
    if ready is None or (lag := _canary_lag(subject)) is None:
        return _UNOBSERVED
    return Health(Condition.IN_PROGRESS, lag) if lag else _by_condition(ready)


def _canary_lag(subject: Subject) -> str | None:
    """What the canaries lack; empty when nothing. None: the controller saw others than these.

    Ready does not tell: KServe leaves requests with the predictor while a canary is not up.
    """
    told = parts(subject.status, "canaryStatuses")
    seen = [(one.get("name"), one.get("trafficPercent")) for one in told]
    canaries = parts(subject.spec, "canary")
    if seen != [(part(c, "predictor").get("name"), c.get("trafficPercent")) for c in canaries]:
        return None
    late = [one.get("name") for one in told if one.get("trafficPercent") and not one.get("ready")]
    return f"canary {late[0]} is not ready" if late else ""


_GATEWAY: Final = "gateway.networking.k8s.io"

_RULES: Final[dict[tuple[str, str], _Rule]] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("", "Pod"): pod,
    ("", "ResourceQuota"): _quota,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
    ("apps", "DaemonSet"): daemon_set,
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("batch", "Job"): job,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
    ("serving.kserve.io", "InferenceService"): _inference_service,
    (_GATEWAY, "Gateway"): _gateway,
    (_GATEWAY, "GatewayClass"): _gateway_class,
    **{
        (_GATEWAY, f"{protocol}Route"): _route for protocol in ("HTTP", "GRPC", "TLS", "TCP", "UDP")
    },
}

# KServe copies the generation that a Deployment of its making has.
_TELL_ANOTHER: Final = frozenset({("serving.kserve.io", "InferenceService")})

# Their controllers always say which generation they looked at: silence means not yet.
_TELL_GENERATION: Final = frozenset(
    {
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("policy", "PodDisruptionBudget"),
    }
)
