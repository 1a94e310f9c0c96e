"""PlanView: a plan as people read it, before it becomes text or a page.

Separate from the plan, which says everything, and from its renderings, which choose words. The
invariants: what was skipped, refused, is waiting or cannot be seen is part of the view, so no
rendering can call such a plan empty; and what may be a credential was replaced by a digest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeVar, cast

from reconciler.core.errors import Cause
from reconciler.core.fields import ABSENT, Absent, FieldChange
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.manifests import JsonValue, Manifest, canonical_json
from reconciler.core.ordering import Wave
from reconciler.core.plans import Action, Change, Plan, Refusal, Unverified, Waiting, WaitReason
from reconciler.core.presenting.meaning import headline
from reconciler.core.redaction import redacted
from reconciler.core.rendering.store_rights import VAULT_GROUP


class Importance(IntEnum):
    """What people must see first."""

    DELETION = 0
    PERMISSIONS = 1
    TRAFFIC = 2
    WORKLOADS = 3
    REST = 4


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field before and after, as JSON text. None where it is absent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A change, once for all the clusters in which it is the same.

    `desired` is what is made, of an object that is made anew; show it by `whole` only.
    """

    key: ObjectKey
    action: Action
    importance: Importance
    clusters: tuple[ClusterName, ...]
    source: str
    fields: tuple[FieldView, ...]
    hidden: int
    restarts: bool
    force: bool
    explanation: str
    desired: Manifest | None = None
    written_as: str = ""
    """In whose name; empty where it is the daemon's own doing."""

    @property
    def whole(self) -> JsonValue:
        """The object that is made anew, as it may be shown. None for any other change."""
        if self.desired is None:
            return None
        shown = redacted(FieldChange("", ABSENT, cast(JsonValue, self.desired.body))).after
        return None if isinstance(shown, Absent) else shown


@dataclass(frozen=True, slots=True)
class UnitView:
    """The changes of a unit. `headline` says in words what they mean."""

    unit: UnitName
    headline: str
    changes: tuple[ChangeView, ...]

    @property
    def importance(self) -> Importance:
        return min(change.importance for change in self.changes)


@dataclass(frozen=True, slots=True)
class RefusalView:
    """A refused object, with its causes, once for all the clusters that refuse it alike."""

    unit: UnitName
    key: ObjectKey
    code: str
    explanation: str
    causes: tuple[Cause, ...]
    source: str
    clusters: tuple[ClusterName, ...]


@dataclass(frozen=True, slots=True)
class UnverifiedView:
    key: ObjectKey
    explanation: str
    clusters: tuple[ClusterName, ...]


@dataclass(frozen=True, slots=True)
class WaitingView:
    """Units that wait for the same reason in the same clusters."""

    units: tuple[UnitName, ...]
    reason: WaitReason
    explanation: str
    clusters: tuple[ClusterName, ...]


