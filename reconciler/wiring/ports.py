"""How each port is made of the settings.

Separate from what is built upon them, so that tests and simulations can make some otherwise. The
invariant: whatever was opened is closed again, whichever later step fails.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from sqlalchemy import make_url

from reconciler.adapters.audit_anchor_git import GitAnchor
from reconciler.adapters.audit_anchor_push import AnchorRemote
from reconciler.adapters.audit_key_file import load_signer
from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import ClusterAccess, InCluster, Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_lease import ClusterLease, KubernetesLeaseStore
from reconciler.adapters.evaluating import Evaluators
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_publishing import GitPublisher
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.lease_memory import MemoryLeaseStore
from reconciler.adapters.metrics_prometheus import PrometheusMetrics
from reconciler.adapters.replicas_http import DirectReplicas, ProxiedReplicas
from reconciler.adapters.replicas_memory import MemoryReplicas
from reconciler.adapters.secret_files import secret_in
from reconciler.adapters.state_sql import open_state, open_state_for_reading
from reconciler.approval_ports import Approvals
from reconciler.core.audit.notes import Signer
from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.forge_ports import ReviewStore
from reconciler.ports import (
    AuditLog,
    CheckpointAnchor,
    Clock,
    Cluster,
    Evaluator,
    Lease,
    MetricsSource,
    Publisher,
    Replicas,
    Repository,
    StateStore,
)
from reconciler.secret_ports import SecretStores
from reconciler.settings import ClusterSettings, Settings
from reconciler.sign_in_ports import IdentityProvider
from reconciler.wiring.approvals import approvals_of
from reconciler.wiring.git_sources import committer_of, git_credentials, source_of, verifier_of
from reconciler.wiring.page import identity_provider_of
from reconciler.wiring.reviewing import ReviewPorts, review_ports_of
from reconciler.wiring.secret_stores import (
    home_of_lease,
    lease_of_store,
    secret_stores_of,
    vault_cluster_of,
)


class State(StateStore, AuditLog, ReviewStore, Protocol):
    """The state database: the records, the tree over them, and what is known of reviews."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One cluster, the lease in it and the model servers in it."""

    cluster: Cluster
    lease: Lease
    replicas: Replicas


Opened: TypeAlias = AbstractAsyncContextManager
"""What a factory returns: entered to use the port, left to close it."""


def mirror_of(settings: Settings) -> Opened[Repository]:
    """The daemon's own mirror."""
    return mirror_at(settings, settings.mirror)


@asynccontextmanager
async def mirror_at(settings: Settings, directory: Path) -> AsyncIterator[Repository]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    mirror = GitMirror(source_of(settings), directory, verifier=verifier_of(settings))
    try:
        yield mirror
    finally:
        mirror.close()


@asynccontextmanager
async def publisher_of(settings: Settings) -> AsyncIterator[Publisher | None]:
    """None when the settings give no right to push."""
    given = settings.reverts
    if given is None:
        yield None
        return
    source = source_of(settings, given.credentials)
    publisher = GitPublisher(source, settings.reverts_directory, committer_of(given))
    try:
        yield publisher
    finally:
        publisher.close()


@asynccontextmanager
async def connection_to(
    settings: Settings, chosen: ClusterSettings, clock: Clock
) -> AsyncIterator[Connection]:
    if chosen.vault is None:
        cluster = KubernetesCluster(ClusterName(chosen.name), access_to(chosen), clock=clock)
        lease = lease_in(settings, cluster, settings.repository.name, clock)
        opened = Connection(cluster, lease, replicas_of(chosen, cluster))
        beside = None
    else:
        opened, beside = _store_connection(settings, chosen, clock)
    try:
        yield opened
    finally:
        await opened.replicas.close()
        await opened.cluster.close()
        if beside is not None:
            await beside.close()


def _store_connection(
    settings: Settings, chosen: ClusterSettings, clock: Clock
) -> tuple[Connection, Cluster | None]:
    """A secret store, and the cluster that its lease lies in. Nothing runs in a store."""
    store = vault_cluster_of(chosen, clock)
    if not settings.lease.enabled:
        return Connection(store, lease_in(settings, None, "", clock), MemoryReplicas()), None
    home = home_of_lease(settings, chosen)
    cluster = KubernetesCluster(ClusterName(home.name), access_to(home), clock=clock)
    lease = lease_in(settings, cluster, lease_of_store(settings, chosen), clock)
    return Connection(store, lease, MemoryReplicas()), cluster


