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

Pins: TypeAlias = Mapping[SecretReference, str]
"""References without a version → version, for one workload. Look up the reference as it stands."""

NO_PINS: Final[Pins] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One decision. `owner` is the version of a model whose replicas get the secret."""

    owner: str
    reference: str
    version: str


def owner_of(model: str, version: str) -> str:
    return f"Model/{model}@{version}"


@dataclass(frozen=True, slots=True)
class PinBook:
    """All that was decided, by owner."""

    owners: Mapping[str, Pins] = field(default_factory=dict)

    def of(self, model: str, version: str) -> Pins:
        """What one version of a model was given."""
        return self.owners.get(owner_of(model, version), NO_PINS)

    def with_(self, pins: Iterable[Pin]) -> PinBook:
        """With more decisions. One that was made before stays as it was."""
        owners = dict(self.owners)
        for pin in pins:
            reference = SecretReference.parse(pin.reference)
            owners[pin.owner] = {reference: pin.version, **owners.get(pin.owner, NO_PINS)}
        return PinBook(owners)


NO_BOOK: Final = PinBook()
