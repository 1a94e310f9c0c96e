"""Prometheus metrics of the daemon.

Separate so that the engine counts nothing: counters follow the audit records and the spans,
gauges are read from the engine when somebody asks, and requests are counted where the port is.
The invariant: labels come from small fixed sets, so no commit and no object is ever one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reconciler.core.audit.records import Phase, Verb
from reconciler.core.authorship import Author
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from reconciler.core.standing import ClusterState, Status
from reconciler.ports import ApiResource, Cluster, Delegate, Interrupted, Logged, WatchEvent

_SPANS = frozenset({"reconcile", "compile", "plan", "execute"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_NANOSECONDS = 1e9


class StatusSource(Protocol):
    """Whoever can say how everything stands: see EngineStatus."""

    def status(self) -> Status: ...


class Metrics:
    """All metrics of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.spans: SpanProcessor = _SpanSeconds(
            Histogram(
                "fairlead_pass_seconds",
                "Time that a pass, or a phase of it, took.",
                ["phase"],
                buckets=_SECONDS,
                registry=self.registry,
            )
        )
        self._commits = self._counter("fairlead_commits", "Commits judged.", "verdict")
        self._changes = self._counter(
            "fairlead_changes", "Objects written.", "cluster", "action", "reason", "result"
        )
        self._held = self._counter("fairlead_units_held", "Units put back.", "cluster")
        self._records = self._counter("fairlead_audit_records", "Records appended.", "verb")
        self._size = Gauge(
            "fairlead_audit_size", "Records in the audit log.", registry=self.registry
        )
        self._interruptions = self._counter(
            "fairlead_watch_interruptions", "Watches that broke.", "cluster"
        )
        self._reviews = Histogram(
            "fairlead_review_seconds",
            "Time that the plan of a change request took. `result` is planned or refused.",
            ["result"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._review_troubles = self._counter(
            "fairlead_review_troubles", "What kept change requests from being answered.", "code"
        )
        self._requests = Histogram(
            "fairlead_api_request_seconds",
            "Requests to API servers. `code` is ok or the code of the error.",
            ["cluster", "verb", "code"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def observe(self, source: StatusSource) -> None:
        """Show gauges of what `source` says at the time of each scrape."""
        self.registry.register(_StatusGauges(source))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def count_records(self, logged: Sequence[Logged]) -> None:
        """Listener of NotifyingStore."""
        for item in logged:
            record = item.record
            self._size.set(item.index + 1)
            self._records.labels(record.verb).inc()
            cluster = record.cluster or ""
            if record.verb in (Verb.ACCEPT, Verb.REFUSE):
                self._commits.labels("accepted" if record.verb is Verb.ACCEPT else "refused").inc()
            elif record.verb is Verb.HOLD:
                self._held.labels(cluster).inc()
            elif record.phase is Phase.OUTCOME and record.object is not None:
                action = str(record.detail.get("action") or record.verb)
                self._changes.labels(cluster, action, record.reason, record.result).inc()

    def plan_made(self, result: str, seconds: float) -> None:
        self._reviews.labels(result).observe(seconds)

    def review_trouble(self, code: str) -> None:
        self._review_troubles.labels(code).inc()

    def interrupted(self, cluster: ClusterName) -> None:
        self._interruptions.labels(cluster).inc()

    @contextmanager
    def request(self, cluster: ClusterName, verb: str) -> Iterator[None]:
        """Time one request."""
        started, code = time.perf_counter(), "ok"
        try:
            yield
        except FairleadError as error:
            code = error.code
            raise
        except BaseException:
            code = "cancelled"
            raise
        finally:
            self._requests.labels(cluster, verb, code).observe(time.perf_counter() - started)


class _SpanSeconds(SpanProcessor):
    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram

    def on_end(self, span: ReadableSpan) -> None:
        if span.name in _SPANS and span.start_time and span.end_time:
            seconds = (span.end_time - span.start_time) / _NANOSECONDS
            self._histogram.labels(span.name).observe(seconds)


class _StatusGauges(Collector):
    """Gauges that are a matter of the moment."""

    def __init__(self, source: StatusSource) -> None:
        self._source = source

    def describe(self) -> list[Metric]:
        """None: they are the same at every scrape, and asking now would be too early."""
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._source.status()
        yield _gauge(
            "fairlead_as_declared",
            "1 when every cluster surely is as the head of the branch says.",
            {(): float(status.as_declared)},
        )
        yield _gauge(
            "fairlead_fetch_age_seconds",
            "Seconds since the repository last answered.",
            {} if status.fetch_age_seconds is None else {(): status.fetch_age_seconds},
        )
        yield _gauge(
            "fairlead_commit_refused",
            "1 while the newest judged commit is refused.",
            {(): float(status.refused is not None)},
        )
        yield _gauge(
            "fairlead_commit_held",
            "1 while the newest commit waits for approvals.",
            {(): float(status.held is not None)},
        )
        yield from _cluster_gauges(status)


def _cluster_gauges(status: Status) -> Iterator[Metric]:
    clusters = status.clusters
    yield _gauge(
        "fairlead_cluster_state",
        "1 for the state that the cluster is in.",
        {(c.cluster, s.value): float(c.state is s) for c in clusters for s in ClusterState},
        "cluster",
        "state",
    )
    yield _gauge(
        "fairlead_leader",
        "1 while this daemon may write to the cluster.",
        {(c.cluster,): float(c.leading) for c in clusters},
        "cluster",
    )
    yield _gauge(
        "fairlead_objects",
        "Objects in the ledger.",
        {(c.cluster,): float(c.objects) for c in clusters},
        "cluster",
    )
    yield _gauge(
        "fairlead_contested_objects",
        "Objects that another manager keeps changing.",
        {(c.cluster,): float(len(c.contested)) for c in clusters},
        "cluster",
    )
    units: dict[tuple[str, ...], float] = {}
    for cluster in clusters:
        units[cluster.cluster, Standing.SETTLED.value] = float(cluster.settled_units)
        for standing in set(Standing) - {Standing.SETTLED}:
            count = sum(unit.standing is standing for unit in cluster.unsettled_units)
            units[cluster.cluster, standing.value] = float(count)
    yield _gauge("fairlead_units", "Units by how they stand.", units, "cluster", "standing")


def _gauge(
    name: str, text: str, values: Mapping[tuple[str, ...], float], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


class MeasuredCluster:
    """A Cluster whose requests and watches are counted."""

    def __init__(self, cluster: Cluster, metrics: Metrics) -> None:
        self._cluster = cluster
        self._metrics = metrics

    @property
    def name(self) -> ClusterName:
        return self._cluster.name

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        return await self._cluster.resources(refresh=refresh)

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        with self._metrics.request(self.name, "get"):
            return await self._cluster.get(key, api_version)

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        with self._metrics.request(self.name, "dry-run" if dry_run else "apply"):
            return await self._cluster.apply(body, dry_run=dry_run, force=force)

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        with self._metrics.request(self.name, "delete"):
            return await self._cluster.delete(key, api_version, uid=uid)

    def on_behalf_of(self, author: Author) -> Delegate:
        return MeasuredDelegate(self._cluster.on_behalf_of(author), self.name, self._metrics)

    async def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        async for event in self._cluster.watch(resource, selector=selector):
            if isinstance(event, Interrupted):
                self._metrics.interrupted(self.name)
            yield event

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        with self._metrics.request(self.name, "rights"):
            return await self._cluster.rights(namespace)

    async def close(self) -> None:
        await self._cluster.close()


class MeasuredDelegate:
    """A Delegate whose requests are counted with those of the cluster."""

    def __init__(self, delegate: Delegate, cluster: ClusterName, metrics: Metrics) -> None:
        self._delegate = delegate
        self._cluster = cluster
        self._metrics = metrics

    async def seen_as(self) -> Author:
        with self._metrics.request(self._cluster, "who-am-i"):
            return await self._delegate.seen_as()

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        with self._metrics.request(self._cluster, "dry-run" if dry_run else "apply"):
            return await self._delegate.apply(body, dry_run=dry_run, force=force)

    async def delete(
        self, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool:
        with self._metrics.request(self._cluster, "dry-run" if dry_run else "delete"):
            return await self._delegate.delete(key, api_version, uid=uid, dry_run=dry_run)
