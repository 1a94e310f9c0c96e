"""A PlanView as lines for a terminal.

Separate from the view, because other surfaces lay it out otherwise. The invariant: the verdict
stands first and says everything that could make a reader decide otherwise; what is left out for
length is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.core.identifiers import ClusterName, short
from reconciler.core.plans import Action, WaitReason
from reconciler.core.presenting.access_changes import AccessChange
from reconciler.core.presenting.lines import Line, Piece, Tone, line, piece, plural
from reconciler.core.presenting.plan_view import (
    ChangeView,
    FieldView,
    Importance,
    PlanView,
    RefusalView,
    UnitView,
    UnverifiedView,
    WaitingView,
)

LONGEST_VALUE = 120
MOST_FIELDS = 50
"""Fields of one object that are shown; `--json` has all of them."""

_SIGNS = {
    Action.CREATE: ("+", Tone.ADDED),
    Action.UPDATE: ("~", Tone.CHANGED),
    Action.REPLACE: ("±", Tone.REMOVED),
    Action.DELETE: ("-", Tone.REMOVED),
}


def plan_lines(view: PlanView, access: Sequence[AccessChange] = ()) -> Iterator[Line]:
    """The plan from the verdict to the digest. `access` is who gains and who loses."""
    yield verdict(view)
    yield from _body(view, access)
    yield ()
    yield line(piece(f"plan {view.digest}", Tone.FAINT))


def intent_lines(view: PlanView, access: Sequence[AccessChange] = ()) -> Iterator[Line]:
    """The difference of two commits: no digest, because nobody can approve what no cluster saw."""
    if view.empty:
        yield line(piece("No changes: both commits declare the same", Tone.GOOD))
    else:
        yield verdict(view)
    yield line(
        piece("Declared otherwise; no cluster was asked, so conflicts and drift are unknown")
    )
    yield from _body(view, access)


def _body(view: PlanView, access: Sequence[AccessChange]) -> Iterator[Line]:
    base = short(view.base) if view.base else "nothing accepted yet"
    yield line(
        piece(f"{view.repository}: {base} → {short(view.head)} · {_where(view)}", Tone.FAINT)
    )
    yield from _section("Refused, so nothing will be applied", Tone.BAD, _refusals(view))
    for gains, title in ((True, "Gains access"), (False, "Loses access")):
        told = (_access(change) for change in access if change.gains is gains)
        yield from _section(title, Tone.WARNING if gains else Tone.STRONG, told)
    yield from _units(view.units)
    yield from _section(
        "Drift: differs in the cluster and will be put back, whatever the commit",
        Tone.WARNING,
        (found for unit in view.drift for found in _unit(unit)),
    )
    yield from _section("Not checked by a dry run", Tone.WARNING, map(_unverified, view.unverified))
    yield from _section("Waiting", Tone.WARNING, map(_waiting, view.waiting))
    yield from _section(
        "Rollouts: what follows", Tone.STRONG, (line(way, indent=1) for way in view.rolling)
    )
    yield from _section(
        "Declared, not enforced yet", Tone.STRONG, (line(n, indent=1) for n in view.notices)
    )


def verdict(view: PlanView) -> Line:
    """One line that is enough to decide whether to read on."""
    if view.empty:
        return line(piece(f"No changes: {_where(view)} as declared", Tone.GOOD))
    parts = [_counts(view)]
    if view.widened:
        parts.append(f"{view.widened} giving access")
    if view.drifted:
        parts.append(f"{plural(view.drifted, 'object')} drifted")
    if view.waiting:
        count = sum(len(w.units) * len(w.clusters) for w in view.waiting)
        parts.append(f"{plural(count, 'unit')} waiting")
    if view.unverified:
        parts.append(f"{sum(len(u.clusters) for u in view.unverified)} not checked")
    parts.append(_where(view))
    if view.unseen:
        parts.append(f"{', '.join(view.unseen)} cannot be seen")
    if view.refused:
        count = sum(len(r.clusters) for r in view.refusals)
        count += sum(bool(budget.excess) for budget in view.budgets)
        text = f"REFUSED for {plural(count, 'reason')} · if it were not: {' · '.join(parts)}"
        return line(piece(text, Tone.BAD))
    return line(piece(" · ".join([*parts, "nothing refused"]), Tone.STRONG))


def _counts(view: PlanView) -> str:
    counts = view.counts
    texts = [
        f"{counts.get(Action.UPDATE, 0):,} to change",
        f"{counts.get(Action.CREATE, 0):,} to create",
        f"{counts.get(Action.DELETE, 0):,} to delete",
    ]
    if replaced := counts.get(Action.REPLACE):
        texts.append(f"{replaced:,} to replace")
    if recorded := sum(view.recorded.values()):
        texts.append(f"{recorded:,} to record only")
    return ", ".join(texts)


def _where(view: PlanView) -> str:
    return plural(len(view.clusters), "cluster") if view.clusters else "no cluster"


def _section(title: str, tone: Tone, lines: Iterable[Line]) -> Iterator[Line]:
    found = list(lines)
    if found:
        yield ()
        yield line(piece(title, tone))
        yield from found


def _access(change: AccessChange) -> Line:
    where = f" in {', '.join(change.clusters)}" if change.clusters else ""
    return line(piece(change.who, Tone.STRONG), f": {change.what}{where}", indent=1)


def _refusals(view: PlanView) -> Iterator[Line]:
    for refusal in view.refusals:
        yield from _refusal(refusal)
    for budget in view.budgets:
        if budget.excess:
            yield line(
                piece("✗ ", Tone.BAD),
                f"deletions in {budget.cluster}: {budget.excess}",
                indent=1,
            )


def _refusal(refusal: RefusalView) -> Iterator[Line]:
    yield line(
        piece("✗ ", Tone.BAD),
        piece(str(refusal.key), Tone.STRONG),
        f" in {_listed(refusal.clusters)}: {refusal.code}",
        *_source(refusal.source),
        indent=1,
    )
    yield line(refusal.explanation, indent=3)
    for cause in refusal.causes:
        said = f" is set by {cause.manager}" if cause.manager else f": {cause.message}"
        yield line(f"{cause.field or 'the object'}{said}", indent=3)


def _units(units: Sequence[UnitView]) -> Iterator[Line]:
    for unit in units:
        yield ()
        yield from _unit(unit)


def _unit(unit: UnitView) -> Iterator[Line]:
    yield line(piece(unit.headline, Tone.STRONG))
    everywhere = {change.clusters for change in unit.changes}
    for change in unit.changes:
        yield from _change(change, name_clusters=len(everywhere) > 1)


def _change(change: ChangeView, *, name_clusters: bool) -> Iterator[Line]:
    sign, tone = _SIGNS[change.action]
    where = f" in {_listed(change.clusters)}" if name_clusters else ""
    yield line(piece(f"{sign} {change.key}", tone), where, *_source(change.source), indent=1)
    if change.action is Action.REPLACE:
        yield line(piece("is deleted and made anew", Tone.REMOVED), indent=3)
    if change.importance is Importance.PERMISSIONS:
        yield line(piece("gives access", Tone.WARNING), indent=3)
    if change.written_as:
        yield line(piece(f"as {change.written_as}", Tone.FAINT), indent=3)
    if change.explanation:
        yield line(change.explanation, indent=3)
    if change.force:
        yield line(piece("takes fields over from another manager", Tone.WARNING), indent=3)
    for field in change.fields[:MOST_FIELDS]:
        yield _field(field)
    notes = []
    if len(change.fields) > MOST_FIELDS:
        notes.append(f"{plural(len(change.fields) - MOST_FIELDS, 'more field')}, see --json")
    if change.hidden:
        notes.append(f"{plural(change.hidden, 'field')} hidden: defaults and other managers")
    if change.restarts:
        notes.append("its pods restart")
    if notes:
        yield line(piece(" · ".join(notes), Tone.FAINT), indent=3)


def _recorded(view: PlanView) -> Iterator[Line]:
    for action, words in (
        (Action.ADOPT, "as declared already, without a record"),
        (Action.FORGET, "gone already, though recorded"),
    ):
        if count := view.recorded.get(action):
            yield line(f"{plural(count, 'object')} {words}", indent=1)


def _field(field: FieldView) -> Line:
    if field.before is None:
        return line(piece(f"+ {field.path}: {_value(field.after)}", Tone.ADDED), indent=3)
    if field.after is None:
        return line(piece(f"- {field.path}: {_value(field.before)}", Tone.REMOVED), indent=3)
    text = f"~ {field.path}: {_value(field.before)} → {_value(field.after)}"
    return line(piece(text, Tone.CHANGED), indent=3)


def _value(text: str | None) -> str:
    given = text or ""
    return given if len(given) <= LONGEST_VALUE else f"{given[: LONGEST_VALUE - 1]}…"


def _unverified(item: UnverifiedView) -> Line:
    return line(f"? {item.key} in {_listed(item.clusters)}: {item.explanation}", indent=1)


def _waiting(item: WaitingView) -> Line:
    words = {
        WaitReason.CLUSTER_STALE: "the cluster cannot be seen",
        WaitReason.CONTESTED: "another manager keeps changing it",
        WaitReason.EARLIER_STAGE: "an earlier stage comes first",
        WaitReason.REFUSED_BEFORE: "refused or put back before",
        WaitReason.REFUSED_TOGETHER: "its commit was refused as a whole",
    }[item.reason]
    return line(
        piece("… ", Tone.WARNING),
        piece(", ".join(item.units), Tone.STRONG),
        f" in {_listed(item.clusters)}: {words}: {item.explanation}",
        indent=1,
    )


def _source(source: str) -> tuple[Piece, ...]:
    return (piece(f"  {source}", Tone.FAINT),) if source else ()


def _listed(names: Iterable[ClusterName]) -> str:
    return ", ".join(names)
