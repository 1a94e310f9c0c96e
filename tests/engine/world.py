"""A whole world in memory: a remote, clusters, a store, and an engine that can die.

Builders for engine tests. The engine is the real one; only the ports are in memory, and each of
them passes the same contract suite as its real twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.cluster_lease import ClusterLease
from reconciler.adapters.cluster_memory import MemoryCluster
from reconciler.adapters.cluster_memory_status import (
    becomes_ready,
    exceeds_progress_deadline,
    never_becomes_ready,
)
from reconciler.adapters.git_memory import MemoryRepository
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.audit.records import AuditRecord, Phase
from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey, UnitName
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from reconciler.engine.advising import Advisers
from reconciler.engine.books import Books
from reconciler.engine.driving import Engine
from reconciler.engine.performing import Context

REPOSITORY = "acme"
ADVISERS = ("review", "approvals", "people", "stores")

POLICY = """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {{name: acme}}
spec:
  clusters: {{names: [{clusters}]}}
  manifests:
  - path: apps/*
  allow:
    namespaces: [team-*, agent-*]
    kinds:
    - Role.rbac.authorization.k8s.io
    - RoleBinding.rbac.authorization.k8s.io
    - CustomResourceDefinition.apiextensions.k8s.io
  deletionBudget: {{percent: {percent}%, objects: {objects}}}
{extra}"""


def policy(*clusters: str, percent: int = 100, objects: int = 1000, extra: str = "") -> bytes:
    text = POLICY.format(
        clusters=", ".join(clusters or ("one",)), percent=percent, objects=objects, extra=extra
    )
    return text.encode()


def cluster_document(name: str, **labels: str) -> bytes:
    shown = "{" + ", ".join(f"{key}: {value}" for key, value in labels.items()) + "}"
    return (
        f"apiVersion: fairlead.dev/v1alpha1\nkind: Cluster\n"
        f"metadata: {{name: {name}, labels: {shown}}}\nspec: {{}}\n"
    ).encode()


def config_map(name: str, value: str = "1", namespace: str = "team-a") -> bytes:
    return (
        f"apiVersion: v1\nkind: ConfigMap\n"
        f'metadata: {{name: {name}, namespace: {namespace}}}\ndata: {{value: "{value}"}}\n'
    ).encode()


def deployment(name: str, image_digit: str = "a", namespace: str = "team-a") -> bytes:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app@sha256:{image_digit * 64}
""".encode()


BROKEN = "f"
"""Image digit of a Deployment that gives up."""

STUCK = "e"
"""Image digit of a Deployment that never becomes ready, and never says so."""


def fares_by_image(body: JsonObject) -> JsonObject | None:
    """The status of a Deployment by its image: BROKEN, STUCK, or ready at once."""
    if f"sha256:{BROKEN * 64}" in str(body):
        return exceeds_progress_deadline(body)
    if f"sha256:{STUCK * 64}" in str(body):
        return never_becomes_ready(body)
    return becomes_ready(body)


def namespace(name: str) -> bytes:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n".encode()


def role(name: str, *verbs: str, namespace: str = "team-a") -> bytes:
    return f"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {namespace}}}
rules:
- {{apiGroups: [""], resources: [pods], verbs: [{", ".join(verbs)}]}}
""".encode()


def unit(directory: str) -> UnitName:
    return UnitName(f"manifests/apps/{directory}")


def config_map_key(name: str, namespace: str = "team-a") -> ObjectKey:
    return ObjectKey("", "ConfigMap", namespace, name)


def deployment_key(name: str, namespace: str = "team-a") -> ObjectKey:
    return ObjectKey("apps", "Deployment", namespace, name)


class World:
    """Remote, clusters and store survive; engines come and go."""

    def __init__(self, *clusters: str) -> None:
        self.clock = VirtualClock()
        self.repository = MemoryRepository()
        self.repository_name = REPOSITORY
        self.store = MemoryStateStore()
        self.names = clusters or ("one",)
        self.clusters: Mapping[ClusterName, MemoryCluster] = {
            ClusterName(name): MemoryCluster(
                ClusterName(name), clock=self.clock, status=fares_by_image
            )
            for name in self.names
        }
        self.leases = {name: MemoryLeaseStore() for name in self.clusters}
        for cluster in self.clusters.values():
            for team in ("team-a", "team-b"):
                cluster.apply_as(
                    "kubectl",
                    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}},
                )
                cluster.requests.clear()

    @property
    def cluster(self) -> MemoryCluster:
        return self.clusters[ClusterName(self.names[0])]

    def push(
        self,
        files: Mapping[str, bytes | None],
        *,
        message: str = "change",
        signer: str | None = None,
    ) -> CommitSha:
        return self.repository.push(files, message=message, signer=signer)

    def start_repository(self, files: Mapping[str, bytes | None], **rules: int | str) -> CommitSha:
        declared = {
            f"clusters/{name}.yaml": cluster_document(name, env=name) for name in self.names
        }
        return self.push(
            {"fairlead.yaml": policy(*self.names, **rules), **declared, **files}, message="first"
        )

    async def engine(self, **replaced: object) -> Engine:
        store = replaced.get("store", self.store)
        clusters = replaced.get("clusters", self.clusters)
        repository = replaced.get("repository", self.repository)
        identity = str(replaced.get("identity", "daemon"))
        return Engine(
            repository=repository,
            clusters=clusters,
            leases={
                name: ClusterLease(lease, clock=self.clock, identity=identity)
                for name, lease in replaced.get("leases", self.leases).items()
            },
            store=store,
            books=await Books.open(store, list(self.clusters)),
            clock=self.clock,
            context=Context(repository=self.repository_name, actor=identity),
            poll_seconds=1.0,
            instruments=replaced.get("instruments"),
            advisers=Advisers(**{name: replaced[name] for name in ADVISERS if name in replaced}),
        )

    @asynccontextmanager
    async def running(self, **replaced: object) -> AsyncIterator[Engine]:
        engine = await self.engine(**replaced)
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until_async(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """The same for what only the store knows."""
        async with asyncio.timeout(900.0):
            while not await condition():
                await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 900.0) -> None:
        """Let virtual time pass until something is so."""
        pause = 0.001
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 1.5)

    async def until_applied(self, engine: Engine, commit: CommitSha) -> None:
        def applied() -> bool:
            position = engine.books.position
            return all(position.applied.get(name) == commit for name in self.clusters)

        await self.until(applied)

    async def until_standing(self, engine: Engine, directory: str, standing: Standing) -> None:
        await self.until(lambda: self.standing(engine, directory) is standing)

    def standing(
        self, engine: Engine, directory: str, cluster: str | None = None
    ) -> Standing | None:
        where = ClusterName(cluster) if cluster else self.cluster.name
        state = engine.books.ledger(where).units.get(unit(directory))
        return state.standing if state else None

    async def records(self, *phases: Phase) -> list[AuditRecord]:
        logged = await self.store.records(limit=1_000_000)
        return [item.record for item in logged if not phases or item.record.phase in phases]

    def writes(self, cluster: str | None = None) -> list[tuple[str, str]]:
        """Verb and `Kind/name` of every write so far, in order."""
        where = self.clusters[ClusterName(cluster)] if cluster else self.cluster
        return [
            (request.verb, f"{request.key.kind}/{request.key.name}")
            for request in where.requests
            if request.verb in ("apply", "delete") and request.key
        ]

    async def until_refused(self, engine: Engine, commit: CommitSha) -> None:
        await self.until(lambda: engine.books.position.refused == commit)

    def objects(self, cluster: str | None = None) -> tuple[ObjectKey, ...]:
        where = self.clusters[ClusterName(cluster)] if cluster else self.cluster
        return where.keys()

    def value(self, name: str, cluster: str | None = None) -> str | None:
        where = self.clusters[ClusterName(cluster)] if cluster else self.cluster
        body = where.peek(config_map_key(name))
        return None if body is None else str(_mapping(body["data"])["value"])


def _mapping(value: object) -> JsonObject:
    assert isinstance(value, dict)
    return value
