"""A real cluster behind the Cluster port.

Separate because only adapters may know HTTP and paths. The invariant: what is read here is read by
the identity that the settings give, whoever it is written for.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.adapters.cluster_credentials import ClusterAccess
from reconciler.adapters.cluster_discovery import Discovery
from reconciler.adapters.cluster_rights import rights_in
from reconciler.adapters.cluster_watching import Reflector
from reconciler.adapters.cluster_writing import KubernetesWriter
from reconciler.core.authorship import Author
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.ports import ApiResource, Clock, Delegate, WatchEvent


class KubernetesCluster:
    """One API server. Connects at first use; `connection` is for the lease in the same cluster."""

    def __init__(
        self,
        name: ClusterName,
        access: ClusterAccess,
        *,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._clock = clock
        self._jitter = jitter
        self.connection = ApiConnection(access, clock)
        self._discovery = Discovery(self.connection, clock)
        self._writer = KubernetesWriter(self.connection, self._discovery)

    @property
    def name(self) -> ClusterName:
        return self._name

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        return await self._discovery.resources(refresh=refresh)

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        doing = f"get {key}"
        path = await self._discovery.path_of(key, api_version, doing=doing)
        try:
            return await self.connection.request("GET", path, doing=doing)
        except Missing:
            return None

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        return await self._writer.apply(body, dry_run=dry_run, force=force)

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        return await self._writer.delete(key, api_version, uid=uid)

    def on_behalf_of(self, author: Author) -> Delegate:
        return KubernetesWriter(self.connection, self._discovery, author)

    def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        reflector = Reflector(
            self.connection, resource, selector=selector, clock=self._clock, jitter=self._jitter
        )
        return reflector.events()

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        return await rights_in(self.connection, namespace)

    async def close(self) -> None:
        await self.connection.close()
