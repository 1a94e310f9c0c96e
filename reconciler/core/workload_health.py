"""Health of what runs: the rules for the workloads of Kubernetes itself.

Separate from the other rules because these count replicas. The invariant: a workload is CURRENT
only when everything it wants runs in its present version and nothing of an earlier one is left.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/status/core.go
"""

from __future__ import annotations

from reconciler.core.manifests import JsonObject
from reconciler.core.statuses import (
    Condition,
    Health,
    Subject,
    conditions_of,
    count,
    holds,
    part,
    parts,
    said,
)


def deployment(subject: Subject) -> Health:
    conditions = conditions_of(subject.status)
    progressing = conditions.get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Health(Condition.FAILED, said(progressing, "progress deadline exceeded"))
    wanted = count(subject.spec, "replicas", 1)
    lag = _lag(
        (wanted, count(subject.status, "replicas"), "replicas created"),
        (wanted, count(subject.status, "updatedReplicas"), "replicas updated"),
        (wanted, count(subject.status, "availableReplicas"), "replicas available"),
        (wanted, count(subject.status, "readyReplicas"), "replicas ready"),
    )
    if lag and subject.spec.get("paused"):
        return Health(Condition.IN_PROGRESS, f"{lag}; the rollout is paused")
    if lag:
        failure = conditions.get("ReplicaFailure", {})
        reason = f": {said(failure, '')}" if failure.get("status") == "True" else ""
        return Health(Condition.IN_PROGRESS, f"{lag}{reason}")
    if (extra := count(subject.status, "replicas") - wanted) > 0:
        return Health(Condition.IN_PROGRESS, f"{extra} replicas of before are still there")
    # Without a deadline the controller does not report progress.
    settled = "progressDeadlineSeconds" not in subject.spec or (
        progressing.get("reason") == "NewReplicaSetAvailable"
    )
    if not settled or not holds(conditions, "Available", "True"):
        return Health(Condition.IN_PROGRESS, "the rollout is not reported complete yet")
    return Health(Condition.CURRENT, f"{wanted} of {wanted} replicas available")


def stateful_set(subject: Subject) -> Health:
    strategy = part(subject.spec, "updateStrategy")
    if strategy.get("type") == "OnDelete":
        return Health(Condition.CURRENT, "pods are replaced when somebody deletes them")
    wanted = count(subject.spec, "replicas", 1)
    partition = count(part(strategy, "rollingUpdate"), "partition")
    # kstatus waits for ready replicas; available ones have also been ready for minReadySeconds.
    lag = _lag(
        (wanted, count(subject.status, "replicas"), "replicas created"),
        (wanted - partition, count(subject.status, "updatedReplicas"), "replicas updated"),
        (wanted, count(subject.status, "readyReplicas"), "replicas ready"),
        (wanted, count(subject.status, "availableReplicas"), "replicas available"),
    )
    if lag:
        return Health(Condition.IN_PROGRESS, lag)
    if (extra := count(subject.status, "replicas") - wanted) > 0:
        return Health(Condition.IN_PROGRESS, f"{extra} replicas of before are still there")
    current, updated = (subject.status.get(f"{name}Revision") for name in ("current", "update"))
    if not partition and current != updated:
        return Health(Condition.IN_PROGRESS, "the new revision is not reported complete yet")
    return Health(Condition.CURRENT, f"{wanted} of {wanted} replicas available")


def daemon_set(subject: Subject) -> Health:
    wanted = count(subject.status, "desiredNumberScheduled")
    steps = [
        (wanted, count(subject.status, "currentNumberScheduled"), "pods created"),
        (wanted, count(subject.status, "updatedNumberScheduled"), "pods updated"),
        (wanted, count(subject.status, "numberAvailable"), "pods available"),
        (wanted, count(subject.status, "numberReady"), "pods ready"),
    ]
    if part(subject.spec, "updateStrategy").get("type") == "OnDelete":
        del steps[1]
    if lag := _lag(*steps):
        return Health(Condition.IN_PROGRESS, lag)
    return Health(Condition.CURRENT, f"{wanted} of {wanted} pods available")


