"""Kind Cluster: a cluster by name and labels.

Separate from the connection to it, which is in the daemon's own settings: whoever can merge a
commit must not be able to point a cluster's name at another API server. How people sign in to it
is declared here, because the names of groups in roles are meant as it says.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reconciler.core.kinds.authentication import Authentication
from reconciler.core.kinds.common import Declaration, Part
from reconciler.core.kinds.scalars import Maybe
from reconciler.core.kinds.serving import GatewayReference


class ClusterSpec(Part):
    """What is particular about the cluster."""

    description: str = ""
    """What it is for, in words."""
    gateway: Maybe[GatewayReference] = None
    """Gateway for the routes of models, instead of the repository's default."""
    authentication: Maybe[Authentication] = None
    """How people sign in to its API server. Fairlead makes the file, and cannot hand it over."""


class Cluster(Declaration):
    """A cluster; rollouts and manifests select it by its labels."""

    kind: Literal["Cluster"]
    """What this document declares."""
    spec: ClusterSpec = Field(default_factory=ClusterSpec)
    """What is particular about the cluster."""
