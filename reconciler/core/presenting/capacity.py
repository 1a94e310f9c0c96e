"""Capacity: how many replicas a commit asks for, and how many devices such as GPUs they take.

Separate because it reads objects of several kinds that run pods and nothing else of them. The
invariant: what is not understood counts as nothing here and never as less than before, so that a
difference is one of declared numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.manifests import JsonValue, Manifest
from reconciler.core.rendering.container import is_device
from reconciler.core.statuses import count, part, parts

_REPLICATED: Final = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
_SERVED: Final = "InferenceService"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Replicas, and the devices that all of them ask for, by resource name."""

    replicas: int = 0
    devices: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Capacity) -> Capacity:
        devices = Counter(self.devices)
        devices.update(other.devices)
        return Capacity(self.replicas + other.replicas, dict(devices))


def capacity_of(manifests: Iterable[Manifest]) -> Capacity:
    """What these objects ask for together, once all of them run."""
    total = Capacity()
    for manifest in manifests:
        if manifest.key.kind in _REPLICATED or manifest.key.kind == _SERVED:
            total += _capacity(manifest)
    return total


def _capacity(manifest: Manifest) -> Capacity:
    spec = part(manifest.body, "spec")
    if manifest.key.kind == _SERVED:
        predictor = part(spec, "predictor")
        replicas = count(predictor, "minReplicas", 1)
        containers = [*parts(predictor, "containers"), part(predictor, "model")]
    else:
        replicas = count(spec, "replicas", 1)
        containers = parts(part(part(spec, "template"), "spec"), "containers")
    devices: Counter[str] = Counter()
    for container in containers:
        for name, amount in part(part(container, "resources"), "limits").items():
            if is_device(name):
                devices[name] += replicas * _whole(amount)
    return Capacity(replicas, {name: found for name, found in devices.items() if found})


def _whole(amount: JsonValue) -> int:
    """Devices are whole; the API server refuses another amount."""
    text = str(amount)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
