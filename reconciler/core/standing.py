"""How everything stands: one value for the terminal, the page and whoever else asks.

Separate from the engine, whose facts it orders, and from presenting them. The invariant: unknown
is never success. A cluster that cannot be seen is stale, whatever was true before, and nothing
that waits, was refused or is contested counts as declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, cast

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from reconciler.core.identifiers import ClusterName, CommitSha, ObjectKey, UnitName
from reconciler.core.ledger import Ledger, Position, Standing
from reconciler.core.manifests import JsonObject
from reconciler.core.plans import Waiting
from reconciler.core.rollouts.reporting import RolloutStatus

_CAMEL = ConfigDict(alias_generator=to_camel, allow_inf_nan=False)
"""JSON has camel case."""


class ClusterState(StrEnum):
    """One word for a cluster, the worst that is true of it."""

    STALE = "stale"
    REFUSED = "refused"
    HELD = "held"
    CONTESTED = "contested"
    WAITING = "waiting"
    PROGRESSING = "progressing"
    AS_DECLARED = "as-declared"


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """A unit that is not settled, and why. `waits` is a WaitReason when a plan passed it over."""

    unit: UnitName
    standing: Standing
    commit: CommitSha | None = None
    explanation: str = ""
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A unit of a rollout that is not where its commit wants it: on its way, or `taken_back`."""

    unit: UnitName
    explanation: str
    taken_back: bool


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What is known of one cluster. `trouble` says why it cannot be seen; empty when it can."""

    ledger: Ledger
    trouble: str = ""
    trouble_since: str = ""
    leading: bool = False
    contested: tuple[ObjectKey, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """One cluster. `applied` is the commit up to which everything was as declared, at `since`.

    `trouble` says why the cluster cannot be seen, `trouble_since` from when on.
    """

    cluster: ClusterName
    state: ClusterState
    wanted: CommitSha | None
    applied: CommitSha | None
    since: str
    settled_units: int
    objects: int
    unsettled_units: tuple[UnitStatus, ...] = ()
    contested: tuple[str, ...] = ()
    trouble: str = ""
    trouble_since: str = ""
    leading: bool = False

    __pydantic_config__ = _CAMEL


@dataclass(frozen=True, slots=True)
class Status:
    """The whole repository at one moment. Times are RFC 3339.

    `running` is false when no daemon answered and only its database was read. `held` is a commit
    that waits for approvals, and `waits_for` says who gains what and whose approval is missing.
    """

    repository: str
    time: str
    running: bool
    head: CommitSha | None
    accepted: CommitSha | None
    refused: CommitSha | None
    explanation: str
    clusters: tuple[ClusterStatus, ...]
    fetch_age_seconds: float | None = None
    fetch_trouble: str = ""
    notices: tuple[str, ...] = ()
    rollouts: tuple[RolloutStatus, ...] = ()
    """Those that go step by step."""
    held: CommitSha | None = None
    waits_for: str = ""
    version: Literal[1] = 1

    __pydantic_config__ = _CAMEL

    @property
    def pending(self) -> CommitSha | None:
        """A commit that was seen and not judged yet."""
        judged = (self.accepted, self.refused, self.held)
        return self.head if self.head not in judged else None

    @property
    def as_declared(self) -> bool:
        """Whether the clusters surely are as the head of the branch says."""
        return (
            self.running
            and not self.fetch_trouble
            and self.head is not None
            and self.head == self.accepted
            and bool(self.clusters)
            and all(c.state is ClusterState.AS_DECLARED for c in self.clusters)
        )


def cluster_status(facts: ClusterFacts, position: Position) -> ClusterStatus:
    """Order what is known of one cluster."""
    ledger = facts.ledger
    unsettled = _unsettled(ledger, facts.waiting, facts.unfinished)
    # A unit that waits for a newer state is settled at the one before: it counts once.
    open_units = {unit.unit for unit in unsettled}
    applied = position.applied.get(ledger.cluster)
    return ClusterStatus(
        cluster=ledger.cluster,
        state=_state(facts, unsettled, applied=applied, wanted=position.accepted),
        wanted=position.accepted,
        applied=applied,
        since=position.since.get(ledger.cluster, ""),
        settled_units=len(ledger.units.keys() - open_units),
        objects=len(ledger.entries),
        unsettled_units=unsettled,
        contested=tuple(map(str, sorted(facts.contested))),
        trouble=facts.trouble,
        trouble_since=facts.trouble_since,
        leading=facts.leading,
    )


def _unsettled(
    ledger: Ledger, waiting: Sequence[Waiting], unfinished: Sequence[Unfinished]
) -> tuple[UnitStatus, ...]:
    found = {
        state.unit: UnitStatus(state.unit, state.standing, state.refused_commit, state.explanation)
        for state in ledger.units.values()
        if state.standing is not Standing.SETTLED
    }
    for item in waiting:
        known = found.get(item.unit)
        if known is None or not known.explanation:
            found[item.unit] = UnitStatus(
                item.unit,
                known.standing if known else Standing.WAITING,
                known.commit if known else None,
                item.explanation,
                item.reason,
            )
    for rollout in unfinished:
        standing = Standing.HELD if rollout.taken_back else Standing.PROGRESSING
        found.setdefault(
            rollout.unit, UnitStatus(rollout.unit, standing, explanation=rollout.explanation)
        )
    return tuple(found[unit] for unit in sorted(found))


_WORST = (
    (Standing.REFUSED, ClusterState.REFUSED),
    (Standing.HELD, ClusterState.HELD),
    (Standing.WAITING, ClusterState.WAITING),
    (Standing.PROGRESSING, ClusterState.PROGRESSING),
)


def _state(
    facts: ClusterFacts,
    unsettled: Iterable[UnitStatus],
    *,
    applied: CommitSha | None,
    wanted: CommitSha | None,
) -> ClusterState:
    if facts.trouble:
        return ClusterState.STALE
    standings = {unit.standing for unit in unsettled}
    for standing, state in _WORST[:2]:
        if standing in standings:
            return state
    if facts.contested:
        return ClusterState.CONTESTED
    for standing, state in _WORST[2:]:
        if standing in standings:
            return state
    if wanted is None or applied != wanted:
        return ClusterState.PROGRESSING
    return ClusterState.AS_DECLARED


_STATUS = TypeAdapter(Status)


def status_json(status: Status) -> JsonObject:
    """The status as JSON, version 1."""
    body = cast(JsonObject, _STATUS.dump_python(status, mode="json", by_alias=True))
    return {**body, "asDeclared": status.as_declared, "pending": status.pending}


def status_from_json(content: bytes) -> Status:
    """What `status_json` made a text of. Raises ValueError on anything else."""
    return _STATUS.validate_json(content)
