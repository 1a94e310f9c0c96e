"""What controllers would say about an object: the status that follows a write.

Separate so that a test chooses how workloads fare without knowing how the cluster stores them.
The invariant: a status function is pure, and an object whose status it leaves alone (None) keeps
the one it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from reconciler.core.manifests import JsonObject, JsonValue

StatusFunction: TypeAlias = Callable[[JsonObject], "JsonObject | None"]
"""Given an object after a write to its spec, the status it gets at once."""


def becomes_ready(body: JsonObject) -> JsonObject | None:
    """Everything works immediately: the default."""
    match body.get("kind"):
        case "Deployment":
            available = _replicas(body)
            return _deployment(body, available=available, progressing="NewReplicaSetAvailable")
        case "StatefulSet":
            return _stateful_set(body)
        case "DaemonSet":
            return _observed(body, desiredNumberScheduled=1, updatedNumberScheduled=1) | {
                "numberAvailable": 1,
                "numberReady": 1,
            }
        case "Job":
            return {"succeeded": 1, "conditions": [_condition("Complete", "True", "Done")]}
        case "Namespace":
            return {"phase": "Active"}
        case "PodDisruptionBudget":
            return _observed(body, disruptionsAllowed=1)
        case "PersistentVolumeClaim":
            return {"phase": "Bound"}
        case "ResourceQuota":
            spec = cast(JsonObject, body.get("spec") or {})
            return {"hard": spec.get("hard") or {}, "used": {}}
        case "CustomResourceDefinition":
            return {
                "conditions": [
                    _condition("NamesAccepted", "True", "NoConflicts"),
                    _condition("Established", "True", "InitialNamesAccepted"),
                ]
            }
        case "HTTPRoute":
            return _route(body)
        case _:
            return None


def never_becomes_ready(body: JsonObject) -> JsonObject | None:
    """Workloads are seen by their controller and start nothing; the rest is ready."""
    if body.get("kind") == "Deployment":
        return _deployment(body, available=0, progressing="ReplicaSetUpdated")
    if body.get("kind") == "StatefulSet":
        return _observed(body, replicas=_replicas(body), readyReplicas=0)
    return becomes_ready(body)


def exceeds_progress_deadline(body: JsonObject) -> JsonObject | None:
    """Deployments have given up; the rest is ready."""
    if body.get("kind") == "Deployment":
        return _deployment(body, available=0, progressing="ProgressDeadlineExceeded")
    return becomes_ready(body)


def _condition(type_: str, status: str, reason: str) -> JsonObject:
    return {"type": type_, "status": status, "reason": reason, "message": ""}


def _generation(body: JsonObject) -> JsonValue:
    return cast(JsonObject, body["metadata"]).get("generation", 1)


def _replicas(body: JsonObject) -> int:
    return cast(int, cast(JsonObject, body.get("spec") or {}).get("replicas", 1))


def _observed(body: JsonObject, **fields: int) -> JsonObject:
    return {"observedGeneration": _generation(body), **fields}


def _deployment(body: JsonObject, *, available: int, progressing: str) -> JsonObject:
    replicas = _replicas(body)
    gave_up = progressing == "ProgressDeadlineExceeded"
    is_available = "True" if available >= replicas else "False"
    return {
        "observedGeneration": _generation(body),
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": replicas - available,
        "conditions": [
            _condition("Available", is_available, "MinimumReplicas"),
            _condition("Progressing", "False" if gave_up else "True", progressing),
        ],
    }


def _stateful_set(body: JsonObject) -> JsonObject:
    replicas = _replicas(body)
    return _observed(
        body,
        replicas=replicas,
        readyReplicas=replicas,
        currentReplicas=replicas,
        updatedReplicas=replicas,
        availableReplicas=replicas,
    ) | {"currentRevision": "1", "updateRevision": "1"}


def _route(body: JsonObject) -> JsonObject:
    spec = cast(JsonObject, body.get("spec") or {})
    generation = _generation(body)
    conditions: list[JsonValue] = [
        {**_condition(type_, "True", type_), "observedGeneration": generation}
        for type_ in ("Accepted", "ResolvedRefs")
    ]
    parents: list[JsonValue] = [
        {"parentRef": parent, "controllerName": "example.com/gateway", "conditions": conditions}
        for parent in cast("list[JsonValue]", spec.get("parentRefs") or [])
    ]
    return {"parents": parents}
