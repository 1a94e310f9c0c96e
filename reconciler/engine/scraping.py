"""Scraping: one look at the replicas of both versions in one cluster.

Separate from what is made of it (core/rollouts/gathering.py). The invariant: a replica that does
not answer, or says nothing that counts, is told as trouble; the look goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.desired import DesiredState
from reconciler.core.errors import FairleadError
from reconciler.core.exposition import ReplicaSignals, read_signals
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Rollout
from reconciler.core.kinds.serving import Signals
from reconciler.core.rollouts.gathering import Readings
from reconciler.core.rollouts.runtimes import Answering
from reconciler.core.rollouts.staging import runtime_of
from reconciler.core.rollouts.states import RolloutState, Target
from reconciler.engine.concurrency import bounded
from reconciler.ports import Replica, Replicas

PROMPT_LABEL = "prompt"
"""Label of the counters whose value is the name of a prompt."""

CONCURRENCY = 16
"""Replicas of one cluster that are asked at once."""


@dataclass(frozen=True, slots=True)
class Side:
    """A version, and who answers for it."""

    version: str
    answering: Answering

    @property
    def suffix(self) -> str:
        """Tells counters of one replica apart that serves several versions."""
        return f"/{self.answering.adapter}" if self.answering.adapter else ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose replicas are looked at. `stable` is None where there is no version beside."""

    rollout: str
    namespace: str
    signals: Signals
    candidate: Side
    stable: Side | None

    @classmethod
    def of(cls, desired: DesiredState, state: RolloutState) -> Subject:
        rollout = desired.rollouts[state.rollout]
        runtime = runtime_of(desired, rollout)
        assert state.stable is not None, "a rollout without a version has no state"

        def side(target: Target) -> Side:
            return Side(target.version, runtime.answering(desired, rollout, target))

        return cls(
            rollout=rollout.name,
            namespace=rollout.spec.namespace,
            signals=_signals(desired, rollout),
            candidate=side(state.candidate or state.stable),
            stable=side(state.stable) if state.candidate is not None else None,
        )


def _signals(desired: DesiredState, rollout: Rollout) -> Signals:
    """Those of the model; prompts are told apart by a label of their own."""
    signals = desired.model_of(rollout).spec.serving.signals
    return signals.model_copy(update={"label": PROMPT_LABEL}) if rollout.spec.prompt else signals


async def scrape(cluster: ClusterName, replicas: Replicas, subject: Subject) -> Readings:
    """Ask every replica of both versions once. Never raises for what the cluster does."""
    troubles: list[str] = []

    async def read(side: Side | None) -> Mapping[str, ReplicaSignals]:
        if side is None:
            return {}
        try:
            found = await _side(replicas, subject, side)
        except FairleadError as error:
            troubles.append(f"replicas of {side.version} in cluster {cluster}: {error.message}")
            return {}
        troubles.extend(_troubles(found, side.version, cluster))
        return found

    stable, candidate = await read(subject.stable), await read(subject.candidate)
    return Readings(stable=stable, candidate=candidate, trouble="; ".join(troubles))


async def _side(replicas: Replicas, subject: Subject, side: Side) -> Mapping[str, ReplicaSignals]:
    async def read(replica: Replica) -> ReplicaSignals:
        return await _read(replicas, replica, subject, side)

    pods = await replicas.find(subject.namespace, side.answering.labels)
    answers = await bounded(pods, read, limit=CONCURRENCY)
    return {f"{pod.uid}{side.suffix}": one for pod, one in zip(pods, answers, strict=True)}


async def _read(
    replicas: Replicas, replica: Replica, subject: Subject, side: Side
) -> ReplicaSignals:
    signals, adapter = subject.signals, side.answering.adapter
    port = signals.port or side.answering.port
    try:
        answer = await replicas.get(replica, port, signals.path)
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
        only=(signals.label, adapter) if signals.label is not None else None,
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
