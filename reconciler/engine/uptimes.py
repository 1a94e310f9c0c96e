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
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.version_objects import workloads_of
from reconciler.core.statuses import Condition
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
