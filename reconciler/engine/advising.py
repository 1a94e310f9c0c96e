"""Advisers: whom the engine asks besides Git and the clusters.

Separate so that what asks one of them need not be handed on by everything above it. The invariant:
without an adviser nothing is allowed that it would have to allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.approval_ports import Approvals
from reconciler.core.authorship import People
from reconciler.engine.guarding import RightsReview
from reconciler.secret_ports import SecretStores


@dataclass(frozen=True, slots=True)
class Advisers:
    """Without a `review` nobody looks at the daemon's own rights in single namespaces, without
    `approvals` nobody can have approved a commit that needs it, without `people` the daemon writes
    everything as itself, and without `stores` no version of a secret is pinned."""

    review: RightsReview | None = None
    approvals: Approvals | None = None
    people: People | None = None
    stores: SecretStores = field(default_factory=SecretStores)


NOBODY = Advisers()
