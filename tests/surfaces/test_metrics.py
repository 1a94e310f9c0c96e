"""What is counted, and under which labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey
from reconciler.ports import Interrupted, Logged
from reconciler.surfaces.metrics import MeasuredCluster, Metrics

ONE = ClusterName("one")
RECORD = AuditRecord(
    time=datetime(2027, 1, 1, tzinfo=UTC),
    repository="acme",
    commit=CommitSha("c" * 40),
    actor="fairlead",
    verb=Verb.APPLY,
    phase=Phase.OUTCOME,
    cluster=ONE,
    object=ObjectKey("", "ConfigMap", "team-a", "limits"),
    result="ok",
    detail={"action": "update"},
)
LABELS = {"cluster": "one", "action": "update", "reason": "commit", "result": "ok"}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def count(metrics: Metrics, *records: AuditRecord) -> None:
    metrics.count_records([Logged(index, record) for index, record in enumerate(records)])


def test_a_change_is_counted_when_its_outcome_is_recorded() -> None:
    metrics = Metrics()
    count(metrics, replace(RECORD, phase=Phase.INTENT, result=""), RECORD)
    assert value(metrics, "fairlead_changes_total", **LABELS) == 1


def test_corrections_of_drift_are_told_apart() -> None:
    metrics = Metrics()
    count(metrics, replace(RECORD, reason=Reason.DRIFT))
    assert value(metrics, "fairlead_changes_total", **{**LABELS, "reason": "drift"}) == 1


def test_a_refused_commit_is_counted() -> None:
    metrics = Metrics()
    refused = replace(RECORD, verb=Verb.REFUSE, phase=Phase.DECISION, object=None)
    count(metrics, refused)
    assert value(metrics, "fairlead_commits_total", verdict="refused") == 1


def test_the_size_of_the_log_is_shown() -> None:
    metrics = Metrics()
    count(metrics, RECORD, RECORD)
    assert value(metrics, "fairlead_audit_size") == 2


async def test_requests_are_counted_by_verb_and_result() -> None:
    metrics, memory = Metrics(), MemoryCluster(ONE, clock=SystemClock())
    cluster = MeasuredCluster(memory, metrics)
    key = ObjectKey("", "ConfigMap", "default", "x")
    await cluster.get(key, "v1")
    memory.fail(Unavailable("no answer"), verb="get")
    with pytest.raises(Unavailable):
        await cluster.get(key, "v1")
    name = "fairlead_api_request_seconds_count"
    assert value(metrics, name, cluster="one", verb="get", code="ok") == 1
    assert value(metrics, name, cluster="one", verb="get", code="unavailable") == 1


async def test_watches_that_break_are_counted() -> None:
    metrics, memory = Metrics(), MemoryCluster(ONE, clock=SystemClock())
    cluster = MeasuredCluster(memory, metrics)
    resources = await cluster.resources()
    config_maps = next(r for kind, r in resources.items() if kind.kind == "ConfigMap")
    async for event in cluster.watch(config_maps, selector="a=b"):
        if isinstance(event, Interrupted):
            break
        memory.interrupt_watches()
    assert value(metrics, "fairlead_watch_interruptions_total", cluster="one") == 1
