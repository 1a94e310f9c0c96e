"""A plan as the page shows it: as the comment has it, cut to a length that a browser likes.

Separate from plan_view.py, which has all of it. The invariants: what is cut is counted, and it is
what matters least; the verdict is of the whole plan, whatever is shown of it; and nobody sees
changes of a team that is not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.presenting.plan_text import verdict
from reconciler.core.presenting.plan_view import PlanView, UnitView
from reconciler.core.sight import Sight

MOST_CHANGES = 120
MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class PlanPage:
    """`hidden` are changes that are not shown for length, `foreign` units of other teams."""

    view: PlanView
    verdict: str
    units: tuple[UnitView, ...]
    drift: tuple[UnitView, ...]
    hidden: int
    foreign: int


def plan_page(view: PlanView, sight: Sight) -> PlanPage:
    units = tuple(unit for unit in view.units if sight.unit(unit.unit))
    drift = tuple(unit for unit in view.drift if sight.unit(unit.unit))
    shown, left = _cut(units, MOST_CHANGES)
    shown_drift, _ = _cut(drift, left)
    every = sum(len(unit.changes) for unit in (*units, *drift))
    seen = sum(len(unit.changes) for unit in (*shown, *shown_drift))
    return PlanPage(
        view=_own(view, sight),
        verdict="".join(piece.text for piece in verdict(view)),
        units=shown,
        drift=shown_drift,
        hidden=every - seen,
        foreign=len(view.units) + len(view.drift) - len(units) - len(drift),
    )


def _own(view: PlanView, sight: Sight) -> PlanView:
    """Without what names objects of other teams; the verdict counts them all the same."""
    if sight.everything:
        return view
    return replace(
        view,
        refusals=tuple(r for r in view.refusals if sight.unit(r.unit)),
        unverified=(),
        waiting=tuple(w for w in view.waiting if all(map(sight.unit, w.units))),
        notices=(),
        rolling=(),
    )


def _cut(units: tuple[UnitView, ...], most: int) -> tuple[tuple[UnitView, ...], int]:
    """The first changes, and how many more would have had room."""
    shown: list[UnitView] = []
    for unit in units:
        if most <= 0:
            break
        changes = unit.changes[:most]
        most -= len(changes)
        shown.append(replace(unit, changes=changes))
    return tuple(shown), most
