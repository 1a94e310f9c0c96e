"""Which types an API server serves, in two requests.

Separate because paths, scopes and verbs of all kinds come from here. The invariant: a type is
listed exactly when the server said so in one aggregated answer; nothing is guessed from names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import quote

from reconciler.adapters.cluster_connection import AGGREGATED_DISCOVERY, ApiConnection
from reconciler.core.errors import Invalid, Missing
from reconciler.core.identifiers import GroupVersionKind, ObjectKey
from reconciler.core.manifests import JsonObject
from reconciler.ports import ApiResource, Clock

REFRESH_SECONDS = 1.0
"""An unknown kind asks again, but a thousand of them in one second ask once."""


class Discovery:
    """Remembers the answer; asks again when told to, or when a kind is unknown."""

    def __init__(self, connection: ApiConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: Mapping[GroupVersionKind, ApiResource] = {}
        self._asked_at: float | None = None

    async def resources(self, *, refresh: bool) -> Mapping[GroupVersionKind, ApiResource]:
        if refresh or self._asked_at is None:
            await self._ask(since=self._clock.monotonic())
        return self._known

    async def resource(self, type_: GroupVersionKind, *, doing: str) -> ApiResource:
        """Raises Missing when the server does not serve the type, also on asking again."""
        if (known := self._known.get(type_)) is not None:
            return known
        await self._ask(since=self._clock.monotonic() - REFRESH_SECONDS)
        if (known := self._known.get(type_)) is not None:
            return known
        raise Missing(
            f"{doing}: the API server does not serve {type_.kind} in {type_.api_version}",
            hint="install its CustomResourceDefinition, or correct apiVersion and kind",
        )

    async def path_of(self, key: ObjectKey, api_version: str, *, doing: str) -> str:
        """Path of an object. Raises as `resource` and `object_path` do."""
        resource = await self.resource(GroupVersionKind.of(api_version, key.kind), doing=doing)
        return object_path(resource, namespace=key.namespace, name=key.name, doing=doing)

    async def _ask(self, *, since: float) -> None:
        """Have an answer that was asked for at `since` or later."""
        async with self._asking:
            if self._asked_at is not None and self._asked_at >= since:
                return
            asked_at = self._clock.monotonic()
            core, named = await asyncio.gather(
                *(
                    self._connection.request(
                        "GET", path, doing="discover API types", accept=AGGREGATED_DISCOVERY
                    )
                    for path in ("/api", "/apis")
                )
            )
            found: dict[GroupVersionKind, ApiResource] = {}
            for resource in (*_resources_in(core), *_resources_in(named)):
                found.setdefault(resource.type, resource)
            self._known = found
            self._asked_at = asked_at


def _resources_in(answer: JsonObject) -> Iterator[ApiResource]:
    if answer.get("kind") != "APIGroupDiscoveryList":
        raise Missing(
            "discover API types: the API server does not aggregate discovery",
            hint="use Kubernetes 1.30 or newer",
        )
    for group in cast("list[JsonObject]", answer.get("items") or []):
        group_name = str(cast(JsonObject, group.get("metadata") or {}).get("name") or "")
        for version in cast("list[JsonObject]", group.get("versions") or []):
            for resource in cast("list[JsonObject]", version.get("resources") or []):
                yield _resource(resource, group=group_name, version=str(version["version"]))


def _resource(resource: JsonObject, *, group: str, version: str) -> ApiResource:
    kind = cast(JsonObject, resource.get("responseKind") or {})
    return ApiResource(
        type=GroupVersionKind(group, version, str(kind.get("kind") or "")),
        plural=str(resource["resource"]),
        namespaced=resource.get("scope") == "Namespaced",
        verbs=frozenset(cast("list[str]", resource.get("verbs") or [])),
    )


def collection_path(resource: ApiResource, namespace: str = "") -> str:
    """Path of all objects of a type, in one namespace or (when empty) in all."""
    root = "/apis/" if resource.type.group else "/api/"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{resource.type.api_version}{within}/{resource.plural}"


def object_path(resource: ApiResource, *, namespace: str, name: str, doing: str) -> str:
    """Path of one object. Raises Invalid where the scope does not fit or a name is a path."""
    if resource.namespaced != bool(namespace):
        scope = "needs a namespace" if resource.namespaced else "belongs to no namespace"
        raise Invalid(f"{doing}: {resource.type.kind} {scope}", hint="correct metadata.namespace")
    if name in {"", ".", ".."} or "/" in name or namespace in {".", ".."}:
        raise Invalid(f"{doing}: not a name", hint="correct metadata.name")
    return f"{collection_path(resource, namespace)}/{quote(name, safe='')}"
