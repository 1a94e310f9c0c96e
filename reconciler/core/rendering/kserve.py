"""Render the InferenceService of a rollout: KServe runs the versions and divides their requests.

Separate from the Deployment, because one object holds all versions here, and KServe makes workload,
Services and route of it. The invariant: what the replicas of a version run follows from that
version alone, so that KServe restarts none of them when another version or another commit comes.

KServe lays a canary over the predictor, copies labels and annotations of the InferenceService to
its pods, and gives the predictor, but no canary, a CPU limit where there is none. Whatever may
differ is therefore said in the predictor itself.
https://github.com/kserve/kserve/blob/master/pkg/controller/v1beta1/inferenceservice/components/predictor.go
"""

from __future__ import annotations

from typing import Any, cast

from reconciler.core.manifests import COMMIT_ANNOTATION, SOURCE_ANNOTATION, JsonObject
from reconciler.core.rendering.availability import disruption_budget
from reconciler.core.rendering.container import MODEL_VOLUME
from reconciler.core.rendering.deployment import (
    drained_container,
    pod_spec,
    rolling_update,
    scraping,
)
from reconciler.core.rendering.release import ROLLOUT_LABEL, Release
from reconciler.core.rendering.secret_delivery import pod_parts

INFERENCE_SERVICE = ("serving.kserve.io", "InferenceService")
"""Group and kind."""

INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""On every pod that KServe runs: the name of its InferenceService."""

_CONTAINER_NAME = "kserve-container"
_ARTIFACT_VARIABLE = "STORAGE_URI"
_ELSEWHERE = "see the InferenceService"


def inference_service(release: Release) -> JsonObject:
    """With the release alone; the canaries are the position's to say.

    They are declared from the beginning, if as none, so that a cluster whose KServe has no
    canaries says so about the first commit, and nobody else comes to own them.
    """
    annotations: JsonObject = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {**release.shared_metadata(), "annotations": annotations},
        "spec": {"predictor": _predictor(release), "canary": []},
    }


def shared_disruption_budget(release: Release) -> JsonObject:
    """One for the replicas of all versions: KServe makes none."""
    return disruption_budget(release.shared_metadata(), {ROLLOUT_LABEL: release.rollout.name})


def predictor_service(rollout: str, version: str) -> str:
    """The name that KServe gives to the Deployment and the Service of a version."""
    return f"{rollout}-{version}-predictor"


def _predictor(release: Release) -> JsonObject:
    labels = cast(JsonObject, release.shared_metadata()["labels"])
    return {
        "name": release.version.name,
        "minReplicas": release.replicas,
        "labels": {**labels, **release.pod_labels()},
        "annotations": {
            **scraping(release),
            **pod_parts(release).annotations,
            COMMIT_ANNOTATION: _ELSEWHERE,
            SOURCE_ANNOTATION: _ELSEWHERE,
        },
        "deploymentStrategy": rolling_update(),
        **pod_spec(release, _container(release)),
    }


def _container(release: Release) -> JsonObject:
    body: dict[str, Any] = drained_container(release)
    artifact = {"name": _ARTIFACT_VARIABLE, "value": str(release.version.artifact)}
    others = [entry for entry in body["env"] if entry["name"] != _ARTIFACT_VARIABLE]
    resources = body["resources"]
    limits = {"cpu": resources["requests"]["cpu"], **resources["limits"]}
    return {
        **body,
        "name": _CONTAINER_NAME,
        "env": [*others, artifact],
        "resources": {**resources, "limits": limits},
        "volumeMounts": [mount for mount in body["volumeMounts"] if mount["name"] != MODEL_VOLUME],
    }
