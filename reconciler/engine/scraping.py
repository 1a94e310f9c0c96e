"""Scraping: one look at the replicas of both versions in one cluster.

Separate from what is made of it (core/rollouts/gathering.py). The invariant: a replica that does
not answer, or says nothing that counts, is told as trouble; the look goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.errors import FairleadError
from reconciler.core.exposition import ReplicaSignals, read_signals
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Model, Rollout
from reconciler.core.kinds.serving import Signals
from reconciler.core.rendering.release import ROLLOUT_LABEL, VERSION_LABEL
from reconciler.core.rollouts.gathering import Readings
from reconciler.engine.concurrency import bounded
from reconciler.ports import Replica, Replicas

CONCURRENCY = 16
"""Replicas of one cluster that are asked at once."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose replicas are looked at. `stable` is empty where there is no version beside."""

    rollout: str
    namespace: str
    port: int
    signals: Signals
    candidate: str
    stable: str = ""

    @classmethod
    def of(cls, rollout: Rollout, model: Model, *, candidate: str, stable: str = "") -> Subject:
        serving = model.spec.serving
        assert serving.container is not None, "runtimes that are rolled out have a container"
        return cls(
            rollout=rollout.name,
            namespace=rollout.spec.namespace,
            port=serving.signals.port or serving.container.port,
            signals=serving.signals,
            candidate=candidate,
            stable=stable,
        )

    def labels(self, version: str) -> Mapping[str, str]:
        """Labels of the pods of a version."""
        return {ROLLOUT_LABEL: self.rollout, VERSION_LABEL: version}


async def scrape(cluster: ClusterName, replicas: Replicas, subject: Subject) -> Readings:
    """Ask every replica of both versions once. Never raises for what the cluster does."""
    troubles: list[str] = []
    found: dict[str, Mapping[str, ReplicaSignals]] = {}
    for version in filter(None, (subject.stable, subject.candidate)):
        try:
            found[version] = await _version(replicas, subject, version)
        except FairleadError as error:
            troubles.append(f"replicas of {version} in cluster {cluster}: {error.message}")
            continue
        troubles += _troubles(found[version], version, cluster)
    return Readings(
        stable=found.get(subject.stable, {}),
        candidate=found.get(subject.candidate, {}),
        trouble="; ".join(troubles),
    )


async def _version(
    replicas: Replicas, subject: Subject, version: str
) -> Mapping[str, ReplicaSignals]:
    async def read(replica: Replica) -> ReplicaSignals:
        return await _read(replicas, replica, subject)

    pods = await replicas.find(subject.namespace, subject.labels(version))
    answers = await bounded(pods, read, limit=CONCURRENCY)
    return {pod.uid: answer for pod, answer in zip(pods, answers, strict=True)}


async def _read(replicas: Replicas, replica: Replica, subject: Subject) -> ReplicaSignals:
    signals = subject.signals
    try:
        answer = await replicas.get(replica, subject.port, signals.path)
    except FairleadError as error:
        return ReplicaSignals(trouble=error.message)
    if answer.status != 200:
        return ReplicaSignals(trouble=f"{replica.name} answers {answer.status} at {signals.path}")
    return read_signals(
        answer.body,
        succeeded=signals.succeeded,
        failed=signals.failed,
        latency=signals.latency,
        outputs=signals.outputs,
    )


def _troubles(
    readings: Mapping[str, ReplicaSignals], version: str, cluster: ClusterName
) -> list[str]:
    if not readings:
        return [f"no replica of {version} is ready in cluster {cluster}"]
    silent = [reading.trouble for reading in readings.values() if reading.trouble]
    if not silent:
        return []
    return [f"{len(silent)} of {len(readings)} replicas of {version} in {cluster}: {silent[0]}"]
