"""The names by which everything else refers to things.

Separate so that every module can share them without importing behaviour. The invariant: a value
of one of these types was checked where it was made, so nobody downstream checks it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

CommitSha = NewType("CommitSha", str)
"""Full hexadecimal Git object id of a commit: 40 digits, or 64 in a SHA-256 repository."""

BlobId = NewType("BlobId", str)
"""Full hexadecimal Git object id of a blob."""

TreeId = NewType("TreeId", str)
"""Full hexadecimal Git object id of the tree of a commit: equal for equal contents."""

ClusterName = NewType("ClusterName", str)
"""`metadata.name` of a Cluster document."""

DocumentPath = NewType("DocumentPath", str)
"""Slash-separated path of a file relative to the root of the config repository."""

UnitName = NewType("UnitName", str)
"""Name of what is applied, held or put back together, such as `rollout/fraud-detector`."""

Digest = NewType("Digest", str)
"""`sha256:` and 64 hexadecimal digits."""

_COMMIT_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def commit_sha(text: str) -> CommitSha:
    """Return `text` as a CommitSha.

    Raises:
        ValueError: `text` is not a full lower-case object id.
    """
    if not _COMMIT_SHA.fullmatch(text):
        raise ValueError(f"not a full commit SHA: {text!r}")
    return CommitSha(text)


def short(sha: str) -> str:
    """The first ten digits: enough to be unique in any repository that people read SHAs of."""
    return sha[:10]


@dataclass(frozen=True, slots=True, order=True)
class GroupVersionKind:
    """An API type as a manifest names it. `group` is empty for the core group."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, api_version: str, kind: str) -> GroupVersionKind:
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Identity of an object inside one cluster.

    The API version is left out on purpose: the same object is served under several versions, and
    a manifest that moves from v1beta1 to v1 is a change of the object, not another object.
    `namespace` is empty for a cluster-scoped object.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind}/{self.namespace}/{self.name}" if self.namespace else f"{kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """Inverse of `str`. Raises ValueError on anything else."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"not an object key: {text!r}")
        kind, _, group = parts[0].partition(".")
        namespace = parts[1] if len(parts) == 3 else ""
        return cls(group, kind, namespace, parts[-1])
