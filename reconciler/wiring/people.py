"""Who the authors are, and what follows for the daemon's rights, by the settings.

Separate because the daemon and the commands beside it must mean the same people and leases.
"""

from __future__ import annotations

from reconciler.core.authorship import Author, People
from reconciler.core.identifiers import ClusterName
from reconciler.core.needed_rights import Setup
from reconciler.settings import ClusterSettings, Settings
from reconciler.surfaces.rights_command import RightsTools
from reconciler.wiring.secret_stores import home_of_lease, lease_of_store


def people_of(settings: Settings) -> People | None:
    """None where every cluster is written to as the daemon."""
    clusters = frozenset(
        ClusterName(each.name) for each in settings.clusters if each.apply_as == "author"
    )
    if not clusters:
        return None
    authors = {each.signer: Author(each.signer, each.user, each.groups) for each in settings.people}
    return People(authors, clusters, own=settings.reverts.email if settings.reverts else "")


def rights_tools() -> RightsTools:
    return RightsTools(_setup)


def _setup(settings: Settings, chosen: ClusterSettings) -> Setup:
    names = [settings.repository.name] if settings.lease.enabled else []
    names += [
        lease_of_store(settings, store)
        for store in settings.clusters
        if store.vault and settings.lease.enabled and home_of_lease(settings, store) == chosen
    ]
    return Setup(
        ClusterName(chosen.name),
        (settings.lease.namespace, tuple(f"fairlead-{name}" for name in names)),
        proxied=chosen.replicas == "api-server",
        people=people_of(settings),
    )
