"""Versions of secrets: what a reference without a version means, once that was decided.

Separate from rendering, which only looks a version up, and from the stores, which know what is
current. The invariant: what was decided for a version of a model stays so, which makes the same
commit the same bytes whenever it is rendered; a rotation in a store moves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from reconciler.core.kinds.references import SecretReference
from reconciler.core.kinds.secret_delivery import SecretDelivery

Pins: TypeAlias = Mapping[SecretReference, str]
"""References without a version → version, for one workload. Look up the reference as it stands."""

PinsByStore: TypeAlias = Mapping[str, Pins]

NO_PINS: Final[Pins] = MappingProxyType({})
_NOTHING: Final[PinsByStore] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One decision. `owner` is the version of a model whose replicas get the secret.

    `store` tells two stores apart that have the same path, such as those of two environments.
    """

    owner: str
    store: str
    reference: str
    version: str


@dataclass(frozen=True, slots=True)
class PinBook:
    """All that was decided, by owner and store."""

    owners: Mapping[str, PinsByStore] = field(default_factory=dict)

    def of(self, model: str, version: str) -> PinsByStore:
        """What one version of a model was given."""
        return self.owners.get(owner_of(model, version), _NOTHING)

    def version_of(self, owner: str, store: str, reference: SecretReference) -> str | None:
        return self.owners.get(owner, _NOTHING).get(store, NO_PINS).get(reference)

    def with_(self, pins: Iterable[Pin]) -> PinBook:
        """With more decisions. One that was made before stays as it was."""
        owners = {owner: dict(stores) for owner, stores in self.owners.items()}
        for pin in pins:
            stores = owners.setdefault(pin.owner, {})
            reference = SecretReference.parse(pin.reference)
            stores[pin.store] = {reference: pin.version, **stores.get(pin.store, NO_PINS)}
        return PinBook(owners)


NO_BOOK: Final = PinBook()


def owner_of(model: str, version: str) -> str:
    return f"Model/{model}@{version}"


def store_of(reference: SecretReference, delivery: SecretDelivery | None) -> str:
    """The store that a reference leads to in a cluster; empty where it is not delivered."""
    if delivery is None:
        return ""
    if reference.store == "vault":
        return f"vault/{delivery.vault.store}" if delivery.vault else ""
    return f"aws/{delivery.aws.account}/{delivery.aws.region}" if delivery.aws else ""


def pins_in(given: PinsByStore, delivery: SecretDelivery | None) -> Pins:
    """What holds in a cluster with that delivery."""
    return {
        reference: version
        for store, pins in given.items()
        for reference, version in pins.items()
        if store_of(reference, delivery) == store
    }
