"""Writing to a cluster in memory in somebody's name.

Separate from the cluster, whose own calls are the daemon's. The invariant: whom it is done for is
told with every call, so that a test may let one and not another.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.core.authorship import Author
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject


class Askable(Protocol):
    """A cluster that is told who asks."""

    async def hear(self, asker: str) -> None: ...

    async def apply_for(
        self, asker: str, body: JsonObject, *, dry_run: bool, force: bool
    ) -> JsonObject: ...

    async def delete_for(
        self, asker: str, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool: ...


class MemoryDelegate:
    """One author in one cluster."""

    def __init__(self, cluster: Askable, author: Author) -> None:
        self._cluster = cluster
        self._author = author

    async def seen_as(self) -> Author:
        await self._cluster.hear(self._author.user)
        return self._author

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        return await self._cluster.apply_for(self._author.user, body, dry_run=dry_run, force=force)

    async def delete(
        self, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool:
        return await self._cluster.delete_for(
            self._author.user, key, api_version, uid=uid, dry_run=dry_run
        )
