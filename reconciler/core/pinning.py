"""Pinning: which references are delivered, which of them wait for a decision about their version.

Separate from the stores, which are asked elsewhere, and from what was decided before. The
invariant: a version is decided only for what is delivered, and never for a reference that names
its version itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Rollout
from reconciler.core.kinds.references import SecretReference
from reconciler.core.kinds.secret_delivery import SecretDelivery
from reconciler.core.rendering.store_rights import aws_partition
from reconciler.core.secret_versions import Pin, PinBook, owner_of, store_of


@dataclass(frozen=True, slots=True, order=True)
class Delivered:
    """A reference, as one store has it."""

    owner: str
    store: str
    reference: SecretReference

    @property
    def vault(self) -> ClusterName | None:
        """The Vault that knows it; None where AWS does."""
        kind, _, name = self.store.partition("/")
        return ClusterName(name) if kind == "vault" else None

    @property
    def asked(self) -> str:
        """What the store is asked for. With account and region, or AWS would take its own."""
        path = self.reference.path
        if self.vault is not None or path.startswith("arn:"):
            return path
        _, account, region = self.store.split("/")
        return f"arn:{aws_partition(region)}:secretsmanager:{region}:{account}:secret:{path}"

    def pinned(self, version: str) -> Pin:
        return Pin(self.owner, self.store, str(self.reference), version)

    def __str__(self) -> str:
        return f"{self.reference} of {self.owner}"


def delivered(desired: DesiredState) -> tuple[Delivered, ...]:
    """Those of the versions that are rolled out, in order."""
    found = {one for rollout in desired.rollouts.values() for one in _of_rollout(rollout, desired)}
    return tuple(sorted(found, key=lambda one: (one.owner, one.store, str(one.reference))))


def _of_rollout(rollout: Rollout, desired: DesiredState) -> Iterator[Delivered]:
    model = desired.models.get(rollout.spec.model)
    if model is None or not model.spec.serving.secrets:
        return
    owner = owner_of(rollout.spec.model, rollout.spec.version)
    for (cluster, _), _ in desired.places_of(rollout.name):
        delivery = delivery_in(cluster, desired)
        for secret in model.spec.serving.secrets:
            if store := store_of(secret.source, delivery):
                yield Delivered(owner, store, secret.source)


def delivery_in(cluster: ClusterName, desired: DesiredState) -> SecretDelivery | None:
    own = desired.clusters[cluster].spec.secret_delivery
    return own or desired.policy.defaults.secret_delivery


def undecided(desired: DesiredState, book: PinBook) -> tuple[Delivered, ...]:
    return tuple(one for one in delivered(desired) if not version_of(one, book))


def version_of(one: Delivered, book: PinBook) -> str:
    """The version that the document names or that was decided; empty when neither is."""
    named = one.reference.version
    return named or book.version_of(one.owner, one.store, one.reference) or ""


def with_undecided_told(desired: DesiredState, book: PinBook) -> DesiredState:
    """The same for plans that are made where no store is asked."""
    told = [
        f"{one} names no version: the one that is current when this is merged is taken"
        for one in undecided(desired, book)
    ]
    return replace(desired, notices=(*desired.notices, *dict.fromkeys(told))) if told else desired
