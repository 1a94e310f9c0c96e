"""Uptimes: whether the replicas of the version that is judged are up, by what runs them.

Separate from sighting.py, because each runtime has its own signs of it. The invariant: what is not
known is not up, and not down either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from reconciler.core.desired import Unit
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.kserve import service_of
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.version_objects import workloads_of
from reconciler.core.statuses import Condition, conditions_of, holds, part, parts
from reconciler.engine.observing import ClusterObserver


@dataclass(frozen=True, slots=True)
class Uptime:
    """`down`: fewer than half are up. `refused` says why they never will, `trouble` why nobody
    knows."""

    ready: bool = False
    down: bool = False
    refused: str = ""
    trouble: str = ""


class Uptimes(Protocol):
    """Tells it for one runtime, from memory."""

    def uptime(self, unit: Unit, target: Target, observer: ClusterObserver) -> Uptime:
        """Of a version in the cluster of a unit, which is as staged."""
        ...


class WorkloadUptimes:
    """By the workloads of a version. Implements Uptimes."""

    def uptime(self, unit: Unit, target: Target, observer: ClusterObserver) -> Uptime:
        workloads = workloads_of(unit, target.version)
        return Uptime(
            ready=bool(workloads) and all(is_current(observer, key) for key in workloads),
            down=any(_is_down(observer, key) for key in workloads),
        )


class InferenceServiceUptimes:
    """By what KServe says of a version. Implements Uptimes.

    It calls a canary ready when one replica is: how many are is not told.
    """

    def uptime(self, unit: Unit, target: Target, observer: ClusterObserver) -> Uptime:
        key = service_of(unit)
        live = observer.get(key) if key is not None else None
        if key is None or live is None:
            return Uptime(down=key is not None)
        up = _is_ready(live.body, target.version)
        return Uptime(ready=up and is_current(observer, key), down=not up)


def _is_ready(service: JsonObject, version: str) -> bool:
    status = part(service, "status")
    if part(part(service, "spec"), "predictor").get("name") == version:
        return holds(conditions_of(status), "PredictorReady", "True")
    told = parts(status, "canaryStatuses")
    return any(one.get("name") == version and one.get("ready") is True for one in told)


def is_current(observer: ClusterObserver, key: ObjectKey) -> bool:
    live = observer.get(key)
    return live is not None and live.health.condition is Condition.CURRENT


def _is_down(observer: ClusterObserver, key: ObjectKey) -> bool:
    """Whether fewer than half of the replicas are up. One that restarts is no failure."""
    live = observer.get(key)
    if live is None:
        return True
    if key.kind != "Deployment":
        return live.health.condition is not Condition.CURRENT
    spec = cast(JsonObject, live.body["spec"])
    status = cast(JsonObject, live.body.get("status") or {})
    wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
    return 2 * cast(int, available) < cast(int, wanted)
