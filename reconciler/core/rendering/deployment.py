"""Render the Deployment of one version of a model.

Separate from the container, because replicas, updates and placement are decided by other needs
than what runs inside. The invariant: an update of a running version never takes a replica away
before another is ready, and its pods pass the `restricted` pod security level.
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

from datetime import timedelta

from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.container import (
    MODEL_VOLUME,
    TMP_VOLUME,
    device_names,
    model_container,
)
from reconciler.core.rendering.release import Release
from reconciler.core.rendering.secret_delivery import pod_parts

DRAIN = timedelta(seconds=10)
"""How long a replica keeps serving after it was told to stop: gateways learn of it later."""

SETTLE = timedelta(seconds=3)
"""How long a replica is ready before it counts as available, and traffic goes to a new version. A
gateway that has not heard of a version's first replica answers its requests with 503."""

_GRACE = timedelta(seconds=60)
"""Time from the order to stop until the kill, draining included: long answers may finish."""

_REVISIONS_KEPT = 2
"""Git is the history; these are for reading what `kubectl rollout history` says."""


def deployment(release: Release) -> JsonObject:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": release.metadata(),
        "spec": {
            "replicas": release.replicas,
            "revisionHistoryLimit": _REVISIONS_KEPT,
            "minReadySeconds": int(SETTLE.total_seconds()),
            "progressDeadlineSeconds": health_seconds(release),
            "strategy": _strategy(release),
            "selector": {"matchLabels": release.selector()},
            "template": {
                "metadata": {
                    "labels": release.pod_labels(),
                    "annotations": {**scraping(release), **pod_parts(release).annotations},
                },
                "spec": pod_spec(release, drained_container(release), _model_volume(release)),
            },
        },
    }


def health_seconds(release: Release) -> int:
    """How long a replica may take to become available, in whole seconds. Kubernetes wants it longer
    than `SETTLE`."""
    return max(
        int(SETTLE.total_seconds()) + 1, int(release.defaults.health_timeout.total_seconds())
    )


def _strategy(release: Release) -> JsonObject:
    strategy = release.rollout.spec.strategy
    if strategy is not None and strategy.recreate is not None:
        return {"type": "Recreate"}
    return rolling_update()


def rolling_update() -> JsonObject:
    """An update that takes no replica away before another one is ready."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def scraping(release: Release) -> JsonObject:
    """The annotations by which Prometheus is commonly told what to scrape."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(release.container.port),
        "prometheus.io/path": release.model.spec.serving.signals.path,
    }


def pod_spec(release: Release, container: JsonObject, *volumes: JsonValue) -> JsonObject:
    """What runs the container. `volumes` are those besides the one for /tmp."""
    spec: JsonObject = {
        "serviceAccountName": release.rollout.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": int(_GRACE.total_seconds()),
        "topologySpreadConstraints": [
            _spread(release, "kubernetes.io/hostname"),
            _spread(release, "topology.kubernetes.io/zone"),
        ],
        "containers": [container],
        "volumes": [
            {"name": TMP_VOLUME, "emptyDir": {}},
            *volumes,
            *pod_parts(release).volumes,
        ],
    }
    if tolerations := _tolerations(release):
        spec["tolerations"] = tolerations
    return spec


def drained_container(release: Release) -> JsonObject:
    """The container, which goes on serving for a while after it was told to stop."""
    return model_container(release, drain=DRAIN, startup_seconds=health_seconds(release))


def _model_volume(release: Release) -> JsonObject:
    reference = release.version.artifact.reference
    image: JsonObject = {"reference": reference, "pullPolicy": "IfNotPresent"}
    return {"name": MODEL_VOLUME, "image": image}


def _spread(release: Release, topology_key: str) -> JsonObject:
    """Spread where possible; a replica that cannot be spread still runs."""
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": release.selector()},
    }


def _tolerations(release: Release) -> list[JsonValue]:
    """Nodes with devices are tainted by the device's name so that only those who ask get on."""
    return [
        {"key": name, "operator": "Exists", "effect": "NoSchedule"}
        for name in device_names(release)
    ]
