"""The in-memory cluster: faults on request, and the same run twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.cluster_memory_status import (
    exceeds_progress_deadline,
    never_becomes_ready,
)
from reconciler.core.errors import Forbidden, Missing, Refused, Throttled, Unavailable
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.ports import Gone, Interrupted, Listed, Seen

KEY = ObjectKey("", "ConfigMap", "default", "a")


def config_map(name: str = "a", value: str = "1", namespace: str = "default") -> Any:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"v": value}}


def deployment() -> Any:
    labels = {"app": "d"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "x"}]},
            },
        },
    }


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster(ClusterName("memory"), clock=VirtualClock())


@pytest.fixture
async def events(cluster: MemoryCluster) -> AsyncIterator[Any]:
    """A watch of ConfigMaps that has told what exists."""
    resource = (await cluster.resources())[GroupVersionKind("", "v1", "ConfigMap")]
    watch: Any = cluster.watch(resource, selector="")
    async with aclosing(watch):
        assert isinstance(await anext(watch), Listed)
        yield watch


async def values(events: Any, count: int) -> list[str]:
    return [(await anext(events)).body["data"]["v"] for _ in range(count)]


async def test_a_failure_before_the_effect_leaves_no_effect(cluster: MemoryCluster) -> None:
    cluster.fail(Unavailable("lost"), verb="apply")
    with pytest.raises(Unavailable):
        await cluster.apply(config_map(), dry_run=False)
    assert cluster.peek(KEY) is None


async def test_a_failure_after_the_effect_loses_only_the_answer(cluster: MemoryCluster) -> None:
    cluster.fail(Unavailable("lost"), verb="apply", after_effect=True)
    with pytest.raises(Unavailable):
        await cluster.apply(config_map(), dry_run=False)
    assert cluster.peek(KEY) is not None


async def test_a_failure_happens_as_often_as_it_was_asked_for(cluster: MemoryCluster) -> None:
    cluster.fail(Throttled("slow down", retry_after=1), verb="apply", times=2)
    for _ in range(2):
        with pytest.raises(Throttled):
            await cluster.apply(config_map(), dry_run=False)
    await cluster.apply(config_map(), dry_run=False)


async def test_a_failure_waits_for_the_object_it_is_meant_for(cluster: MemoryCluster) -> None:
    cluster.fail(Unavailable("lost"), key=KEY)
    await cluster.apply(config_map("b"), dry_run=False)
    with pytest.raises(Unavailable):
        await cluster.apply(config_map("a"), dry_run=False)


async def test_admission_refuses_dry_runs_too(cluster: MemoryCluster) -> None:
    def refuse(body: Any) -> None:
        raise Refused(f"no {body['kind']} today")

    cluster.admission = refuse
    with pytest.raises(Refused, match="no ConfigMap today"):
        await cluster.apply(config_map(), dry_run=True)


async def test_requests_are_counted_by_verb(cluster: MemoryCluster) -> None:
    await cluster.apply(config_map(), dry_run=True)
    await cluster.apply(config_map(), dry_run=False)
    await cluster.get(KEY, "v1")
    assert (cluster.count("apply"), cluster.count("apply", "dry-run"), cluster.count()) == (1, 2, 3)


async def test_what_others_do_is_not_counted(cluster: MemoryCluster) -> None:
    cluster.apply_as("helm", config_map())
    cluster.edit_as("kubectl", KEY, lambda body: body.update(data={"v": "2"}))
    assert cluster.count() == 0


async def test_a_dropped_event_is_only_in_the_next_listing(
    cluster: MemoryCluster, events: Any
) -> None:
    cluster.events.drop(1)
    await cluster.apply(config_map(value="1"), dry_run=False)
    cluster.interrupt_watches()
    told = [await anext(events) for _ in range(3)]
    assert [type(event) for event in told] == [Interrupted, Seen, Listed]


async def test_a_repeated_event_comes_twice(cluster: MemoryCluster, events: Any) -> None:
    cluster.events.repeat(1)
    await cluster.apply(config_map(value="1"), dry_run=False)
    await cluster.apply(config_map(value="2"), dry_run=False)
    assert await values(events, 3) == ["1", "1", "2"]


async def test_reversed_events_come_last_to_first(cluster: MemoryCluster, events: Any) -> None:
    cluster.events.reverse(3)
    for value in "1234":
        await cluster.apply(config_map(value=value), dry_run=False)
    assert await values(events, 4) == ["3", "2", "1", "4"]


async def test_a_server_that_is_away_answers_nothing(cluster: MemoryCluster) -> None:
    cluster.stop()
    with pytest.raises(Unavailable):
        await cluster.get(KEY, "v1")
    cluster.start()
    assert await cluster.get(KEY, "v1") is None


async def test_a_workload_is_ready_at_once_unless_told_otherwise(cluster: MemoryCluster) -> None:
    await cluster.apply(deployment(), dry_run=False)
    assert status_of(cluster)["availableReplicas"] == 1
    assert status_of(cluster)["observedGeneration"] == 1


async def test_a_workload_may_never_become_ready(cluster: MemoryCluster) -> None:
    cluster.status = never_becomes_ready
    await cluster.apply(deployment(), dry_run=False)
    assert status_of(cluster)["availableReplicas"] == 0


async def test_a_workload_may_give_up(cluster: MemoryCluster) -> None:
    cluster.status = exceeds_progress_deadline
    await cluster.apply(deployment(), dry_run=False)
    reasons = {c["reason"]: c["status"] for c in status_of(cluster)["conditions"]}
    assert reasons["ProgressDeadlineExceeded"] == "False"


def status_of(cluster: MemoryCluster) -> Any:
    body: Any = cluster.peek(ObjectKey("apps", "Deployment", "default", "d"))
    return body["status"]


async def test_a_definition_brings_its_kind(cluster: MemoryCluster) -> None:
    definition: Any = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True}],
        },
    }
    widget: Any = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "default"},
        "spec": {"size": 1},
    }
    with pytest.raises(Missing):
        await cluster.apply(widget, dry_run=False)
    await cluster.apply(definition, dry_run=False)
    assert (await cluster.apply(widget, dry_run=False))["spec"] == {"size": 1}


async def test_a_namespace_takes_its_objects_along(cluster: MemoryCluster, events: Any) -> None:
    cluster.apply_as("x", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    await cluster.apply(config_map(namespace="n"), dry_run=False)
    cluster.delete_as_other(ObjectKey("", "Namespace", "", "n"))
    assert [type(await anext(events)) for _ in range(2)] == [Seen, Gone]
    with pytest.raises(Missing):
        await cluster.apply(config_map(namespace="n"), dry_run=False)


async def test_a_namespace_that_ends_takes_nothing_new(cluster: MemoryCluster) -> None:
    held: Any = {"name": "n", "finalizers": ["example.com/hold"]}
    cluster.apply_as("x", {"apiVersion": "v1", "kind": "Namespace", "metadata": held})
    cluster.delete_as_other(ObjectKey("", "Namespace", "", "n"))
    with pytest.raises(Forbidden):
        await cluster.apply(config_map(namespace="n"), dry_run=False)


async def test_what_is_returned_cannot_change_the_store(cluster: MemoryCluster) -> None:
    applied: Any = await cluster.apply(config_map(value="1"), dry_run=False)
    applied["data"]["v"] = "changed"
    stored: Any = await cluster.get(KEY, "v1")
    assert stored["data"] == {"v": "1"}


async def test_the_same_calls_give_the_same_objects() -> None:
    runs = []
    for _ in range(2):
        cluster = MemoryCluster(ClusterName("memory"), clock=VirtualClock())
        await cluster.apply(config_map(), dry_run=False)
        await cluster.apply(deployment(), dry_run=False)
        runs.append(list(map(cluster.peek, cluster.keys())))
    assert runs[0] == runs[1]
