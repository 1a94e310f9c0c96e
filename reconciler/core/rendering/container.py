"""Render the container that serves a model.

Separate from the Deployment around it. The invariant: it cannot write outside /tmp, gain a
privilege, or get a request before it says that it is ready; and its memory has a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from reconciler.core.kinds.serving import Resources
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.networking import PORT_NAME
from reconciler.core.rendering.release import Release
from reconciler.core.rendering.secret_delivery import pod_parts

TMP_VOLUME = "tmp"
MODEL_VOLUME = "model"

_CONTAINER_NAME = "model"
_LEAST_REQUESTS: Mapping[str, str] = {"cpu": "500m", "memory": "1Gi"}
"""For models that say nothing, so that the scheduler never takes one for free."""

_STARTUP_PERIOD = 5
_READINESS: JsonObject = {"periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3}
# Slow to restart: loading weights takes minutes, and a busy server may answer late.
_LIVENESS: JsonObject = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6}


def model_container(release: Release, *, drain: timedelta, startup_seconds: int) -> JsonObject:
    given, secrets = release.container, pod_parts(release)
    container: JsonObject = {
        "name": _CONTAINER_NAME,
        "image": given.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": PORT_NAME, "containerPort": given.port, "protocol": "TCP"}],
        "env": [*secrets.environment, *_environment(given.env)],
        "resources": _resources(release),
        "startupProbe": {
            **_probe(given.probes.readiness),
            "periodSeconds": _STARTUP_PERIOD,
            "timeoutSeconds": 2,
            "failureThreshold": max(1, startup_seconds // _STARTUP_PERIOD),
        },
        "readinessProbe": {**_probe(given.probes.readiness), **_READINESS},
        "livenessProbe": {**_probe(given.probes.liveness), **_LIVENESS},
        "lifecycle": {"preStop": {"sleep": {"seconds": int(drain.total_seconds())}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": TMP_VOLUME, "mountPath": "/tmp"},  # noqa: S108 - a path in the container
            {
                "name": MODEL_VOLUME,
                "mountPath": release.model.spec.serving.model_mount,
                "readOnly": True,
            },
            *secrets.mounts,
        ],
    }
    if given.command:
        container["command"] = list(given.command)
    if given.args:
        container["args"] = list(given.args)
    return container


def device_names(release: Release) -> tuple[str, ...]:
    """Extended resources that the container asks for, such as `nvidia.com/gpu`."""
    given = _given_resources(release)
    names = {*given.requests, *given.limits}
    return tuple(sorted(name for name in names if is_device(name)))


def _probe(path: str) -> JsonObject:
    return {"httpGet": {"path": path, "port": PORT_NAME}}


def _environment(given: Mapping[str, str]) -> list[JsonValue]:
    """In the order of the document: a value may refer to an earlier one as `$(NAME)`.

    Caches of model servers go below HOME, and nothing but /tmp can be written to.
    """
    complete = given if "HOME" in given else {"HOME": "/tmp", **given}  # noqa: S108
    return [{"name": name, "value": value} for name, value in complete.items()]


def _given_resources(release: Release) -> Resources:
    return release.container.resources or release.defaults.resources


def _resources(release: Release) -> JsonObject:
    """Requests and limits, with what was left out.

    A request left out equals its limit. Memory is limited to its request when nothing else is
    said, and CPU is not: a limit would throttle a model that has idle cores beside it. Kubernetes
    wants request and limit of a device to be equal.
    """
    given = _given_resources(release)
    requests: JsonObject = {name: str(amount) for name, amount in given.requests.items()}
    limits: JsonObject = {name: str(amount) for name, amount in given.limits.items()}
    requests = {**_LEAST_REQUESTS, **limits, **requests}
    limits.setdefault("memory", requests["memory"])
    for name in requests:
        if is_device(name):
            limits.setdefault(name, requests[name])
    return {"requests": requests, "limits": limits}


def is_device(resource: str) -> bool:
    """Whether nodes have a number of them to give, such as `nvidia.com/gpu`."""
    domain, separator, _ = resource.partition("/")
    return bool(separator) and not domain.endswith("kubernetes.io")
