"""The outside world, in our words: what the engine needs of it and nothing else.

Separate so that the engine can run on real systems and on in-memory ones alike; each port has
one contract suite (tests/contracts) that every implementation passes. The invariant: a port
raises only the errors of core/errors.py, and speaks in values of core.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from reconciler.core.audit.records import AuditRecord
from reconciler.core.authorship import Author
from reconciler.core.commits import Commit, TreeDifference
from reconciler.core.identifiers import (
    BlobId,
    ClusterName,
    CommitSha,
    GroupVersionKind,
    ObjectKey,
)
from reconciler.core.kinds import Evaluation
from reconciler.core.ledger import Ledger, LedgerUpdate, Position
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.samples import EvaluationResult, QueryPoint
from reconciler.core.secret_versions import Pin


class Clock(Protocol):
    """Time. `now` is for people and records, `monotonic` (seconds) for every decision."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Repository(Protocol):
    """A bare mirror of the config repository. Nothing is ever checked out."""

    async def fetch(self) -> CommitSha:
        """Bring the branch up to date and return its head. Unavailable when nobody answers."""
        ...

    async def commit(self, revision: str) -> Commit:
        """The commit that a full or short SHA, branch or tag names. Missing when none does."""
        ...

    async def difference(self, base: CommitSha | None, head: CommitSha) -> TreeDifference:
        """Files that differ, by object id; every file when `base` is None."""
        ...

    async def read(self, blobs: Sequence[BlobId]) -> Mapping[BlobId, bytes]: ...

    async def range(self, base: CommitSha | None, head: CommitSha) -> tuple[Commit, ...]:
        """Commits reachable from `head` and not from `base`, oldest first, signatures verified
        where an allowed-signers file is configured.

        HistoryRewritten when `base` is not an ancestor of `head`.
        """
        ...


@dataclass(frozen=True, slots=True)
class ApiResource:
    """A type that the API server serves, at the version it is asked for."""

    type: GroupVersionKind
    plural: str
    namespaced: bool
    verbs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """The object exists and looks like this."""

    body: JsonObject


@dataclass(frozen=True, slots=True)
class Gone:
    """The object was deleted; `body` is its last state."""

    body: JsonObject


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything that exists was seen since the watch began or since Interrupted.

    What was not seen since then does not exist.
    """

    resource_version: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The stream broke; what is known grows stale until the next event. Retrying goes on.

    A whole new listing follows, ended by Listed. A stream that is resumed without a gap is not
    told.
    """

    explanation: str


WatchEvent: TypeAlias = "Seen | Gone | Listed | Interrupted"


