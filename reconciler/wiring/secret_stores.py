"""How a secret store becomes a cluster that the engine can write to.

Separate because nothing runs in it: it has no pods, and no Lease objects either. The invariant:
the lease of a store lies in a cluster of the same settings, so that two daemons with the same
settings never write to it at once.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.ports import Clock, Cluster
from reconciler.settings import ClusterSettings, Settings
from reconciler.settings_secrets import VaultSettings


def vault_cluster_of(chosen: ClusterSettings, clock: Clock) -> Cluster:
    # Here, because the store's client costs memory that only those should pay who have a store.
    from reconciler.adapters.cluster_vault import VaultCluster  # noqa: PLC0415
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
    return VaultCluster(ClusterName(chosen.name), VaultConnection(access, clock), clock=clock)


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
