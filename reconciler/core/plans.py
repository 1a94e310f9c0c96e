"""Plan: what would be done, as data.

Separate from the function that makes it (planning.py), because everybody reads plans: terminal,
pull request, page and executor use this same value. The invariant: the canonical JSON holds all
that decides what happens, so its digest is the identity of the plan, and two plans with one
digest do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from reconciler.core.audit.records import Reason
from reconciler.core.authorship import Author
from reconciler.core.diffing import ABSENT, FieldChange, redacted
from reconciler.core.errors import Cause
from reconciler.core.identifiers import (
    ClusterName,
    CommitSha,
    Digest,
    GroupVersionKind,
    ObjectKey,
    UnitName,
)
from reconciler.core.manifests import JsonObject, JsonValue, Manifest, canonical_json, digest_of
from reconciler.core.ordering import Wave

PLAN_VERSION = 1


class Action(StrEnum):
    """What is done to one object.

    ADOPT writes nothing: the object is already as declared, only the ledger lacks it. FORGET
    writes nothing either: it is gone already, only the ledger still has it.
    """

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    FORGET = "forget"

    @property
    def writes(self) -> bool:
        return self not in (Action.ADOPT, Action.FORGET)


@dataclass(frozen=True, slots=True)
class Change:
    """One object that will be written, with everything the executor needs to do so.

    `desired` is absent for a deletion, `previous` (what we applied before) for a creation.
    `fields` and `hidden` are what people see of an update: differences of fields that we own, and
    the number of others, such as server defaults. A creation is shown by `desired`, whole. `uid`
    binds a deletion or replacement to one incarnation.
    """

    unit: UnitName
    key: ObjectKey
    api_version: str
    action: Action
    reason: Reason
    wave: Wave
    stage: int
    commit: CommitSha
    desired: Manifest | None = None
    previous: Manifest | None = None
    fields: tuple[FieldChange, ...] = ()
    hidden: int = 0
    restarts: bool = False
    force: bool = False
    uid: str = ""
    explanation: str = ""
    """Why, in words, where reason, action and fields do not say it."""
    authors: tuple[Author, ...] = ()
    """In whose name it is written, and then those who may have brought it as well: each has to be
    allowed to. Nobody where it is the daemon's own doing."""

    @property
    def before(self) -> Digest | None:
        return self.previous.digest if self.previous else None

    @property
    def after(self) -> Digest | None:
        return self.desired.digest if self.desired else None

    @property
    def type(self) -> GroupVersionKind:
        return GroupVersionKind.of(self.api_version, self.key.kind)

    @property
    def source(self) -> str:
        manifest = self.desired or self.previous
        return str(manifest.source) if manifest else ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that the API server, or a rule, will not let through."""

    unit: UnitName
    key: ObjectKey
    code: str
    explanation: str
    causes: tuple[Cause, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Unverified:
    """An object that cannot be dry-run yet, such as one in a namespace that the plan creates."""

    unit: UnitName
    key: ObjectKey
    explanation: str


class WaitReason(StrEnum):
    """Why a unit is left as it is for now."""

    REFUSED_BEFORE = "refused-before"
    REFUSED_TOGETHER = "refused-together"
    CLUSTER_STALE = "cluster-stale"
    EARLIER_STAGE = "earlier-stage"
    CONTESTED = "contested"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A unit that this plan does not touch although it is not as declared."""

    unit: UnitName
    reason: WaitReason
    explanation: str


