"""The ledger: what we have applied where, as far as we know for certain.

Separate from live observation, because it answers another question: not what is there, but what
we put there, from which commit, and what must still be taken away. It is write-ahead: an entry
exists before the object can, and goes only after the object was seen to be gone. So the union of
old and new is never smaller than what may exist in the cluster, whenever the process dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName
from reconciler.core.manifests import JsonObject, Manifest


@dataclass(frozen=True, slots=True)
class Applied:
    """The last apply that the API server confirmed."""

    manifest: Manifest
    commit: CommitSha
    observed: Digest
    """Digest of the fields that we own as the server stored them: see diffing.owned_digest."""
    uid: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object we may have written. `applied` is None until its creation was confirmed.

    `created` is set when our first write was to bring it into being: only then may putting a unit
    back take it away.
    """

    key: ObjectKey
    unit: UnitName
    api_version: str
    applied: Applied | None
    created: bool = False


class Standing(StrEnum):
    """How a unit stands in one cluster.

    REFUSED: its dry run did not pass, and is asked again now and then. HELD: it was applied, failed
    and was put back; nothing but another commit brings it back. WAITING: it belonged to a commit
    in which another unit is REFUSED or HELD, and commits are applied whole.
    """

    SETTLED = "settled"
    PROGRESSING = "progressing"
    REFUSED = "refused"
    HELD = "held"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class UnitState:
    """What is known of one unit in one cluster.

    `commit` and `digest` are of the state last settled. While REFUSED, HELD or WAITING, `refused`
    is the digest that must not be tried again by itself, `refused_commit` the commit that asked
    for it, and `explanation` what people are told. While PROGRESSING, `heading_for` is the commit
    that it is on its way to: units of one commit stay together in whatever pass.
    """

    unit: UnitName
    standing: Standing
    commit: CommitSha | None = None
    digest: Digest | None = None
    refused: Digest | None = None
    refused_commit: CommitSha | None = None
    explanation: str = ""
    heading_for: CommitSha | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is recorded of one cluster."""

    cluster: ClusterName
    entries: Mapping[ObjectKey, Entry] = field(default_factory=dict)
    units: Mapping[UnitName, UnitState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """Changes to one cluster's ledger that become durable together with the records beside them."""

    cluster: ClusterName
    put: tuple[Entry, ...] = ()
    drop: tuple[ObjectKey, ...] = ()
    units: tuple[UnitState, ...] = ()
    forget_units: tuple[UnitName, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where the whole repository stands.

    `accepted` is the newest commit that passed validation and dry run: the policy is read from
    it. `refused` is a newer commit that did not, with the reason; `held` is one that waits for
    approvals, and `waits_for` says whose. `applied` says, by cluster, up to which commit everything
    is as declared, and `since` when that was reached (RFC 3339).
    `journal` holds the state of each rollout by name, so that a position survives the daemon and
    a rebuilt cluster.
    """

    accepted: CommitSha | None = None
    refused: CommitSha | None = None
    explanation: str = ""
    applied: Mapping[ClusterName, CommitSha] = field(default_factory=dict)
    since: Mapping[ClusterName, str] = field(default_factory=dict)
    journal: Mapping[str, JsonObject] = field(default_factory=dict)
    held: CommitSha | None = None
    waits_for: str = ""
