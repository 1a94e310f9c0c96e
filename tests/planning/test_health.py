"""Health of workloads, told from their status."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pytest

from reconciler.core.health import Condition, Health, health_of
from reconciler.core.manifests import JsonObject, JsonValue

OBSERVED = Path(__file__).parent / "observed"
GATEWAY = "gateway.networking.k8s.io/v1"

CURRENT, IN_PROGRESS, FAILED = Condition.CURRENT, Condition.IN_PROGRESS, Condition.FAILED


def live(api_version: str, kind: str, *, generation: int = 2, **parts: object) -> JsonObject:
    metadata = {"name": "x", "generation": generation}
    return cast(
        JsonObject, {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}
    )


def condition(name: str, status: str = "True", reason: str = "", message: str = "") -> JsonObject:
    return {"type": name, "status": status, "reason": reason, "message": message}


def deployment(
    *conditions: JsonObject, observed: int = 2, spec: JsonObject | None = None, **replicas: int
) -> Health:
    counts = {"replicas": 3, "updated": 3, "available": 3, "ready": 3, **replicas}
    status: dict[str, object] = {
        "observedGeneration": observed,
        "conditions": [
            condition("Available"),
            condition("Progressing", reason="NewReplicaSetAvailable"),
            *conditions,
        ],
        "replicas": counts.pop("replicas"),
        **{f"{name}Replicas": count for name, count in counts.items()},
    }
    wanted = {"replicas": 3, "progressDeadlineSeconds": 600, **(spec or {})}
    return health_of(live("apps/v1", "Deployment", spec=wanted, status=status))


def stateful_set(*, spec: JsonObject | None = None, **changes: JsonValue) -> Health:
    status: JsonObject = {
        "observedGeneration": 2,
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": "b",
        "updateRevision": "b",
        **changes,
    }
    wanted = {"replicas": 2, **(spec or {})}
    return health_of(live("apps/v1", "StatefulSet", spec=wanted, status=status))


def pod(phase: str, *conditions: JsonObject, waiting: str = "") -> Health:
    state: JsonObject = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    containers = [{"name": "model", "state": state}]
    status = {"phase": phase, "conditions": list(conditions), "containerStatuses": containers}
    return health_of(live("v1", "Pod", status=status))


def job(*conditions: JsonObject, **status: object) -> Health:
    return health_of(
        live("batch/v1", "Job", spec={}, status={"conditions": list(conditions), **status})
    )


def test_a_deployment_with_all_replicas_of_its_version_is_current() -> None:
    assert deployment() == Health(CURRENT, "3 of 3 replicas available")


@pytest.mark.parametrize(
    ("replicas", "explanation"),
    [
        ({"replicas": 1}, "1 of 3 replicas created"),
        ({"updated": 2}, "2 of 3 replicas updated"),
        ({"available": 2}, "2 of 3 replicas available"),
        ({"ready": 2}, "2 of 3 replicas ready"),
        ({"replicas": 4}, "1 replicas of before are still there"),
    ],
)
def test_a_deployment_short_of_something_says_of_what(
    replicas: dict[str, int], explanation: str
) -> None:
    assert deployment(**replicas) == Health(IN_PROGRESS, explanation)


def test_a_status_of_an_earlier_generation_counts_for_nothing() -> None:
    assert deployment(observed=1).condition is IN_PROGRESS


def test_a_workload_that_no_controller_has_seen_is_in_progress() -> None:
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        body = live("apps/v1", kind, spec={"replicas": 0})
        assert health_of(body).condition is IN_PROGRESS


def test_a_deployment_past_its_deadline_has_failed_with_the_reason() -> None:
    late = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out")
    assert deployment(late, available=1) == Health(FAILED, "has timed out")


def test_a_deployment_whose_pods_are_refused_says_why() -> None:
    refused = condition("ReplicaFailure", message="exceeded quota: gpus")
    assert deployment(refused, replicas=1).explanation.endswith("created: exceeded quota: gpus")


def test_a_deployment_is_not_current_before_it_reports_so() -> None:
    progressing = condition("Progressing", reason="ReplicaSetUpdated")
    assert deployment(progressing).condition is IN_PROGRESS
    assert deployment(condition("Available", "False")).condition is IN_PROGRESS


def test_a_paused_deployment_says_that_it_is_paused() -> None:
    assert "paused" in deployment(updated=1, spec={"paused": True}).explanation


def test_a_deployment_scaled_to_nothing_is_current() -> None:
    empty = deployment(spec={"replicas": 0}, replicas=0, updated=0, available=0, ready=0)
    assert empty.condition is CURRENT


def test_a_real_deployment_without_nodes_is_in_progress() -> None:
    body = orjson.loads((OBSERVED / "deployment.json").read_bytes())
    assert health_of(body) == Health(IN_PROGRESS, "0 of 2 replicas available")


def test_a_stateful_set_with_all_replicas_of_its_revision_is_current() -> None:
    assert stateful_set().condition is CURRENT


@pytest.mark.parametrize(
    "changes",
    [{"replicas": 1}, {"readyReplicas": 1}, {"updatedReplicas": 1}, {"currentRevision": "a"}],
)
def test_a_stateful_set_short_of_something_is_in_progress(changes: dict[str, JsonValue]) -> None:
    assert stateful_set(**changes).condition is IN_PROGRESS


def test_a_stateful_set_is_updated_above_its_partition_only() -> None:
    partitioned: JsonObject = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
    health = stateful_set(spec=partitioned, updatedReplicas=1, currentRevision="a")
    assert health.condition is CURRENT


def test_a_stateful_set_that_people_update_is_current() -> None:
    by_hand: JsonObject = {"updateStrategy": {"type": "OnDelete"}}
    assert stateful_set(spec=by_hand, updatedReplicas=0).condition is CURRENT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", CURRENT),
        ("currentNumberScheduled", IN_PROGRESS),
        ("updatedNumberScheduled", IN_PROGRESS),
        ("numberAvailable", IN_PROGRESS),
        ("numberReady", IN_PROGRESS),
    ],
)
def test_a_daemon_set_runs_on_every_node(name: str, expected: Condition) -> None:
    status = dict.fromkeys(
        (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberReady",
        ),
        3,
    )
    status |= {"observedGeneration": 2} | ({name: 2} if name else {})
    assert health_of(live("apps/v1", "DaemonSet", status=status)).condition is expected


def test_a_replica_set_counts_what_is_available() -> None:
    status = {
        "observedGeneration": 2,
        "replicas": 1,
        "fullyLabeledReplicas": 1,
        "availableReplicas": 1,
        "readyReplicas": 1,
    }
    assert health_of(live("apps/v1", "ReplicaSet", status=status)).condition is CURRENT
    status["availableReplicas"] = 0
    assert health_of(live("apps/v1", "ReplicaSet", status=status)).condition is IN_PROGRESS


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (pod("Running", condition("Ready")), CURRENT),
        (pod("Running", condition("Ready", "False")), IN_PROGRESS),
        (pod("Succeeded"), CURRENT),
        (pod("Failed"), FAILED),
        (pod("Running", waiting="CrashLoopBackOff"), FAILED),
        (pod("Pending", waiting="CrashLoopBackOff"), FAILED),
        (pod("Pending", waiting="ImagePullBackOff"), IN_PROGRESS),
        (pod("Pending", condition("PodScheduled", "False", "Unschedulable")), IN_PROGRESS),
        (pod("Unknown"), Condition.UNKNOWN),
        (health_of(live("v1", "Pod")), IN_PROGRESS),
    ],
)
def test_the_phase_and_containers_of_a_pod_decide(health: Health, expected: Condition) -> None:
    assert health.condition is expected


def test_a_waiting_pod_names_the_container_and_the_reason() -> None:
    assert pod("Pending", waiting="ImagePullBackOff").explanation == (
        "waits for model: ImagePullBackOff"
    )


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (job(), IN_PROGRESS),
        (job(startTime="2026-01-01T00:00:00Z", active=1), CURRENT),
        (job(condition("Complete"), succeeded=1), CURRENT),
        (job(condition("Suspended")), CURRENT),
        (job(condition("Failed", message="too many retries")), FAILED),
    ],
)
def test_a_job_does_what_it_declares_once_it_runs(health: Health, expected: Condition) -> None:
    assert health.condition is expected