def replica_set(subject: Subject) -> Health:
    failure = conditions_of(subject.status).get("ReplicaFailure", {})
    if failure.get("status") == "True":
        return Health(Condition.IN_PROGRESS, said(failure, "pods cannot be created"))
    wanted = count(subject.spec, "replicas", 1)
    lag = _lag(
        (wanted, count(subject.status, "fullyLabeledReplicas"), "replicas labelled"),
        (wanted, count(subject.status, "availableReplicas"), "replicas available"),
        (wanted, count(subject.status, "readyReplicas"), "replicas ready"),
    )
    if lag:
        return Health(Condition.IN_PROGRESS, lag)
    if (extra := count(subject.status, "replicas") - wanted) > 0:
        return Health(Condition.IN_PROGRESS, f"{extra} replicas of before are still there")
    return Health(Condition.CURRENT, f"{wanted} of {wanted} replicas available")


def pod(subject: Subject) -> Health:
    conditions = conditions_of(subject.status)
    waiting = _waiting_containers(subject.status)
    match subject.status.get("phase"):
        case "Succeeded":
            return Health(Condition.CURRENT, "completed")
        case "Failed":
            # kstatus calls it Current, for being final. It is no success.
            return Health(Condition.FAILED, said(subject.status, "a container failed"))
        case "Running" if holds(conditions, "Ready", "True"):
            return Health(Condition.CURRENT, "ready")
        case "Running" | "Pending" if crashing := _in_state(waiting, "CrashLoopBackOff"):
            return Health(Condition.FAILED, f"crashes again and again: {', '.join(crashing)}")
        case "Running" | "Pending" if waiting:
            reasons = (f"{name}: {reason}" for name, reason in waiting.items())
            return Health(Condition.IN_PROGRESS, f"waits for {', '.join(reasons)}")
        case "Pending" if holds(conditions, "PodScheduled", "False"):
            # kstatus fails it after 15 s; a node may still come, and a wave has its own limit.
            return Health(Condition.IN_PROGRESS, said(conditions["PodScheduled"], "unscheduled"))
        case "Pending" | "Running" | None:
            return Health(Condition.IN_PROGRESS, "not ready yet")
        case phase:
            return Health(Condition.UNKNOWN, f"its phase is {phase}")


def _waiting_containers(status: JsonObject) -> dict[str, str]:
    """Reasons of the containers that wait for something, by name."""
    waiting: dict[str, str] = {}
    for name in ("initContainerStatuses", "containerStatuses"):
        for container in parts(status, name):
            reason = part(part(container, "state"), "waiting").get("reason")
            if reason not in (None, "ContainerCreating", "PodInitializing"):
                waiting[str(container.get("name"))] = str(reason)
    return waiting


def _in_state(waiting: dict[str, str], reason: str) -> list[str]:
    return [name for name, why in waiting.items() if why == reason]


def job(subject: Subject) -> Health:
    conditions = conditions_of(subject.status)
    wanted = count(subject.spec, "completions", count(subject.spec, "parallelism", 1))
    succeeded = count(subject.status, "succeeded")
    if holds(conditions, "Failed", "True"):
        return Health(Condition.FAILED, said(conditions["Failed"], "failed"))
    if holds(conditions, "Complete", "True"):
        return Health(Condition.CURRENT, f"completed, {succeeded} of {wanted}")
    if holds(conditions, "Suspended", "True"):
        return Health(Condition.CURRENT, "suspended")
    if not subject.status.get("startTime"):
        return Health(Condition.IN_PROGRESS, "not started yet")
    # A job that runs does what it declares: a wave does not wait out a training run.
    return Health(Condition.CURRENT, f"running, {succeeded} of {wanted} completed")


def _lag(*steps: tuple[int, int, str]) -> str:
    """The first step of which there is less than wanted."""
    for wanted, have, what in steps:
        if have < wanted:
            return f"{have} of {wanted} {what}"
    return ""
