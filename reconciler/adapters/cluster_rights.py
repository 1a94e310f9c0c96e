"""What we may do in one namespace of a real cluster, as its API server tells it.

Separate from the cluster, because a server that asks others about rights cannot list them. The
invariant: a list that the server calls incomplete is never taken for the whole; what would be too
much is then asked one by one.
"""

from __future__ import annotations

import asyncio
from typing import cast

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.core.manifests import JsonObject
from reconciler.core.rights import PROBES, rule_of

_API = "/apis/authorization.k8s.io/v1"
_VERSION = "authorization.k8s.io/v1"

DEFAULT_NAMESPACE = "default"
"""The review wants a namespace; cluster-wide rules show in every one."""


async def rights_in(connection: ApiConnection, namespace: str) -> tuple[JsonObject, ...]:
    """Resource rules and non-resource rules, in the server's order."""
    where = namespace or DEFAULT_NAMESPACE
    status = await _ask(connection, "selfsubjectrulesreviews", "Rules", {"namespace": where})
    rules = cast("dict[str, list[JsonObject] | None]", status)
    listed = (*(rules.get("resourceRules") or ()), *(rules.get("nonResourceRules") or ()))
    if not status.get("incomplete"):
        return listed

    async def may(probe: JsonObject) -> bool:
        spec: JsonObject = {"resourceAttributes": {**probe, "namespace": where}}
        answer = await _ask(connection, "selfsubjectaccessreviews", "Access", spec)
        return bool(answer.get("allowed"))

    answers = await asyncio.gather(*map(may, PROBES))
    return (*listed, *(rule_of(probe) for probe, yes in zip(PROBES, answers, strict=True) if yes))


async def _ask(connection: ApiConnection, plural: str, what: str, spec: JsonObject) -> JsonObject:
    answer = await connection.request(
        "POST",
        f"{_API}/{plural}",
        doing="ask for our rights",
        body={"apiVersion": _VERSION, "kind": f"SelfSubject{what}Review", "spec": spec},
    )
    return cast(JsonObject, answer.get("status") or {})