@dataclass(frozen=True, slots=True)
class Deletions:
    """The deletions of one cluster, held against the budget.

    `identity` is the digest of exactly these deletions; a commit that names it in
    `spec.release` lets them pass. `excess` says why they may not; empty when they may.
    """

    count: int = 0
    of: int = 0
    identity: Digest | None = None
    excess: str = ""


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The part of a plan that concerns one cluster. `drift` is what to put back regardless."""

    cluster: ClusterName
    changes: tuple[Change, ...] = ()
    drift: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    unverified: tuple[Unverified, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    deletions: Deletions = field(default_factory=Deletions)

    @property
    def settled(self) -> bool:
        """Nothing to write, to refuse or to wait for."""
        return not (self.changes or self.drift or self.refusals or self.waiting)


@dataclass(frozen=True)
class Plan:
    """All that making `head` true would do, in every cluster."""

    repository: str
    base: CommitSha | None
    head: CommitSha
    clusters: tuple[ClusterPlan, ...] = ()
    notices: tuple[str, ...] = ()
    rolling: tuple[str, ...] = ()

    @cached_property
    def canonical(self) -> bytes:
        return canonical_json(plan_json(self))

    @cached_property
    def digest(self) -> Digest:
        return digest_of(self.canonical)

    @property
    def refused(self) -> bool:
        """No part of the plan may be applied."""
        return any(c.refusals or c.deletions.excess for c in self.clusters)

    @property
    def empty(self) -> bool:
        return all(c.settled for c in self.clusters)

    def all_changes(self) -> Iterator[tuple[ClusterName, Change]]:
        for cluster in self.clusters:
            for change in (*cluster.changes, *cluster.drift):
                yield cluster.cluster, change


def plan_json(plan: Plan) -> JsonObject:
    """The plan as JSON, version 1. Values that may be credentials are shown as digests."""
    return {
        "version": PLAN_VERSION,
        "repository": plan.repository,
        "base": plan.base,
        "head": plan.head,
        "clusters": [_cluster_json(cluster) for cluster in plan.clusters],
        "notices": list(plan.notices),
        "rolling": list(plan.rolling),
    }


def _cluster_json(cluster: ClusterPlan) -> JsonObject:
    deletions = cluster.deletions
    return {
        "cluster": cluster.cluster,
        "changes": [change_json(change) for change in cluster.changes],
        "drift": [change_json(change) for change in cluster.drift],
        "refusals": [
            {
                "unit": refusal.unit,
                "object": str(refusal.key),
                "code": refusal.code,
                "explanation": refusal.explanation,
                "causes": [_cause_json(cause) for cause in refusal.causes],
                "source": refusal.source,
            }
            for refusal in cluster.refusals
        ],
        "unverified": [
            {"unit": item.unit, "object": str(item.key), "explanation": item.explanation}
            for item in cluster.unverified
        ],
        "waiting": [
            {"unit": item.unit, "reason": item.reason, "explanation": item.explanation}
            for item in cluster.waiting
        ],
        "deletions": {
            "count": deletions.count,
            "of": deletions.of,
            "identity": deletions.identity,
            "excess": deletions.excess,
        },
    }


def change_json(change: Change) -> JsonObject:
    # Left out where there is none, so that plans keep their digests.
    authors: JsonObject = {"as": [a.user for a in change.authors]} if change.authors else {}
    return {
        **authors,
        "unit": change.unit,
        "object": str(change.key),
        "apiVersion": change.api_version,
        "action": change.action,
        "reason": change.reason,
        "wave": change.wave.name.lower(),
        "stage": change.stage,
        "commit": change.commit,
        "source": change.source,
        "before": change.before,
        "after": change.after,
        "fields": [_field_json(redacted(item)) for item in change.fields],
        "hidden": change.hidden,
        "restarts": change.restarts,
        "force": change.force,
        "uid": change.uid,
        "explanation": change.explanation,
    }


def _field_json(change: FieldChange) -> JsonObject:
    shown: JsonObject = {"path": change.path}
    for name, value in (("before", change.before), ("after", change.after)):
        if value is not ABSENT:
            shown[name] = _present(value)
    return shown


def _present(value: object) -> JsonValue:
    return value  # type: ignore[return-value]


def _cause_json(cause: Cause) -> JsonObject:
    return {"field": cause.field, "message": cause.message, "manager": cause.manager}
