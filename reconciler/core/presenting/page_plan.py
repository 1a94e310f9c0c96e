"""A plan as the page shows it: as the comment has it, cut to a length that a browser likes.

Separate from plan_view.py, which has all of it. The invariants: what is cut is counted, and it is
what matters least; the verdict is of the whole plan, whatever is shown of it; and nobody sees
changes of a team that is not theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from reconciler.core.identifiers import ObjectKey
from reconciler.core.presenting.access_told import MOST_TOLD, AccessTold
from reconciler.core.presenting.comment_diffs import diff_lines
from reconciler.core.presenting.comment_facts import Request, facts
from reconciler.core.presenting.impact import Impact
from reconciler.core.presenting.markdown import Inline
from reconciler.core.presenting.plan_text import verdict
from reconciler.core.presenting.plan_view import PlanView, UnitView
from reconciler.core.sight import Sight

MOST_CHANGES = 120
MOST_FIELDS = 20
MOST_WHOLE = 10
"""Objects made anew that are shown whole: writing one as YAML takes a millisecond."""
MOST_LINES = 80


@dataclass(frozen=True, slots=True)
class PlanPage:
    """`hidden` are changes that are not shown for length, `foreign` units of other teams.

    `facts` are the lines of the comment, where the plan is that of a pull request, and `access` is
    who gains and who loses by it; `whole` are objects that are made anew, line by line.
    """

    view: PlanView
    verdict: str
    units: tuple[UnitView, ...]
    drift: tuple[UnitView, ...]
    hidden: int
    foreign: int
    facts: tuple[Inline, ...] = ()
    access: AccessTold = field(default_factory=AccessTold)
    whole: Mapping[ObjectKey, tuple[str, ...]] = field(default_factory=dict)


def plan_page(
    view: PlanView, sight: Sight, *, impact: Impact | None = None, request: Request | None = None
) -> PlanPage:
    """`impact` and `request` are what the comment was made of."""
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
        facts=tuple(facts(view, impact, request))
        if impact and request and sight.everything
        else (),
        access=AccessTold(impact.access if impact else ()).seen_by(sight).first(MOST_TOLD),
        whole=_whole(shown),
    )


def _whole(units: Iterable[UnitView]) -> Mapping[ObjectKey, tuple[str, ...]]:
    made = (c for unit in units for c in unit.changes if c.desired is not None)
    return {
        change.key: tuple(
            line.removeprefix("+ ") for line in islice(diff_lines(change), MOST_LINES)
        )
        for change in islice(made, MOST_WHOLE)
    }


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
