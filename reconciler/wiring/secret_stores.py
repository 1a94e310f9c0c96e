"""How a secret store becomes a cluster that the engine can write to.

Separate because nothing runs in it: it has no pods, and no Lease objects either. The invariant:
the lease of a store lies in a cluster of the same settings, so that two daemons with the same
settings never write to it at once.
"""

from __future__ import annotations

from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.vault_connection import (
    KubernetesSignIn,
    TokenFile,
    VaultAccess,
    VaultConnection,
)
from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.ports import Clock
from reconciler.settings import ClusterSettings, Settings
from reconciler.settings_secrets import VaultSettings


def vault_cluster_of(chosen: ClusterSettings, clock: Clock) -> VaultCluster:
    assert chosen.vault is not None
    connection = VaultConnection(_access_to(chosen.vault), clock)
    return VaultCluster(ClusterName(chosen.name), connection, clock=clock)


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


def _access_to(given: VaultSettings) -> VaultAccess:
    if given.kubernetes is not None:
        who = KubernetesSignIn(given.kubernetes.role, given.kubernetes.token_file)
        return _access(given, who)
    assert given.token_file is not None
    return _access(given, TokenFile(given.token_file))


def _access(given: VaultSettings, sign_in: KubernetesSignIn | TokenFile) -> VaultAccess:
    return VaultAccess(
        address=given.address,
        sign_in=sign_in,
        namespace=given.namespace,
        ca_file=given.ca_file,
        kubernetes_mount=given.kubernetes_mount,
        kv_mount=given.kv_mount,
    )