@dataclass(frozen=True, slots=True)
class BudgetView:
    """Deletions in one cluster. `excess` says why they may not be; empty when they may."""

    cluster: ClusterName
    count: int
    of: int
    excess: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """All of a plan. `counts` are of written objects in all clusters, without drift.

    `recorded` counts objects that are not written at all: the cluster is right, the ledger is not.
    """

    repository: str
    base: CommitSha | None
    head: CommitSha
    digest: Digest
    clusters: tuple[ClusterName, ...]
    counts: Mapping[Action, int]
    recorded: Mapping[Action, int]
    units: tuple[UnitView, ...]
    drift: tuple[UnitView, ...]
    refusals: tuple[RefusalView, ...]
    budgets: tuple[BudgetView, ...]
    unverified: tuple[UnverifiedView, ...]
    waiting: tuple[WaitingView, ...]
    notices: tuple[str, ...]
    rolling: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Nothing of the plan would be applied."""
        return bool(self.refusals) or any(budget.excess for budget in self.budgets)

    @property
    def unseen(self) -> tuple[ClusterName, ...]:
        """Clusters of which nothing can be said."""
        stale = (w.clusters for w in self.waiting if w.reason is WaitReason.CLUSTER_STALE)
        return tuple(sorted({cluster for clusters in stale for cluster in clusters}))

    @property
    def widened(self) -> int:
        """Objects that give access to somebody."""
        changes = (change for unit in self.units for change in unit.changes)
        return sum(len(c.clusters) for c in changes if c.importance is Importance.PERMISSIONS)

    @property
    def drifted(self) -> int:
        return sum(len(change.clusters) for unit in self.drift for change in unit.changes)

    @property
    def empty(self) -> bool:
        """Surely nothing to do, anywhere."""
        parts = (self.units, self.drift, self.recorded, self.unverified, self.waiting)
        return bool(self.clusters) and not self.refused and not any(parts)


def plan_view(plan: Plan) -> PlanView:
    """Order a plan for people: what matters first, and the same thing once."""
    changes = [(c.cluster, change) for c in plan.clusters for change in c.changes]
    drift = [(c.cluster, change) for c in plan.clusters for change in c.drift]
    recorded = [change.action for _, change in (*changes, *drift) if not change.action.writes]
    return PlanView(
        repository=plan.repository,
        base=plan.base,
        head=plan.head,
        digest=plan.digest,
        clusters=tuple(c.cluster for c in plan.clusters),
        counts=Counter(change.action for _, change in changes if change.action.writes),
        recorded=Counter(recorded),
        units=_units(changes),
        drift=_units(drift),
        refusals=_folded(
            [(c.cluster, _refusal_view(r)) for c in plan.clusters for r in c.refusals]
        ),
        budgets=tuple(
            BudgetView(c.cluster, c.deletions.count, c.deletions.of, c.deletions.excess)
            for c in plan.clusters
            if c.deletions.count
        ),
        unverified=_folded(
            [(c.cluster, _unverified_view(u)) for c in plan.clusters for u in c.unverified]
        ),
        waiting=_joined(
            _folded([(c.cluster, _waiting_view(w)) for c in plan.clusters for w in c.waiting])
        ),
        notices=plan.notices,
        rolling=plan.rolling,
    )


def _refusal_view(refusal: Refusal) -> RefusalView:
    return RefusalView(
        refusal.unit,
        refusal.key,
        refusal.code,
        refusal.explanation,
        refusal.causes,
        refusal.source,
        (),
    )


def _unverified_view(item: Unverified) -> UnverifiedView:
    return UnverifiedView(item.key, item.explanation, ())


def _waiting_view(item: Waiting) -> WaitingView:
    return WaitingView((item.unit,), item.reason, item.explanation, ())


_View = TypeVar("_View", RefusalView, UnverifiedView, WaitingView, ChangeView)


def _folded(items: Iterable[tuple[ClusterName, _View]]) -> tuple[_View, ...]:
    """Equal views once each, with the names of all their clusters, in the order of their first."""
    clusters: dict[_View, list[ClusterName]] = defaultdict(list)
    for cluster, view in items:
        clusters[view].append(cluster)
    return tuple(replace(view, clusters=tuple(sorted(found))) for view, found in clusters.items())


def _joined(items: Iterable[WaitingView]) -> tuple[WaitingView, ...]:
    """Units that wait alike, together."""
    units: dict[WaitingView, list[UnitName]] = defaultdict(list)
    for item in items:
        units[replace(item, units=())].extend(item.units)
    return tuple(replace(view, units=tuple(found)) for view, found in units.items())


def _units(changes: Sequence[tuple[ClusterName, Change]]) -> tuple[UnitView, ...]:
    by_unit: dict[UnitName, list[tuple[ClusterName, Change]]] = defaultdict(list)
    for cluster, change in changes:
        if change.action.writes:
            by_unit[change.unit].append((cluster, change))
    views = [
        UnitView(unit, headline(unit, found), _unit_changes(found))
        for unit, found in by_unit.items()
    ]
    return tuple(sorted(views, key=lambda view: (view.importance, view.unit)))


def _unit_changes(changes: Iterable[tuple[ClusterName, Change]]) -> tuple[ChangeView, ...]:
    folded = _folded((cluster, _change_view(change)) for cluster, change in changes)
    # Stable: what is written first stays first among equals.
    return tuple(sorted(folded, key=lambda view: (view.importance, view.key, view.clusters)))


def _change_view(change: Change) -> ChangeView:
    return ChangeView(
        key=change.key,
        action=change.action,
        importance=importance_of(change),
        clusters=(),
        source=change.source,
        fields=tuple(_field_view(redacted(item)) for item in change.fields),
        hidden=change.hidden,
        restarts=change.restarts,
        force=change.force,
        explanation=change.explanation,
        desired=change.desired if change.action in _MADE_ANEW else None,
        written_as=change.authors[0].user if change.authors else "",
    )


_MADE_ANEW = frozenset({Action.CREATE, Action.REPLACE})
_ACCESS = frozenset({"rbac.authorization.k8s.io", "admissionregistration.k8s.io", VAULT_GROUP})
_TRAFFIC = frozenset({"gateway.networking.k8s.io", "networking.k8s.io"})


def importance_of(change: Change) -> Importance:
    key = change.key
    if change.action in (Action.DELETE, Action.REPLACE):
        return Importance.DELETION
    # What gives in a secret store comes before the workloads that sign in there.
    gives = Wave.CONFIGURATION if key.group == VAULT_GROUP else Wave.WIDENING
    if key.group in _ACCESS and change.wave is gives:
        return Importance.PERMISSIONS
    if key.group in _TRAFFIC or (key.group, key.kind) == ("", "Service"):
        return Importance.TRAFFIC
    return Importance.WORKLOADS if change.wave is Wave.WORKLOADS else Importance.REST


def _field_view(change: FieldChange) -> FieldView:
    return FieldView(change.path, _json_text(change.before), _json_text(change.after))


def _json_text(value: JsonValue | Absent) -> str | None:
    return None if isinstance(value, Absent) else canonical_json(value).decode()
