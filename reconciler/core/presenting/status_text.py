"""A Status as lines for a terminal.

Separate from the status, as text is from the plan. The invariant: a cluster that is not as
declared has a line that says why, and silence of the daemon is said first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core.identifiers import short
from reconciler.core.presenting.lines import Line, Tone, line, piece, plural
from reconciler.core.presenting.rollout_text import rollout_summary
from reconciler.core.standing import ClusterState, ClusterStatus, Status

_TONES = {
    ClusterState.AS_DECLARED: Tone.GOOD,
    ClusterState.PROGRESSING: Tone.WARNING,
    ClusterState.WAITING: Tone.WARNING,
    ClusterState.CONTESTED: Tone.WARNING,
    ClusterState.HELD: Tone.BAD,
    ClusterState.REFUSED: Tone.BAD,
    ClusterState.STALE: Tone.BAD,
}
_HEADINGS = ("CLUSTER", "STATE", "COMMIT", "SINCE", "UNITS", "OBJECTS")


def status_lines(status: Status) -> Iterator[Line]:
    """The status from the verdict on."""
    yield _verdict(status)
    if not status.running:
        yield line(
            piece(
                "No daemon answers. What follows was recorded last; it may not be so any more.",
                Tone.BAD,
            )
        )
    yield from _commits(status)
    if status.clusters:
        yield ()
        yield from _table(status.clusters)
    for cluster in status.clusters:
        yield from _details(cluster)
    if status.rollouts:
        yield ()
        yield line(piece("Rollouts", Tone.STRONG))
        yield from (line(*rollout_summary(found), indent=1) for found in status.rollouts)
    if status.notices:
        yield ()
        yield line(piece("Declared, not enforced yet", Tone.STRONG))
        yield from (line(notice, indent=1) for notice in status.notices)


def _verdict(status: Status) -> Line:
    if status.as_declared:
        where = plural(len(status.clusters), "cluster")
        return line(
            piece(f"{status.repository}: {where} as declared at {_short(status.head)}", Tone.GOOD)
        )
    fine = sum(cluster.state is ClusterState.AS_DECLARED for cluster in status.clusters)
    text = f"{status.repository}: {fine} of {plural(len(status.clusters), 'cluster')} as declared"
    if status.refused:
        text += f", {_short(status.refused)} refused"
    elif status.held:
        text += f", {_short(status.held)} waits for approval"
    elif status.pending:
        text += f", {_short(status.pending)} is next"
    elif not status.running:
        text = f"{status.repository}: unknown"
    return line(piece(text, Tone.BAD if status.refused else Tone.WARNING))


def _commits(status: Status) -> Iterator[Line]:
    yield line(f"in force   {_short(status.accepted)}", indent=1)
    if status.head:
        yield line(f"head       {_short(status.head)}{_age(status.fetch_age_seconds)}", indent=1)
    if status.fetch_trouble:
        yield line(piece(f"not fetched: {status.fetch_trouble}", Tone.BAD), indent=1)
    if status.refused:
        yield line(
            piece(f"refused    {_short(status.refused)}", Tone.BAD),
            f"  {status.explanation}",
            indent=1,
        )
    if status.held:
        yield line(
            piece(f"held       {_short(status.held)}", Tone.WARNING),
            f"  {status.waits_for}",
            indent=1,
        )


def _table(clusters: Sequence[ClusterStatus]) -> Iterator[Line]:
    rows = [_HEADINGS, *map(_row, clusters)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for number, row in enumerate(rows):
        cells = [text.ljust(width + 2) for text, width in zip(row, widths, strict=True)]
        tone = Tone.FAINT if number == 0 else _TONES[clusters[number - 1].state]
        marked = piece(cells[1], tone)
        yield line(piece(cells[0]), marked, *map(piece, cells[2:]), indent=1)


def _row(cluster: ClusterStatus) -> tuple[str, ...]:
    units = cluster.settled_units + len(cluster.unsettled_units)
    return (
        cluster.cluster,
        cluster.state,
        _short(cluster.applied),
        cluster.since[:19] or "-",
        f"{cluster.settled_units}/{units}",
        f"{cluster.objects:,}",
    )


def _details(cluster: ClusterStatus) -> Iterator[Line]:
    lines: list[Line] = []
    if cluster.trouble:
        since = f" since {cluster.trouble_since[:19]}" if cluster.trouble_since else ""
        lines.append(line(piece(f"cannot be seen{since}: ", Tone.BAD), cluster.trouble, indent=1))
    for unit in cluster.unsettled_units:
        commit = f" by {_short(unit.commit)}" if unit.commit else ""
        why = f": {unit.explanation}" if unit.explanation else ""
        lines.append(
            line(piece(unit.unit, Tone.STRONG), f" is {unit.standing}{commit}{why}", indent=1)
        )
    for key in cluster.contested:
        text = f"{key} is left alone: another manager keeps changing it"
        lines.append(line(piece(text, Tone.WARNING), indent=1))
    if lines:
        yield ()
        yield line(piece(cluster.cluster, Tone.STRONG))
        yield from lines


def _short(sha: str | None) -> str:
    return short(sha) if sha else "none"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f"  fetched {seconds:.0f} s ago"