class Delegate(Protocol):
    """What somebody else may write to a cluster: asked and written in their name."""

    async def seen_as(self) -> Author:
        """As whom the API server takes us. Forbidden when it does not let us be them."""
        ...

    async def apply(
        self, body: JsonObject, *, dry_run: bool, force: bool = False
    ) -> JsonObject: ...

    async def delete(
        self, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool: ...


class Cluster(Protocol):
    """One Kubernetes API server, as the identity that the settings give."""

    @property
    def name(self) -> ClusterName: ...

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        """What the server serves, cached until `refresh`."""
        ...

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None: ...

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        """Server-side apply under the one field manager; returns the object as stored.

        Raises Conflict, Forbidden, Immutable, Invalid; Missing for an unserved kind or an absent
        namespace; Throttled or Unavailable.
        """
        ...

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        """Ask for background deletion of exactly that incarnation; False when it was not there.

        Refused when another incarnation is. Finalizers may keep the object for a while.
        """
        ...

    def on_behalf_of(self, author: Author) -> Delegate: ...

    def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        """List, then stream, for ever: relists on 410, retries what is Transient with backoff."""
        ...

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        """Rules of a SelfSubjectRulesReview, which has those for the whole cluster as well.

        Of a server that cannot list them all, with those that would be too much and that it allows.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of a model. `uid` tells one that was made anew from the one before."""

    namespace: str
    name: str
    uid: str
    address: str
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replica answered over HTTP."""

    status: int
    body: bytes


class Replicas(Protocol):
    """The model servers of one cluster, each asked by itself."""

    async def find(
        self, namespace: str, labels: Mapping[str, str], *, starting: bool = False
    ) -> Sequence[Replica]:
        """Ready pods that have all the labels, by name; those that run and are not ready as well
        when `starting`. Transient when nobody answers.
        """
        ...

    async def get(self, replica: Replica, port: int, path: str) -> Answer:
        """Unavailable when the replica does not answer in time; any status is an answer."""
        ...

    async def post(self, replica: Replica, port: int, path: str, body: JsonValue) -> Answer:
        """The same for what takes work: it has more time than a `get`."""
        ...

    async def close(self) -> None: ...


class MetricsSource(Protocol):
    """A provider of time series that answers PromQL."""

    async def instant(self, expression: str) -> QueryPoint:
        """The value now of an expression that gives one; the trouble is in the point."""
        ...

    async def over(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[QueryPoint]:
        """Its values between two times (seconds since the epoch), one each `step` seconds.

        Transient when nobody answers, Invalid when the expression is wrong.
        """
        ...

    async def close(self) -> None: ...


class Ask(Protocol):
    """One version, asked a request."""

    async def __call__(self, request: JsonValue) -> JsonValue:
        """What it answers. Transient when nobody does, Refused when it says that it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a model, side by side."""

    rollout: str
    model: str
    namespace: str
    stable: str
    candidate: str
    ask_stable: Ask
    ask_candidate: Ask


class Evaluator(Protocol):
    """Finds out how good two versions are."""

    async def evaluate(self, evaluation: Evaluation, versions: Comparison) -> EvaluationResult:
        """Never raises for what the evaluation or the versions do: the result has the trouble."""
        ...


class Publisher(Protocol):
    """Writes the one thing to Git that the daemon writes by itself: the revert of a bad commit."""

    async def push_revert(self, commit: CommitSha, *, reason: str) -> CommitSha:
        """Push the commit that undoes `commit` to the branch, on top of its newest head.

        `reason` goes into the message. Returns the pushed commit, or the one that was pushed
        before for the same commit. RevertConflict when later commits touched the same places,
        Refused when the remote does not take it, Transient when it is away.
        """
        ...

    async def push_revert_branch(self, commit: CommitSha, *, reason: str) -> str:
        """Push it to a branch of its own, for a pull request; returns the name of the branch."""
        ...


class Tenure(Protocol):
    """The time during which this process may write to one cluster."""

    @property
    def epoch(self) -> int:
        """Grows with every change of holder; goes into the audit records."""
        ...

    def require(self) -> None:
        """Raise LeadershipLost unless the lease surely holds now, by the monotonic clock."""
        ...

    async def lost(self) -> None:
        """Return when the tenure has ended."""
        ...


class Lease(Protocol):
    """One writer per cluster."""

    def hold(self) -> AbstractAsyncContextManager[Tenure]:
        """Wait until the lease is ours, keep renewing it, release it on the way out."""
        ...


@dataclass(frozen=True, slots=True)
class Logged:
    """A record with its place in the log."""

    index: int
    record: AuditRecord


class StateStore(Protocol):
    """Durable state: the audit log, the ledgers, the position, the pins. One transaction a call."""

    async def append(
        self,
        records: Sequence[AuditRecord],
        *,
        updates: Sequence[LedgerUpdate] = (),
        position: Position | None = None,
        pins: Sequence[Pin] = (),
    ) -> Sequence[int]:
        """Write all or nothing, durably; returns the index of each record.

        A pin that is there stays as it is. Transient when the disk is full or the database is away:
        nothing was written.
        """
        ...

    async def ledger(self, cluster: ClusterName) -> Ledger: ...

    async def position(self) -> Position: ...

    async def pins(self) -> Sequence[Pin]: ...

    async def records(self, start: int = 0, limit: int = 1000) -> Sequence[Logged]: ...

    async def pending(self) -> Sequence[Logged]:
        """Intents that have no outcome: what a process that died may or may not have done."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Head:
    """The tree over the whole log at one moment."""

    size: int
    root: bytes


class AuditLog(Protocol):
    """The log as a tree: what checkpoints, proofs and exports need of a StateStore."""

    async def head(self) -> Head: ...

    async def leaves(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        """The bytes of the records, as they were hashed."""
        ...

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Stored hashes of one tile level: fewer than asked for where the tree ends."""
        ...

    async def inclusion(self, *, index: int, size: int) -> Sequence[bytes]:
        """The proof that record `index` is in the tree of the first `size` records."""
        ...

    async def consistency(self, *, old: int, new: int) -> Sequence[bytes]:
        """The proof that the tree of `new` records extends that of `old`."""
        ...

    async def checkpoints(self, start: int = 0, limit: int = 1000) -> Sequence[bytes]:
        """Signed notes of trees of at least `start` records, smallest first."""
        ...

    async def latest_checkpoint(self) -> bytes | None: ...

    async def keep_checkpoint(self, size: int, note: bytes) -> None:
        """Store a signed note for good; a second one for the same size changes nothing."""
        ...

    async def close(self) -> None: ...


class CheckpointAnchor(Protocol):
    """A place outside the log where checkpoints are kept, so that the log cannot take them back."""

    async def latest(self) -> bytes | None:
        """The signed note anchored last."""
        ...

    async def keep(self, note: bytes, *, proof: Sequence[bytes]) -> None:
        """Anchor `note`, with the proof that it extends the latest one; twice is as once."""
        ...
