"""AuditRecord: one line of the log, and its bytes.

Separate from the tree that holds the records, because the engine writes records and never looks
at hashes. The invariant: a record names the commit it serves; an effect on a cluster has one
record with phase INTENT before it and one with phase OUTCOME after it, joined by `intent`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.manifests import JsonObject


class Phase(StrEnum):
    """INTENT is durable before an effect, OUTCOME follows it, DECISION has no effect of its own."""

    INTENT = "intent"
    OUTCOME = "outcome"
    DECISION = "decision"


class Verb(StrEnum):
    """What was meant to happen."""

    ACCEPT = "accept-commit"
    REFUSE = "refuse-commit"
    AWAIT = "await-approval"
    BREAK_GLASS = "break-glass"
    SETTLE = "settle-commit"
    APPLY = "apply"
    DELETE = "delete"
    HOLD = "hold-unit"
    ROLLOUT = "move-rollout"
    UNDO = "undo-commit"
    START = "start-daemon"
    STOP = "stop-daemon"
    LEAD = "take-lease"
    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    VIEW = "view-page"
    AUTHORIZE = "authorize-request"


class Reason(StrEnum):
    """Why it was meant to happen."""

    COMMIT = "commit"
    DRIFT = "drift"
    COMPENSATION = "compensation"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One entry of the audit log.

    `before` and `after` are digests of the object as we applied and will apply it; absent where
    there was, or will be, nothing. `result` is empty on an intent, `ok` or an error code after.
    `intent` is the index of the record whose outcome this is. `detail` holds what decided, such
    as problems, causes or verdict numbers; never payloads and never secrets.
    """

    time: datetime
    repository: str
    commit: CommitSha
    actor: str
    verb: Verb
    phase: Phase
    reason: Reason = Reason.COMMIT
    cluster: ClusterName | None = None
    unit: UnitName | None = None
    object: ObjectKey | None = None
    before: Digest | None = None
    after: Digest | None = None
    plan: Digest | None = None
    result: str = ""
    intent: int | None = None
    trace: str = ""
    detail: JsonObject = field(default_factory=dict)
