"""Writing to a real cluster, as the daemon or in somebody's name.

Separate from the cluster, which reads and watches, because only writes are done for others. The
invariant: everything is written by server-side apply under the one field manager with strict
validation, and nothing is deleted but the incarnation that the caller has seen.
"""

from __future__ import annotations

from typing import cast

from reconciler.adapters.cluster_connection import APPLY_PATCH, ApiConnection
from reconciler.adapters.cluster_discovery import Discovery
from reconciler.adapters.cluster_identity import identity_of
from reconciler.core.authorship import Author
from reconciler.core.errors import Missing
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import FIELD_MANAGER, JsonObject

_EVERYBODY = "system:authenticated"
"""The group that an API server adds to those of anybody it knows."""


class KubernetesWriter:
    """Writes; in the name of `author` if there is one."""

    def __init__(
        self, connection: ApiConnection, discovery: Discovery, author: Author | None = None
    ) -> None:
        self._connection = connection
        self._discovery = discovery
        self._author = author

    async def seen_as(self) -> Author:
        answer = await self._connection.request(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            doing="ask whom the API server takes us for",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            author=self._author,
        )
        status = cast("dict[str, JsonObject]", answer["status"])
        found = status["userInfo"]
        groups = cast("list[str]", found.get("groups") or [])
        return Author(
            self._author.signer if self._author else "",
            str(found["username"]),
            tuple(group for group in groups if group != _EVERYBODY),
        )

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
        return await self._connection.request(
            "PATCH",
            await self._discovery.path_of(key, api_version, doing=doing),
            doing=doing,
            query=query,
            body=body,
            content_type=APPLY_PATCH,
            author=self._author,
        )

    async def delete(
        self, key: ObjectKey, api_version: str, *, uid: str, dry_run: bool = False
    ) -> bool:
        doing = f"delete {key}"
        options: JsonObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        if dry_run:
            options["dryRun"] = ["All"]
        path = await self._discovery.path_of(key, api_version, doing=doing)
        try:
            await self._connection.request(
                "DELETE", path, doing=doing, body=options, author=self._author
            )
        except Missing:
            return False
        return True
