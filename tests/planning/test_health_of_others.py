"""Health of everything that runs nothing itself, told from its status."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def accepted(generation: int = 2, **statuses: str) -> list[JsonObject]:
    return [
        {**condition(name, status, message=f"{name}: {status}"), "observedGeneration": generation}
        for name, status in statuses.items()
    ]


def route(*answers: list[JsonObject], parents: int = 1) -> Health:
    references = [{"name": f"gateway-{number}"} for number in range(parents)]
    status = {
        "parents": [
            {"parentRef": references[number], "conditions": conditions}
            for number, conditions in enumerate(answers)
        ]
    }
    return health_of(live(GATEWAY, "HTTPRoute", spec={"parentRefs": references}, status=status))


def test_a_claim_is_not_waited_for_because_a_later_pod_may_bind_it() -> None:
    pending = health_of(live("v1", "PersistentVolumeClaim", status={"phase": "Pending"}))
    assert (pending.condition, pending.gate) == (IN_PROGRESS, False)
    bound = health_of(live("v1", "PersistentVolumeClaim", status={"phase": "Bound"}))
    assert bound.condition is CURRENT
    lost = health_of(live("v1", "PersistentVolumeClaim", status={"phase": "Lost"}))
    assert lost.condition is FAILED


def test_a_load_balancer_without_an_address_is_in_progress_and_not_waited_for() -> None:
    body = live("v1", "Service", spec={"type": "LoadBalancer"}, status={"loadBalancer": {}})
    assert (health_of(body).condition, health_of(body).gate) == (IN_PROGRESS, False)
    body["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert health_of(body).condition is CURRENT


def test_a_service_inside_the_cluster_is_current() -> None:
    body = live("v1", "Service", spec={"type": "ClusterIP"}, status={"loadBalancer": {}})
    assert health_of(body).condition is CURRENT


def test_a_quota_is_current_once_it_is_enforced() -> None:
    body = live("v1", "ResourceQuota", spec={"hard": {"pods": "4"}}, status={})
    assert health_of(body).condition is IN_PROGRESS
    body["status"] = {"hard": {"pods": "4"}, "used": {"pods": "1"}}
    assert health_of(body).condition is CURRENT


def test_a_disruption_budget_is_current_once_computed() -> None:
    body = live("policy/v1", "PodDisruptionBudget", spec={})
    assert health_of(body).condition is IN_PROGRESS
    body["status"] = {"observedGeneration": 2}
    assert health_of(body).condition is CURRENT


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], IN_PROGRESS),
        ([condition("Established", "False", "Installing")], IN_PROGRESS),
        ([condition("Established")], CURRENT),
        ([condition("Established", "False", "NotAccepted")], FAILED),
        ([condition("NamesAccepted", "False", "PluralConflict")], FAILED),
    ],
)
def test_a_definition_is_current_once_established(
    conditions: list[JsonObject], expected: Condition
) -> None:
    body = live(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", status={"conditions": conditions}
    )
    assert health_of(body).condition is expected


def test_a_namespace_is_current_while_active() -> None:
    assert health_of(live("v1", "Namespace", status={"phase": "Active"})).condition is CURRENT
    assert health_of(live("v1", "Namespace", status={})).condition is IN_PROGRESS


def test_an_api_service_is_current_while_available() -> None:
    kind = ("apiregistration.k8s.io/v1", "APIService")
    assert health_of(live(*kind)).condition is IN_PROGRESS
    for status, expected in (("True", CURRENT), ("False", IN_PROGRESS)):
        body = live(*kind, status={"conditions": [condition("Available", status)]})
        assert health_of(body).condition is expected


def test_a_route_that_no_controller_answers_for_is_in_progress_and_not_waited_for() -> None:
    health = route()
    assert health == Health(IN_PROGRESS, "no gateway controller has accepted it yet", gate=False)


def test_a_route_that_every_parent_accepts_is_current() -> None:
    yes = accepted(Accepted="True", ResolvedRefs="True")
    assert route(yes, yes, parents=2).condition is CURRENT
    assert route(yes, parents=2).condition is IN_PROGRESS


@pytest.mark.parametrize(
    "answer",
    [
        accepted(Accepted="False", ResolvedRefs="True"),
        accepted(Accepted="True", ResolvedRefs="False"),
        accepted(1, Accepted="True", ResolvedRefs="True"),
    ],
)
def test_a_route_that_a_controller_has_not_taken_in_is_waited_for(answer: list[JsonObject]) -> None:
    health = route(answer)
    assert (health.condition, health.gate) == (IN_PROGRESS, True)


def test_an_answer_for_a_parent_of_before_is_ignored() -> None:
    refused, yes = accepted(Accepted="False"), accepted(Accepted="True", ResolvedRefs="True")
    body = live(
        GATEWAY,
        "HTTPRoute",
        spec={"parentRefs": [{"name": "new"}]},
        status={
            "parents": [
                {"parentRef": {"name": "old"}, "conditions": refused},
                {"parentRef": {"name": "new", "namespace": "x"}, "conditions": yes},
            ]
        },
    )
    assert health_of(body).condition is CURRENT


def test_a_gateway_with_the_conditions_it_was_born_with_is_not_waited_for() -> None:
    pending = [condition(name, "Unknown", "Pending") for name in ("Accepted", "Programmed")]
    health = health_of(live(GATEWAY, "Gateway", status={"conditions": pending}))
    assert (health.condition, health.gate) == (IN_PROGRESS, False)


def test_a_gateway_is_current_once_programmed() -> None:
    for status, expected in (("True", CURRENT), ("False", IN_PROGRESS)):
        conditions = accepted(Accepted="True", Programmed=status)
        body = live(GATEWAY, "Gateway", status={"conditions": conditions})
        assert health_of(body).condition is expected


KSERVE = ("serving.kserve.io/v1beta1", "InferenceService")


def test_an_inference_service_is_current_once_ready() -> None:
    assert health_of(live(*KSERVE)).condition is IN_PROGRESS
    ready = live(*KSERVE, status={"conditions": [condition("Ready")]})
    assert health_of(ready).condition is CURRENT


def test_the_generation_that_kserve_tells_is_that_of_another_object() -> None:
    status = {"observedGeneration": 7, "conditions": [condition("Ready")]}
    assert health_of(live(*KSERVE, status=status)).condition is CURRENT


@pytest.mark.parametrize(
    ("told", "expected", "words"),
    [
        ([], IN_PROGRESS, "looked at this version"),
        ([("v1", True, 5)], IN_PROGRESS, "looked at this version"),
        ([("v2", True, 0)], IN_PROGRESS, "looked at this version"),
        ([("v2", False, 5)], IN_PROGRESS, "canary v2 is not ready"),
        ([("v2", True, 5)], CURRENT, ""),
    ],
)
def test_an_inference_service_is_current_once_its_canaries_are_as_declared(
    told: list[tuple[str, bool, int]], expected: Condition, words: str
) -> None:
    statuses = [{"name": n, "ready": ready, "trafficPercent": p} for n, ready, p in told]
    status = {"conditions": [condition("Ready")], "canaryStatuses": statuses}
    spec = {"canary": [{"predictor": {"name": "v2"}, "trafficPercent": 5}]}
    health = health_of(live(*KSERVE, spec=spec, status=status))
    assert health.condition is expected
    assert words in health.explanation


def test_a_canary_without_requests_may_be_down() -> None:
    statuses = [{"name": "v2", "ready": False, "trafficPercent": 0}]
    status = {"conditions": [condition("Ready")], "canaryStatuses": statuses}
    spec = {"canary": [{"predictor": {"name": "v2"}, "trafficPercent": 0}]}
    assert health_of(live(*KSERVE, spec=spec, status=status)).condition is CURRENT


def test_an_inference_service_whose_model_cannot_be_loaded_has_failed() -> None:
    model = {
        "transitionStatus": "BlockedByFailedLoad",
        "lastFailureInfo": {"message": "no such file"},
    }
    body = live("serving.kserve.io/v1beta1", "InferenceService", status={"modelStatus": model})
    assert health_of(body) == Health(FAILED, "no such file")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], CURRENT),
        ([condition("Ready")], CURRENT),
        ([condition("Ready", "False")], IN_PROGRESS),
        ([condition("Ready", "Unknown")], IN_PROGRESS),
        ([condition("Ready"), condition("Reconciling")], IN_PROGRESS),
        ([condition("Ready", "False"), condition("Stalled")], FAILED),
        ([condition("Ready"), condition("Stalled", "False")], CURRENT),
    ],
)
def test_the_standard_conditions_decide_for_kinds_without_a_rule(
    conditions: list[JsonObject], expected: Condition
) -> None:
    body = live("example.com/v1", "Thing", status={"conditions": conditions})
    assert health_of(body).condition is expected


def test_an_object_being_deleted_is_terminating_whatever_its_status() -> None:
    body = live("example.com/v1", "Thing", status={"conditions": [condition("Ready")]})
    cast(JsonObject, body["metadata"])["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert health_of(body).condition is Condition.TERMINATING


def test_configuration_is_current_by_being_there() -> None:
    body = orjson.loads((OBSERVED / "configmap.json").read_bytes())
    assert health_of(body).condition is CURRENT


def test_an_explanation_is_cut_to_what_people_read() -> None:
    body = live(
        "example.com/v1", "Thing", status={"conditions": [condition("Stalled", message="x" * 9999)]}
    )
    assert len(health_of(body).explanation) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
STATUS_FIELDS = (
    "conditions",
    "parents",
    "phase",
    "replicas",
    "observedGeneration",
    "containerStatuses",
    "modelStatus",
    "canaryStatuses",
    "loadBalancer",
    "hard",
)


@given(
    kind=st.sampled_from(
        [
            ("v1", "Pod"),
            ("v1", "Service"),
            ("v1", "ResourceQuota"),
            ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
            ("batch/v1", "Job"),
            (GATEWAY, "HTTPRoute"),
            (GATEWAY, "Gateway"),
            ("serving.kserve.io/v1beta1", "InferenceService"),
            ("example.com/v1", "Thing"),
        ]
    ),
    status=st.dictionaries(st.sampled_from(STATUS_FIELDS), json_values) | json_values,
    spec=json_values,
)
def test_no_status_however_malformed_stops_the_watch(
    kind: tuple[str, str], status: JsonValue, spec: JsonValue
) -> None:
    body = live(*kind, status=status, spec=spec)
    assert health_of(body).condition in Condition
