"""How a secret store becomes a cluster that the engine can write to, and one that tells versions.

Separate because nothing runs in it: it has no pods, and no Lease objects either. The invariant:
the lease of a store lies in a cluster of the same settings, so that two daemons with the same
settings never write to it at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.ports import Clock, Cluster
from reconciler.secret_ports import SecretStores, SecretVersions
from reconciler.settings import ClusterSettings, Settings
from reconciler.settings_secrets import VaultSettings

if TYPE_CHECKING:
    from reconciler.adapters.vault_connection import VaultConnection

# Imports are in functions, because clients of stores cost memory that only those should pay who
# have such a store.


def vault_cluster_of(chosen: ClusterSettings, clock: Clock) -> Cluster:
    from reconciler.adapters.cluster_vault import VaultCluster  # noqa: PLC0415

    return VaultCluster(ClusterName(chosen.name), _connection(chosen, clock), clock=clock)


@asynccontextmanager
async def secret_stores_of(settings: Settings, clock: Clock) -> AsyncIterator[SecretStores]:
    """Those that can be asked for versions of secrets."""
    vaults = {
        ClusterName(chosen.name): _vault_versions(chosen, clock)
        for chosen in settings.clusters
        if chosen.vault is not None
    }
    stores = SecretStores(vaults, _aws_versions(settings))
    try:
        yield stores
    finally:
        for store in (*stores.vaults.values(), *([stores.aws] if stores.aws else [])):
            await store.close()


def _vault_versions(chosen: ClusterSettings, clock: Clock) -> SecretVersions:
    from reconciler.adapters.secret_versions_vault import VaultSecretVersions  # noqa: PLC0415

    return VaultSecretVersions(_connection(chosen, clock), clock)


def _aws_versions(settings: Settings) -> SecretVersions | None:
    given = settings.secret_stores.aws
    if given is None:
        return None
    try:
        from reconciler.adapters.secret_versions_aws import AwsSecretVersions  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured(
            "secretStores.aws needs a client that is not installed",
            hint='install it with: pip install "fairlead[aws]"',
        ) from error
    return AwsSecretVersions(given.endpoint or "")


def _connection(chosen: ClusterSettings, clock: Clock) -> VaultConnection:
    from reconciler.adapters.vault_connection import (  # noqa: PLC0415
        KubernetesSignIn,
        TokenFile,
        VaultAccess,
        VaultConnection,
    )

    given = chosen.vault
    assert given is not None
    role = given.kubernetes
    access = VaultAccess(
        address=given.address,
        sign_in=KubernetesSignIn(role.role, role.token_file)
        if role is not None
        else TokenFile(_token_file(given)),
        namespace=given.namespace,
        ca_file=given.ca_file,
        kubernetes_mount=given.kubernetes_mount,
        kv_mount=given.kv_mount,
    )
    return VaultConnection(access, clock)


def _token_file(given: VaultSettings) -> Path:
    assert given.token_file is not None, "one of two, checked by VaultSettings"
    return given.token_file


def home_of_lease(settings: Settings, chosen: ClusterSettings) -> ClusterSettings:
    """The cluster that the lease of the chosen one lies in: itself, or for a store the first one.

    Raises Misconfigured when there are stores only.
    """
    if chosen.vault is None:
        return chosen
    for other in settings.clusters:
        if other.vault is None:
            return other
    raise Misconfigured(
        f"{chosen.name} is a secret store, and no cluster is there to hold its lease",
        hint="name a Kubernetes cluster beside it, or set lease.enabled to false",
    )


def lease_of_store(settings: Settings, chosen: ClusterSettings) -> str:
    """What the lease of a store is named after. Dots stand in no DNS label, so this is no other
    repository's lease."""
    return f"{settings.repository.name}.{chosen.name}"
