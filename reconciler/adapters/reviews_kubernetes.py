"""TokenReview and SubjectAccessReview of one API server.

Separate from the cluster's adapter, because the authorizer has no other right there. The
invariant: a token goes into the body of one request to the API server and nowhere else, and what
the answer does not say plainly is a no.
"""

from __future__ import annotations

from typing import Any

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.core.authorizing.deciding import Caller, Question
from reconciler.core.kinds import API_GROUP
from reconciler.core.manifests import JsonObject

_CREDENTIAL = "authentication.kubernetes.io/credential-id"
RESOURCE = "modelversions"


class KubernetesReviews:
    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def caller(self, token: str, audiences: tuple[str, ...]) -> Caller | None:
        body: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(audiences)},
        }
        status = await self._review("authentication.k8s.io/v1/tokenreviews", body, "review a token")
        granted = tuple(name for name in status.get("audiences") or () if name in audiences)
        user: dict[str, Any] = status.get("user") or {}
        if status.get("authenticated") is not True or not granted or not user.get("username"):
            return None
        extra: dict[str, list[str]] = user.get("extra") or {}
        return Caller(
            username=user["username"],
            uid=user.get("uid", ""),
            groups=tuple(user.get("groups") or ()),
            extra=tuple(sorted((name, tuple(values)) for name, values in extra.items())),
            audiences=granted,
            credential=next(iter(extra.get(_CREDENTIAL, ())), ""),
        )

    async def allowed(self, caller: Caller, question: Question) -> bool:
        body: JsonObject = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": caller.username,
                "uid": caller.uid,
                "groups": list(caller.groups),
                "extra": {name: list(values) for name, values in caller.extra},
                "resourceAttributes": {
                    "namespace": question.namespace,
                    "verb": "create",
                    "group": API_GROUP,
                    "resource": RESOURCE,
                    "subresource": question.action,
                    "name": question.name,
                },
            },
        }
        path = "authorization.k8s.io/v1/subjectaccessreviews"
        status = await self._review(path, body, "review an access")
        return status.get("allowed") is True and not status.get("denied")

    async def close(self) -> None:
        await self._connection.close()

    async def _review(self, path: str, body: JsonObject, doing: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._connection.request(
            "POST", f"/apis/{path}", doing=doing, body=body
        )
        return answer.get("status") or {}
