"""The comment on a pull request: what merging would do, for whoever approves it.

Separate from the pieces it is made of, because here is decided what fits. The invariants: it is a
function of its values; it has at most `budget` bytes and is whole Markdown, whatever is in a plan;
the verdict and the facts are never cut, an object is shown whole or counted; and only a plan that
surely changes nothing says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.core.identifiers import short
from reconciler.core.plans import Action
from reconciler.core.presenting.comment_facts import Request, facts, verdict
from reconciler.core.presenting.comment_sections import (
    deletions,
    difference,
    meaning,
    refused,
    unsettled,
    warned,
)
from reconciler.core.presenting.impact import Impact
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.markdown import (
    Block,
    Inline,
    bullets,
    code,
    document,
    heading,
    line,
    link,
    paragraph,
    shortened,
    text,
)
from reconciler.core.presenting.plan_view import ChangeView, PlanView, UnitView

BUDGET: Final = 60_000
"""Bytes. GitHub takes 262,144 of a comment, and nobody reads that many."""

LEAST_BUDGET: Final = 8_000

_FOOT: Final = 900
"""Bytes kept for what is said last: how much was left out, and where it is."""

_LINES_PER_BUDGET: Final = 50
_TRIED: Final = 40
"""Objects that are tried after one did not fit. The next may be small; most are not."""


def plan_comment(view: PlanView, impact: Impact, *, request: Request, budget: int = BUDGET) -> str:
    """The whole comment, as Markdown. `budget` is in bytes, at least LEAST_BUDGET."""
    assert budget >= LEAST_BUDGET, "the facts need room"
    above = _summary(view, impact, request, longest=budget // _LINES_PER_BUDGET)
    left = budget - sum(block.size for block in above)
    return document([*above, *_details(view, impact, request, budget=left)])


def plan_summary(view: PlanView, impact: Impact, *, request: Request) -> str:
    """The verdict and the facts alone."""
    return document(_summary(view, impact, request, longest=BUDGET // _LINES_PER_BUDGET))


def plan_details(view: PlanView, impact: Impact, *, request: Request) -> str:
    """All that stands below the facts; empty where there is nothing to say."""
    blocks = _details(view, impact, request, budget=BUDGET)
    return document(blocks) if blocks else ""


def _summary(view: PlanView, impact: Impact, request: Request, *, longest: int) -> list[Block]:
    found = facts(view, impact, request)
    return [
        heading(3, shortened(verdict(view, impact, request), most=longest)),
        *_answers(request, longest),
        bullets(shortened(fact, most=longest) for fact in found),
    ]


def _details(view: PlanView, impact: Impact, request: Request, *, budget: int) -> list[Block]:
    room = _Room([], budget - _FOOT, longest=budget // _LINES_PER_BUDGET)
    for section, share in _sections(view, impact, request):
        room.add_section(section, most=room.left * share // 100)
    left_out = _add_differences(room, view)
    return [*room.blocks, *_foot(view, request, left_out)]


def _answers(request: Request, longest: int) -> list[Block]:
    found = [shortened(text(answer), most=longest) for answer in request.answers[-2:]]
    return [paragraph(answer) for answer in found]


@dataclass(frozen=True)
class _Section:
    """Lines under a title, made as they are asked for; `total` is how many there are."""

    title: str
    lines: Iterator[Inline]
    total: int


def _sections(view: PlanView, impact: Impact, request: Request) -> Iterator[tuple[_Section, int]]:
    """Each with the part of what is left that it may take, in percent."""
    told = tuple(f"{found.rollout}: " for found in impact.rollouts)
    rolling = [way for way in view.rolling if not way.startswith(told)]
    drift = "Drift: differs in the cluster already, and is put back whatever is merged"
    count = len(view.refusals) + sum(bool(budget.excess) for budget in view.budgets)
    yield _Section("Refused, so nothing would be applied", refused(view), count), 50
    count = len(view.waiting) + len(view.unverified)
    yield _Section("Waits, or is not known", unsettled(view), count), 40
    yield _Section(_changes_title(request), map(meaning, view.units), len(view.units)), 40
    yield _Section(drift, map(meaning, view.drift), len(view.drift)), 30
    yield _Section("Rollouts on their way", map(text, rolling), len(rolling)), 30
    yield _Section("Warnings", warned(request.problems), len(request.problems)), 30
    yield _Section("Declared, not enforced yet", map(text, view.notices), len(view.notices)), 20


def _changes_title(request: Request) -> str:
    if request.offline:
        return "Declared otherwise; what clusters would make of it is unknown"
    return "What merging changes"


@dataclass
class _Room:
    """The blocks so far, and the bytes that are left."""

    blocks: list[Block]
    left: int
    longest: int

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.left -= block.size

    def add_section(self, section: _Section, *, most: int) -> None:
        """The title and its lines; those beyond `most` bytes are counted."""
        above = heading(4, section.title)
        items: list[Inline] = []
        size = above.size + _COUNTED
        for found in section.lines:
            item = shortened(found, most=self.longest)
            size += bullets([item]).size
            if size > most:
                break
            items.append(item)
        if omitted := section.total - len(items):
            items.append(line(f"and {omitted:,} more, left out here for length"))
        if items:
            self.add(above)
            self.add(bullets(items))


_COUNTED: Final = 120
"""Bytes of the line that counts what was left out of a section."""


def _add_differences(room: _Room, view: PlanView) -> int:
    """The objects, in order of risk; returns how many were left out."""
    changes = [*_by_risk(view.units), *_by_risk(view.drift)]
    if not changes:
        return 0
    above = [heading(4, "Differences, object by object"), *_hidden(changes)]
    room.left -= sum(block.size for block in above)
    shown: list[Block] = []
    gone = [change for change in changes if change.action is Action.DELETE]
    block, count = deletions(gone, most=room.left // 3)
    if count:
        room.left -= block.size
        shown.append(block)
    failed = 0
    for change in changes:
        if failed > _TRIED:
            break
        if change.action is Action.DELETE:
            continue
        block = difference(change)
        if block.size <= room.left:
            room.left -= block.size
            shown.append(block)
            count += 1
        else:
            failed += 1
    room.blocks += [*above, *shown] if shown else []
    return len(changes) - count


def _hidden(changes: Iterable[ChangeView]) -> Iterator[Block]:
    """What no difference shows, counted, so that nobody takes it for nothing."""
    if count := sum(change.hidden * len(change.clusters) for change in changes):
        words = "server defaults, and what other managers set"
        yield paragraph(f"Hidden in them: {plural(count, 'field')} ({words}).")


def _by_risk(units: Iterable[UnitView]) -> list[ChangeView]:
    found = [(change.importance, unit.unit, change) for unit in units for change in unit.changes]
    return [change for *_, change in sorted(found, key=lambda item: item[:2])]


def _foot(view: PlanView, request: Request, left_out: int) -> Iterator[Block]:
    if not left_out:
        return
    total = sum(len(unit.changes) for unit in (*view.units, *view.drift))
    page = line(link("the page of this plan", request.url), " and ") if request.url else ()
    head, base = short(request.head), short(request.base)
    planned = f"--base {base} --head {head}" if request.offline else head
    command = code(f"fairlead plan {planned} --json")
    words = f"Not shown here for length: {left_out:,} of {plural(total, 'difference')}. "
    yield paragraph(shortened(line(words, page, command, " have all."), most=_FOOT - _COUNTED))
