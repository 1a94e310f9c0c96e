"""The overview as people see it: the verdict, what needs somebody, and every unit in every cluster.

Separate from the status, which has the facts, and from the templates, which lay this out. The
invariants: the verdict is good only when the status surely is as declared; whatever waits, was
refused or cannot be seen is said with its reason; and a cell of a stale cluster is never good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.identifiers import ClusterName, UnitName, short
from reconciler.core.ledger import Ledger, Standing
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.page_marks import CLUSTERS, GOOD, STARTING, UNITS, Mark
from reconciler.core.problems import Problem
from reconciler.core.rollouts.reporting import RolloutStatus
from reconciler.core.sight import Sight
from reconciler.core.standing import ClusterState, ClusterStatus, Status, UnitStatus

MOST_ROWS = 30
"""Units in the matrix of the overview; those that are not settled come first."""
MOST_REASONS = 12

_URGENCY = (
    Standing.REFUSED,
    Standing.HELD,
    Standing.WAITING,
    Standing.PROGRESSING,
    Standing.SETTLED,
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not everything is as declared, and where to read more. `since` is RFC 3339."""

    mark: Mark
    subject: str
    words: str
    hint: str = ""
    href: str = ""
    since: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One unit in one cluster; without a mark it is not there, nor meant to be."""

    cluster: ClusterName
    mark: Mark | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    unit: UnitName
    href: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Units by clusters. `hidden` are units that are settled everywhere and not shown."""

    clusters: tuple[ClusterName, ...]
    rows: tuple[Row, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All of the first page. `starting` says what nothing is known of yet."""

    status: Status
    mark: Mark
    headline: str
    reasons: tuple[Reason, ...]
    more_reasons: int
    matrix: Matrix
    rollouts: tuple[RolloutStatus, ...]
    starting: tuple[str, ...] = ()

    @property
    def moving(self) -> tuple[RolloutStatus, ...]:
        """Rollouts on which there is something to see."""
        return tuple(r for r in self.rollouts if r.candidate or r.failure)


def overview(
    status: Status,
    ledgers: Mapping[ClusterName, Ledger],
    problems: Sequence[Problem],
    *,
    sight: Sight,
    starting: tuple[str, ...] = (),
) -> Overview:
    """`problems` are of the commit that was compiled last."""
    rollouts = tuple(r for r in status.rollouts if sight.rollout(r.rollout))
    reasons = list(_reasons(status, problems, sight))
    mark, headline = _verdict(status, starting)
    return Overview(
        status=status,
        mark=mark,
        headline=headline,
        reasons=tuple(reasons[:MOST_REASONS]),
        more_reasons=max(0, len(reasons) - MOST_REASONS),
        matrix=matrix(status.clusters, ledgers, sight=sight, most=MOST_ROWS),
        rollouts=rollouts,
        starting=starting,
    )


def _verdict(status: Status, starting: tuple[str, ...]) -> tuple[Mark, str]:
    states = [cluster.state for cluster in status.clusters]
    if starting:
        return STARTING, "Starting"
    if status.as_declared:
        return GOOD, "Everything is as declared"
    if stopped := _stopped(status):
        return stopped
    if stale := states.count(ClusterState.STALE):
        return CLUSTERS[ClusterState.STALE], f"{plural(stale, 'cluster')} cannot be seen"
    if status.fetch_trouble:
        return CLUSTERS[ClusterState.STALE], "The repository cannot be fetched"
    for rollout in status.rollouts:
        if rollout.failure and not rollout.candidate and rollout.failure.version == rollout.wanted:
            mark = Mark("bad", "back", "taken back")
            return mark, f"{rollout.rollout}: {rollout.wanted} was taken back"
    for state in (ClusterState.HELD, ClusterState.REFUSED, ClusterState.CONTESTED):
        if count := states.count(state):
            has = "has" if count == 1 else "have"
            return CLUSTERS[state], f"{plural(count, 'cluster')} {has} units that are {state}"
    if not status.clusters:
        return STARTING, "No cluster yet"
    if any(rollout.candidate for rollout in status.rollouts):
        return CLUSTERS[ClusterState.PROGRESSING], "A rollout is on its way"
    if ClusterState.WAITING in states:
        return CLUSTERS[ClusterState.WAITING], "Something waits"
    pending = status.pending or status.accepted
    words = f"Commit {short(pending)} is on its way" if pending else "Nothing is in force yet"
    return CLUSTERS[ClusterState.PROGRESSING], words


def _stopped(status: Status) -> tuple[Mark, str] | None:
    """What keeps the newest commit from being in force, if something does."""
    if status.refused:
        return CLUSTERS[ClusterState.REFUSED], f"Commit {short(status.refused)} was refused"
    if status.held:
        return CLUSTERS[ClusterState.WAITING], f"Commit {short(status.held)} waits for approval"
    return None


def _reasons(status: Status, problems: Sequence[Problem], sight: Sight) -> Iterator[Reason]:
    if status.fetch_trouble:
        yield Reason(
            CLUSTERS[ClusterState.STALE],
            "repository",
            status.fetch_trouble,
            hint="What was fetched before stays in force.",
        )
    if status.refused:
        yield from _refusal(status, problems, sight)
    if status.held:
        told = status.waits_for if sight.everything else "it waits for approval"
        href = f"/c/{status.held}"
        hint = "The commit before stays in force until it is approved."
        yield Reason(CLUSTERS[ClusterState.WAITING], short(status.held), told, hint=hint, href=href)
    yield from _trouble(status.clusters)
    yield from _units(status, sight)
    for cluster in status.clusters if sight.everything else ():
        for key in cluster.contested:
            yield Reason(
                CLUSTERS[ClusterState.CONTESTED],
                key,
                "is left alone: another manager keeps changing it",
                hint="Let one of the two stop writing these fields.",
                href=f"/clusters/{cluster.cluster}",
                where=cluster.cluster,
            )


def _refusal(status: Status, problems: Sequence[Problem], sight: Sight) -> Iterator[Reason]:
    assert status.refused is not None
    mark = CLUSTERS[ClusterState.REFUSED]
    href = f"/c/{status.refused}"
    if not sight.everything:
        yield Reason(mark, short(status.refused), "the commit before stays in force", href=href)
        return
    found = [problem for problem in problems if problem.severity == "error"]
    if not found:
        yield Reason(mark, short(status.refused), status.explanation, href=href)
    for problem in found:
        yield Reason(
            mark, problem.code, problem.message, problem.hint, href=href, where=problem.location
        )


def _trouble(clusters: Sequence[ClusterStatus]) -> Iterator[Reason]:
    for cluster in clusters:
        if cluster.trouble:
            yield Reason(
                CLUSTERS[ClusterState.STALE],
                cluster.cluster,
                f"cannot be seen: {cluster.trouble}",
                hint="What is said of it was true before; nothing is written until it answers.",
                href=f"/clusters/{cluster.cluster}",
                since=cluster.trouble_since,
            )


def _units(status: Status, sight: Sight) -> Iterator[Reason]:
    """Units that are not settled, once for all clusters in which that is for the same reason.

    Those of rollouts that move or were taken back are not among them: the rollouts say more.
    """
    told = {f"rollout/{r.rollout}" for r in status.rollouts if r.candidate or r.failure}
    where: dict[UnitStatus, list[ClusterName]] = defaultdict(list)
    for cluster in status.clusters:
        for unit in cluster.unsettled_units:
            is_told = unit.unit in told and unit.standing in (Standing.PROGRESSING, Standing.HELD)
            if unit.explanation and not is_told and sight.unit(unit.unit):
                where[unit].append(cluster.cluster)
    for unit, clusters in sorted(where.items(), key=lambda item: _URGENCY.index(item[0].standing)):
        yield Reason(
            UNITS[unit.standing],
            unit.unit,
            unit.explanation,
            href=f"/c/{unit.commit}" if unit.commit else f"/clusters/{clusters[0]}",
            where=", ".join(clusters),
        )


def matrix(
    clusters: Sequence[ClusterStatus],
    ledgers: Mapping[ClusterName, Ledger],
    *,
    sight: Sight,
    most: int,
) -> Matrix:
    """What is not settled first, then by name."""
    open_units = {unit.unit for cluster in clusters for unit in cluster.unsettled_units}
    known = {unit for ledger in ledgers.values() for unit in ledger.units}
    seen = [unit for unit in known | open_units if sight.unit(unit)]
    units = sorted(seen, key=lambda unit: (unit not in open_units, unit))
    return Matrix(
        clusters=tuple(cluster.cluster for cluster in clusters),
        rows=tuple(_row(unit, clusters, ledgers) for unit in units[:most]),
        hidden=max(0, len(units) - most),
    )


def _row(
    unit: UnitName, clusters: Sequence[ClusterStatus], ledgers: Mapping[ClusterName, Ledger]
) -> Row:
    cells = (_cell(unit, cluster, ledgers.get(cluster.cluster)) for cluster in clusters)
    return Row(unit, unit_path(unit), tuple(cells))


def unit_path(unit: UnitName) -> str:
    """The page about what a unit was made of; empty where there is none."""
    kind, _, name = unit.partition("/")
    return f"/{kind}s/{name}" if kind in ("rollout", "role", "agent") else ""


def _cell(unit: UnitName, cluster: ClusterStatus, ledger: Ledger | None) -> Cell:
    mark, words = unit_state(unit, cluster, ledger)
    return Cell(cluster.cluster, mark, words)


def unit_state(
    unit: UnitName, cluster: ClusterStatus, ledger: Ledger | None
) -> tuple[Mark | None, str]:
    """How a unit stands in a cluster, and why; no mark where there is no such unit."""
    is_there = ledger is not None and unit in ledger.units
    found = next((u for u in cluster.unsettled_units if u.unit == unit), None)
    if not is_there and found is None:
        return None, ""
    if cluster.state is ClusterState.STALE:
        return CLUSTERS[ClusterState.STALE], "cannot be seen now"
    if found is not None:
        return UNITS[found.standing], found.explanation
    assert ledger is not None
    state = ledger.units[unit]
    return UNITS[state.standing], state.explanation