def lease_in(
    settings: Settings, cluster: KubernetesCluster | None, name: str, clock: Clock
) -> Lease:
    store = (
        KubernetesLeaseStore(
            cluster.connection,
            namespace=settings.lease.namespace,
            name=f"fairlead-{name}",
            clock=clock,
        )
        if settings.lease.enabled and cluster is not None
        else MemoryLeaseStore()
    )
    return ClusterLease(
        store, identity=process_identity(), clock=clock, duration=settings.lease.duration
    )


def cluster_of(chosen: ClusterSettings, clock: Clock) -> Cluster:
    """To look at, without a lease."""
    if chosen.vault is not None:
        return vault_cluster_of(chosen, clock)
    return KubernetesCluster(ClusterName(chosen.name), access_to(chosen), clock=clock)


def replicas_of(chosen: ClusterSettings, cluster: KubernetesCluster) -> Replicas:
    if chosen.replicas == "direct":
        return DirectReplicas(cluster.connection)
    return ProxiedReplicas(cluster.connection)


def access_to(chosen: ClusterSettings) -> ClusterAccess:
    if chosen.kubeconfig is None:
        return InCluster()
    return Kubeconfig(chosen.kubeconfig, chosen.context, chosen.allow_exec)


def process_identity() -> str:
    """Unique to this process for ever: a restarted one must not take itself for the old one."""
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


@asynccontextmanager
async def state_of(settings: Settings) -> AsyncIterator[State]:
    state = await open_state(_database(settings))
    try:
        yield state
    finally:
        await state.close()


@asynccontextmanager
async def state_for_reading(settings: Settings) -> AsyncIterator[State]:
    """The state as somebody else keeps it. Raises Missing when there is none yet."""
    state = await open_state_for_reading(_database(settings))
    try:
        yield state
    finally:
        await state.close()


def _database(settings: Settings) -> str:
    file = settings.state.password_file
    if file is None:
        return settings.state_place
    password = secret_in(file)
    return make_url(settings.state_place).set(password=password).render_as_string(False)


def signer_of(settings: Settings) -> Signer:
    return load_signer(settings.audit_key, name=settings.audit_origin)


@asynccontextmanager
async def anchor_of(settings: Settings) -> AsyncIterator[CheckpointAnchor | None]:
    given = settings.audit.anchor
    if given is None:
        yield None
        return
    push = None
    if given.url:
        source = GitSource(url=given.url, credentials=git_credentials(given.credentials))
        push = AnchorRemote(source).push
    anchor = GitAnchor(given.repository, push=push)
    try:
        yield anchor
    finally:
        anchor.close()


@asynccontextmanager
async def metrics_of(settings: Settings, clock: Clock) -> AsyncIterator[MetricsSource | None]:
    """None when the settings name no provider."""
    given = settings.metrics
    if given is None:
        yield None
        return
    metrics = PrometheusMetrics(
        given.url, clock, token_file=given.token_file, ca_file=given.ca_file
    )
    try:
        yield metrics
    finally:
        await metrics.close()


def webhook_secret(settings: Settings) -> bytes | None:
    """None when there is no endpoint; an empty secret would let everybody in."""
    if settings.webhook is None:
        return None
    secret = secret_in(settings.webhook.secret_file).encode()
    if len(secret) < 16:
        raise Misconfigured(
            f"the webhook secret in {settings.webhook.secret_file} has fewer than 16 bytes",
            hint="make one with: openssl rand -hex 32",
        )
    return secret


@dataclass(frozen=True, slots=True)
class PortFactories:
    """What `serve` builds upon. Replace what a test wants otherwise: `replace(factories, …)`."""

    clock: Callable[[], Clock] = SystemClock
    repository: Callable[[Settings], Opened[Repository]] = mirror_of
    connection: Callable[[Settings, ClusterSettings, Clock], Opened[Connection]] = connection_to
    state: Callable[[Settings], Opened[State]] = state_of
    signer: Callable[[Settings], Signer] = signer_of
    anchor: Callable[[Settings], Opened[CheckpointAnchor | None]] = anchor_of
    publisher: Callable[[Settings], Opened[Publisher | None]] = publisher_of
    approvals: Callable[[Settings, ReviewStore], Opened[Approvals | None]] = approvals_of
    metrics: Callable[[Settings, Clock], Opened[MetricsSource | None]] = metrics_of
    secret_stores: Callable[[Settings, Clock], Opened[SecretStores]] = secret_stores_of
    evaluator: Callable[[], Evaluator] = Evaluators
    reviews: Callable[
        [Settings, Clock, ReviewStore, Publisher | None], Opened[ReviewPorts | None]
    ] = review_ports_of
    identity_provider: Callable[[Settings, Clock], Opened[IdentityProvider | None]] = (
        identity_provider_of
    )
