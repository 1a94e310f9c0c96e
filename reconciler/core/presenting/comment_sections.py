"""The sections of a plan's comment below its facts, each as many lines as it has.

Separate from plan_comment.py, which decides how much of them fits. The invariant: what matters most
comes first in every section, so that what is cut is what matters least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reconciler.core.identifiers import ClusterName
from reconciler.core.plans import Action, WaitReason
from reconciler.core.presenting.comment_diffs import diff_lines
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.markdown import (
    Block,
    Inline,
    code,
    codes,
    fence,
    fold,
    joined,
    line,
    strong,
    text,
)
from reconciler.core.presenting.plan_view import (
    ChangeView,
    Importance,
    PlanView,
    RefusalView,
    UnitView,
    WaitingView,
)
from reconciler.core.problems import Problem, printable
from reconciler.core.redaction import masked

MOST_NAMES: Final = 4

_VERBS: Final = (
    (Action.DELETE, "deletes"),
    (Action.REPLACE, "replaces"),
    (Action.UPDATE, "changes"),
    (Action.CREATE, "creates"),
)
_NAMED: Final = frozenset({Action.DELETE, Action.REPLACE})
_MARKS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "±", Action.DELETE: "-"}


def refused(view: PlanView) -> Iterator[Inline]:
    """Why nothing would be applied."""
    for refusal in sorted(view.refusals, key=lambda r: (r.key, r.clusters)):
        yield _refusal(refusal)
    for budget in sorted(view.budgets, key=lambda b: b.cluster):
        if budget.excess:
            yield line(strong("deletions"), " in ", code(budget.cluster), f": {budget.excess}")


def _refusal(refusal: RefusalView) -> Inline:
    at = line(" at ", code(refusal.source)) if refusal.source else ()
    causes = [
        line(code(cause.field or "the object"), " is set by ", code(cause.manager))
        for cause in refusal.causes
        if cause.manager
    ]
    said = line(": ", joined(causes, "; ")) if causes else line(f": {refusal.explanation}")
    return line(
        code(str(refusal.key)),
        *_where(refusal.clusters),
        at,
        f": {refusal.code}",
        said,
    )


def unsettled(view: PlanView) -> Iterator[Inline]:
    """What waits, and what could not be asked about."""
    stale = WaitReason.CLUSTER_STALE
    yield from map(
        _waiting, sorted(view.waiting, key=lambda w: (w.reason is not stale, w.units, w.clusters))
    )
    for item in sorted(view.unverified, key=lambda u: (u.key, u.clusters)):
        yield line(
            "not checked: ", code(str(item.key)), *_where(item.clusters), f": {item.explanation}"
        )


def _waiting(item: WaitingView) -> Inline:
    words = {
        WaitReason.CLUSTER_STALE: "unknown, for the cluster cannot be seen",
        WaitReason.CONTESTED: "left alone, for another manager keeps changing it",
        WaitReason.EARLIER_STAGE: "waits for an earlier stage",
        WaitReason.REFUSED_BEFORE: "waits, for it was refused or put back before",
        WaitReason.REFUSED_TOGETHER: "waits, for its commit was refused as a whole",
    }[item.reason]
    named = codes(item.units, most=MOST_NAMES)
    return line(named, *_where(item.clusters), f": {words}: {item.explanation}")


def meaning(unit: UnitView) -> Inline:
    """What becomes of a unit, in words. What is deleted, and what gives access, is named."""
    parts: list[Inline] = []
    for action, verb in _VERBS:
        found = [change for change in unit.changes if change.action is action]
        given = [c for c in found if c.importance is Importance.PERMISSIONS]
        if given:
            parts.append(line(f"{verb}, giving access, ", _objects(given)))
        if rest := [c for c in found if c.importance is not Importance.PERMISSIONS]:
            named = _objects(rest) if action in _NAMED or len(rest) == 1 else text(_kinds(rest))
            parts.append(line(f"{verb} ", named))
    if any(change.force for change in unit.changes):
        parts.append(text("takes fields from another manager"))
    return line(strong(unit.headline), ": ", joined(parts, "; "))


def _objects(changes: Sequence[ChangeView]) -> Inline:
    return codes((str(change.key) for change in changes), most=MOST_NAMES)


def _kinds(changes: Iterable[ChangeView]) -> str:
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.key.kind] = counts.get(change.key.kind, 0) + 1
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [plural(count, kind) for kind, count in found[:MOST_NAMES]]
    rest = sum(count for _, count in found[MOST_NAMES:])
    return ", ".join([*listed, f"{rest:,} others"] if rest else listed)


def deletions(changes: Sequence[ChangeView], *, most: int) -> tuple[Block, int]:
    """Objects that go, together, in about `most` bytes; and how many of them are in it."""
    lines: list[str] = []
    left = most
    for change in changes:
        where = ", ".join(change.clusters[:MOST_NAMES])
        more = len(change.clusters) - MOST_NAMES
        counted = f" and {more} more" if more > 0 else ""
        told = printable(f"- {change.key} in {where}{counted}, from {change.source}")
        left -= len(told.encode()) + 1
        if left < 0:
            break
        lines.append(told)
    summary = text(f"{plural(len(lines), 'object')} deleted")
    return fold(summary, [fence(lines, language="diff")]), len(lines)


def difference(change: ChangeView) -> Block:
    """One object, folded."""
    notes = [f"from {change.source}"] if change.source else []
    if change.explanation:
        notes.append(change.explanation)
    if change.restarts:
        notes.append("its pods restart")
    if change.force:
        notes.append("fields are taken from another manager")
    alike = " · the same in " if len(change.clusters) > 1 else " · "
    where = line(alike, codes(change.clusters, most=MOST_NAMES))
    summary = line(code(f"{_MARKS[change.action]} {change.key}"), where)
    comments = [f"# {masked(note)}" for note in notes]
    return fold(summary, [fence([*comments, *diff_lines(change)], language="diff")])


def warned(problems: Iterable[Problem]) -> Iterator[Inline]:
    """Problems at files, with what to do."""
    for problem in problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        yield line(code(problem.location), f": {problem.message}{hint} ", code(problem.code))


def _where(clusters: Sequence[ClusterName]) -> tuple[Inline, ...]:
    return (line(" in ", codes(clusters, most=MOST_NAMES)),) if clusters else ()
