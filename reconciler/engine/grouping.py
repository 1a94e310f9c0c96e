"""Grouping: which units of a plan stand and fall together.

Separate and pure, because it decides how far a failure reaches. The invariant: what one commit
changed is one group, in the first pass and in any later one that carries it on, so that it delays
and undoes no other commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, UnitName
from reconciler.core.ledger import UnitState
from reconciler.core.outstanding import NO_OBJECTS, Outstanding, Place, is_news
from reconciler.core.plans import Change, Plan
from reconciler.engine.executing import Group


def groups_of(
    plan: Plan,
    work: Sequence[Outstanding],
    *,
    desired: DesiredState,
    accepted: DesiredState | None,
    states: Mapping[Place, UnitState],
    rollouts: AbstractSet[UnitName] = frozenset(),
) -> tuple[Group, ...]:
    """The newest commit's group first, then one for each commit with units left over.

    Each of `rollouts`, which are on their way step by step, is a group of its own: it has its own
    way back, and must wait for no other.

    `accepted` is the state in force before; without one, everything is the first sync's. `states`
    are those of the units before this plan.
    """
    changes: dict[Place, list[tuple[ClusterName, Change]]] = defaultdict(list)
    for cluster, change in plan.all_changes():
        changes[cluster, change.unit].append((cluster, change))
    digests = {(item.cluster, unit): digest for item in work for unit, digest in item.units.items()}
    # Drift in a settled unit, and orphans, belong to units that are not outstanding themselves.
    for cluster, unit in changes:
        wanted = desired.units.get((cluster, unit))
        digests.setdefault((cluster, unit), wanted.digest if wanted else NO_OBJECTS)
    places = _parted(plan, digests, accepted=accepted, states=states, rollouts=rollouts)
    return tuple(
        Group(
            head=plan.head,
            origin=origin,
            units={place: digests[place] for place in group},
            changes=tuple(item for place in group for item in changes[place]),
            whole=accepted is not None,
        )
        for (origin, _), group in places.items()
    )


def _parted(
    plan: Plan,
    digests: Mapping[Place, Digest],
    *,
    accepted: DesiredState | None,
    states: Mapping[Place, UnitState],
    rollouts: AbstractSet[UnitName],
) -> Mapping[tuple[CommitSha, UnitName], list[Place]]:
    """Which places are one group, by the commit that they are from and, if alone, their unit."""
    newest = [
        place
        for place in digests
        if place[1] not in rollouts and is_news(place, digests[place], accepted)
    ]
    places = {(plan.head, UnitName("")): newest} if newest else {}
    for place in sorted(digests.keys() - set(newest)):
        if place[1] in rollouts:
            places.setdefault((plan.head, place[1]), []).append(place)
            continue
        origin = _origin(states.get(place))
        # What no commit explains, such as orphans, stands alone.
        alone = UnitName("") if origin else place[1]
        places.setdefault((origin or plan.head, alone), []).append(place)
    return places


def _origin(state: UnitState | None) -> CommitSha | None:
    return (state.heading_for or state.refused_commit) if state else None
