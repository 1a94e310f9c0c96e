"""Relocating: rollouts that a commit moves to another namespace, which is refused.

Separate from the checks of a commit by itself, because what is wrong shows only beside what serves.
The invariant: no commit takes a route away from the versions between which it divides requests; a
route and what it leads to lie in one namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import UnitName
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Ledger
from reconciler.core.problems import Problem
from reconciler.core.rollouts.placing import gradual

Homes = Mapping[str, AbstractSet[str]]
"""Namespaces in which each rollout has something."""


def relocation_problems(desired: DesiredState, homes: Homes) -> tuple[Problem, ...]:
    """Rollouts that go step by step and are to leave all of their `homes`.

    One without steps is applied as it is, the new namespace before the old one goes.
    """
    return tuple(
        _problem(desired, rollout, min(homes[rollout.name]))
        for rollout in desired.rollouts.values()
        if gradual(rollout.spec.strategy)
        if homes.get(rollout.name) and rollout.spec.namespace not in homes[rollout.name]
        if desired.is_placed(rollout.name)
    )


def declared_homes(desired: DesiredState) -> Homes:
    """Where a commit has its rollouts."""
    return {
        rollout.name: {rollout.spec.namespace}
        for rollout in desired.rollouts.values()
        if desired.is_placed(rollout.name)
    }


def applied_homes(
    desired: DesiredState, ledgers: Iterable[Ledger], *, accepted: DesiredState | None
) -> Homes:
    """Where rollouts of `desired` were applied, of those that `accepted` does not have there."""
    units = {UnitName(f"rollout/{name}"): name for name in _moved(desired, accepted)}
    homes: dict[str, set[str]] = {}
    for ledger in ledgers if units else ():
        for entry in ledger.entries.values():
            if entry.unit in units and entry.applied is not None and entry.key.namespace:
                homes.setdefault(units[entry.unit], set()).add(entry.key.namespace)
    return homes


def _moved(desired: DesiredState, accepted: DesiredState | None) -> Iterator[str]:
    before = accepted.rollouts if accepted else {}
    for name, rollout in desired.rollouts.items():
        known = before.get(name)
        if known is None or known.spec.namespace != rollout.spec.namespace:
            yield rollout.name


def _problem(desired: DesiredState, rollout: Rollout, home: str) -> Problem:
    source = desired.source_of(rollout.name)
    return Problem(
        source.path,
        source.span,
        "rollout-moves",
        f"rollout {rollout.name} moves from namespace {home} to {rollout.spec.namespace}: its "
        "route would lead to nothing until replicas are up there",
        f"keep namespace {home}, and declare a second Rollout in {rollout.spec.namespace} with a "
        "name of its own; remove the first one when the second serves",
    )
