"""ClusterSnapshot: what is in a cluster now, as far as the watches have told.

Separate from the ledger, which says what we put there. Whole objects are kept compressed, because
ten thousand of them are looked at rarely and must fit beside everything else; what every event
asks for (owned fields, health) is kept ready. The invariant: an object is never replaced by an
older state of itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import orjson

from reconciler.core.diffing import owned_digest
from reconciler.core.health import Health, health_of
from reconciler.core.identifiers import ClusterName, Digest, GroupVersionKind, ObjectKey
from reconciler.core.manifests import JsonObject


@dataclass(frozen=True, slots=True)
class LiveObject:
    """One object as last seen. `owned` is the digest of the fields that are ours."""

    key: ObjectKey
    api_version: str
    uid: str
    version: int
    owned: Digest
    health: Health
    controlled: bool
    """Another object owns it, as a Deployment owns a ReplicaSet: it is not ours to prune."""
    packed: bytes

    @property
    def body(self) -> JsonObject:
        return cast(JsonObject, orjson.loads(zlib.decompress(self.packed)))


def key_of(body: JsonObject) -> tuple[ObjectKey, str]:
    """Key and API version of a live object."""
    api_version, kind = cast(str, body["apiVersion"]), cast(str, body["kind"])
    metadata = cast(JsonObject, body["metadata"])
    group = GroupVersionKind.of(api_version, kind).group
    namespace = cast(str, metadata.get("namespace") or "")
    return ObjectKey(group, kind, namespace, cast(str, metadata["name"])), api_version


def version_of(body: JsonObject) -> int:
    """The resource version as a number; they are comparable within a type (KEP-5504)."""
    metadata = cast(JsonObject, body["metadata"])
    return int(cast(str, metadata["resourceVersion"]))


def uid_of(body: JsonObject) -> str:
    return cast(str, cast(JsonObject, body["metadata"])["uid"])


def is_being_deleted(body: JsonObject) -> bool:
    """Whether a deletion was accepted already, and finalizers keep the object for a while."""
    return "deletionTimestamp" in cast(JsonObject, body["metadata"])


def live_object(body: JsonObject) -> LiveObject:
    """Condense what a decision may need of a live object."""
    key, api_version = key_of(body)
    metadata = cast(JsonObject, body["metadata"])
    owners = cast("list[JsonObject]", metadata.get("ownerReferences") or [])
    return LiveObject(
        key=key,
        api_version=api_version,
        uid=uid_of(body),
        version=version_of(body),
        owned=owned_digest(body),
        health=health_of(body),
        controlled=any(owner.get("controller") for owner in owners),
        # Level 1: a third of the time of the default level for a tenth more bytes.
        packed=zlib.compress(orjson.dumps(body), 1),
    )


class ClusterSnapshot(Protocol):
    """Live objects of one cluster. `stale` says why it may be out of date; empty when it is not."""

    @property
    def cluster(self) -> ClusterName: ...

    @property
    def stale(self) -> str: ...

    def get(self, key: ObjectKey) -> LiveObject | None: ...

    def __iter__(self) -> Iterator[LiveObject]: ...


class FrozenSnapshot:
    """A ClusterSnapshot made of given objects: for plans made aside from the daemon, and tests."""

    def __init__(
        self, cluster: ClusterName, objects: Iterable[LiveObject] = (), *, stale: str = ""
    ) -> None:
        self.cluster = cluster
        self.stale = stale
        self._objects: Mapping[ObjectKey, LiveObject] = {live.key: live for live in objects}

    def get(self, key: ObjectKey) -> LiveObject | None:
        return self._objects.get(key)

    def __iter__(self) -> Iterator[LiveObject]:
        return iter(self._objects.values())
