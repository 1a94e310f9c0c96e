"""Kind Cluster: a cluster by name and labels.

Separate from the connection to it, which is in the daemon's own settings: whoever can merge a
commit must not be able to point a cluster's name at another API server. How people sign in to it
is declared here, because the names of groups in roles are meant as it says.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reconciler.core.kinds.authentication import Authentication
from reconciler.core.kinds.common import Declaration, Part, refusal
from reconciler.core.kinds.scalars import Maybe
from reconciler.core.kinds.secret_delivery import SecretDelivery, VaultStore
from reconciler.core.kinds.serving import GatewayReference


class ClusterSpec(Part):
    """What is particular about the cluster."""

    description: str = ""
    """What it is for, in words."""
    gateway: Maybe[GatewayReference] = None
    """Gateway for the routes of models, instead of the repository's default."""
    authentication: Maybe[Authentication] = None
    """How people sign in to its API server. Fairlead makes the file, and cannot hand it over."""
    secret_delivery: Maybe[SecretDelivery] = None
    """How secrets come to workloads here, instead of the repository's default."""
    vault: Maybe[VaultStore] = None
    """That it is a secret store, and what those who read from it have to know. Roles, agents and
    rollouts leave it out."""

    @model_validator(mode="after")
    def _be_one_or_the_other(self) -> ClusterSpec:
        if self.vault and (self.gateway or self.authentication or self.secret_delivery):
            raise refusal(
                "is a secret store with gateway, authentication or secretDelivery",
                hint="remove them: only a Kubernetes cluster has these",
            )
        return self


class Cluster(Declaration):
    """A cluster; rollouts and manifests select it by its labels."""

    kind: Literal["Cluster"]
    """What this document declares."""
    spec: ClusterSpec = Field(default_factory=ClusterSpec)
    """What is particular about the cluster."""
