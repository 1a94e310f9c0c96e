"""Grouping: which units of a plan stand and fall together.

Separate and pure, because it decides how far a failure reaches. The invariant: what one commit
changed is one group; a unit left over from an earlier commit is a group of its own, so that it
delays and undoes nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.outstanding import NO_OBJECTS, Outstanding, Place, is_news
from reconciler.core.plans import Change, Plan
from reconciler.engine.executing import Group


def groups_of(
    plan: Plan,
    work: Sequence[Outstanding],
    *,
    desired: DesiredState,
    accepted: DesiredState | None,
) -> tuple[Group, ...]:
    """The newest commit's group first, then one for each unit left over, over all clusters.

    `accepted` is the state in force before; without one, everything is the first sync's.
    """
    changes: dict[Place, list[tuple[ClusterName, Change]]] = defaultdict(list)
    for cluster, change in plan.all_changes():
        changes[cluster, change.unit].append((cluster, change))
    digests = {(item.cluster, unit): digest for item in work for unit, digest in item.units.items()}
    # Drift in a settled unit, and orphans, belong to units that are not outstanding themselves.
    for cluster, unit in changes:
        wanted = desired.units.get((cluster, unit))
        digests.setdefault((cluster, unit), wanted.digest if wanted else NO_OBJECTS)
    newest = [place for place in digests if is_news(place, digests[place], accepted)]
    leftovers: dict[UnitName, list[Place]] = defaultdict(list)
    for place in sorted(digests.keys() - set(newest)):
        leftovers[place[1]].append(place)
    places = ([newest] if newest else []) + list(leftovers.values())
    return tuple(
        Group(
            head=plan.head,
            units={place: digests[place] for place in group},
            changes=tuple(item for place in group for item in changes[place]),
            whole=accepted is not None,
        )
        for group in places
    )
