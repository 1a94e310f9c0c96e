"""Runtime: what a position of a rollout means for one way of serving models.

Separate from the positions, which are the same for all. The invariant: only here and in what
implements it is anything of how a version comes to run, so a new way of serving is one class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import Digest
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.states import Target


class Loaded(NamedTuple):
    """An adapter or prompt that the replicas behind a Service have loaded, or a version of an
    InferenceService that is up."""

    namespace: str
    service: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one cluster has: the ledger's entries of a unit, and adapters that may get traffic.

    `settled` says whether the unit was seen to be healthy as it was applied last.
    """

    entries: tuple[Entry, ...] = ()
    loaded: frozenset[Loaded] = frozenset()
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Positioned:
    """A unit as it is to be now. Where something is `missing`, it has to wait as it is."""

    unit: Unit
    missing: frozenset[Loaded] = frozenset()


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers for a version: pods with these labels, on this port.

    `adapter` is what they know the version by, be it a prompt's; empty where they serve that
    version alone. `field` of a request's body names it, where no gateway marks the request.
    """

    labels: Mapping[str, str]
    port: int
    adapter: str = ""
    field: str = "model"


class Runtime(Protocol):
    """One way of serving. All of it is pure."""

    @property
    def holds(self) -> bool:
        """Whether traffic may have to wait for what is no object of a cluster."""
        ...

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        """Identity of what serves when the rollout is where its commit wants it."""
        ...

    def applied(
        self, desired: DesiredState, rollout: Rollout, entries: Iterable[Entry]
    ) -> Target | None:
        """The version that serves according to the ledgers, for a rollout without a state."""
        ...

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        """`unit`, which is as the commit declares it, at its place in the rollout."""
        ...

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        """Who answers for a version of the rollout."""
        ...
