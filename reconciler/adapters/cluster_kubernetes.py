"""A real cluster behind the Cluster port.

Separate because only adapters may know HTTP, paths and field managers. The invariant: everything
is written by server-side apply under the one field manager with strict validation, and nothing
is deleted but the incarnation that the caller has seen.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping

from reconciler.adapters.cluster_connection import APPLY_PATCH, ApiConnection
from reconciler.adapters.cluster_credentials import ClusterAccess
from reconciler.adapters.cluster_discovery import Discovery, object_path
from reconciler.adapters.cluster_identity import identity_of
from reconciler.adapters.cluster_rights import rights_in
from reconciler.adapters.cluster_watching import Reflector
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ClusterName, GroupVersionKind, ObjectKey
from reconciler.core.manifests import FIELD_MANAGER, JsonObject
from reconciler.ports import ApiResource, Clock, WatchEvent


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

    @property
    def name(self) -> ClusterName:
        return self._name

    async def resources(self, *, refresh: bool = False) -> Mapping[GroupVersionKind, ApiResource]:
        return await self._discovery.resources(refresh=refresh)

    async def get(self, key: ObjectKey, api_version: str) -> JsonObject | None:
        doing = f"get {key}"
        path = await self._path_of(key, api_version, doing=doing)
        try:
            return await self.connection.request("GET", path, doing=doing)
        except Missing:
            return None

    async def apply(self, body: JsonObject, *, dry_run: bool, force: bool = False) -> JsonObject:
        key, api_version = identity_of(body)
        doing = f"{'dry-run' if dry_run else 'apply'} {key}"
        query = {
            "fieldManager": FIELD_MANAGER,
            "fieldValidation": "Strict",
            "force": "true" if force else "false",
        }
        if dry_run:
            query["dryRun"] = "All"
        return await self.connection.request(
            "PATCH",
            await self._path_of(key, api_version, doing=doing),
            doing=doing,
            query=query,
            body=body,
            content_type=APPLY_PATCH,
        )

    async def delete(self, key: ObjectKey, api_version: str, *, uid: str) -> bool:
        doing = f"delete {key}"
        options: JsonObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        path = await self._path_of(key, api_version, doing=doing)
        try:
            await self.connection.request("DELETE", path, doing=doing, body=options)
        except Missing:
            return False
        return True

    def watch(self, resource: ApiResource, *, selector: str) -> AsyncIterator[WatchEvent]:
        reflector = Reflector(
            self.connection, resource, selector=selector, clock=self._clock, jitter=self._jitter
        )
        return reflector.events()

    async def rights(self, namespace: str) -> tuple[JsonObject, ...]:
        return await rights_in(self.connection, namespace)

    async def close(self) -> None:
        await self.connection.close()

    async def _path_of(self, key: ObjectKey, api_version: str, *, doing: str) -> str:
        type_ = GroupVersionKind.of(api_version, key.kind)
        resource = await self._discovery.resource(type_, doing=doing)
        return object_path(resource, namespace=key.namespace, name=key.name, doing=doing)
