"""Render what a subject may do as RBAC: a Role and a RoleBinding for each namespace.

Separate from deciding who may do what. The invariant: nothing here is of the whole cluster, and
model versions are virtual resources that are named one by one, so that a grant is for exactly the
version that it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

from reconciler.core.access.reach import Reach
from reconciler.core.access.subjects import agent_namespace
from reconciler.core.kinds import API_GROUP
from reconciler.core.manifests import JsonObject, JsonValue

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
MODEL_VERSIONS: Final = "modelversions"
"""Resource that no API server has: `modelversions/infer` named MODEL@VERSION is asked for by
access reviews only."""


def group_subject(name: str) -> JsonObject:
    """A group as the API server calls it, with its prefix."""
    return {"apiGroup": RBAC_GROUP, "kind": "Group", "name": name}


def account_subject(namespace: str, name: str) -> JsonObject:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def rbac_objects(
    name: str, found: Mapping[str, Reach], subjects: list[JsonObject], labels: JsonObject
) -> Iterator[JsonObject]:
    """Of all namespaces. `name` is that of the objects."""
    for namespace, reach in found.items():
        yield from _bound(name, namespace, list(_rules(reach)), subjects, labels)


def token_rbac(agent: str, subjects: list[JsonObject], labels: JsonObject) -> Iterator[JsonObject]:
    """Who may be given tokens of the agent, and read on its namespace what they are for."""
    namespace = agent_namespace(agent)
    named = (("serviceaccounts/token", agent, "create"), ("namespaces", namespace, "get"))
    rules: list[JsonValue] = [
        {"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": [verb]}
        for resource, name, verb in named
    ]
    yield from _bound(f"fairlead:token:{agent}", namespace, rules, subjects, labels)


def _bound(
    name: str,
    namespace: str,
    rules: list[JsonValue],
    subjects: list[JsonObject],
    labels: JsonObject,
) -> Iterator[JsonObject]:
    metadata: JsonObject = {"name": name, "namespace": namespace, "labels": dict(labels)}
    yield {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": rules,
    }
    yield {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        "subjects": cast("list[JsonValue]", subjects),
    }


def _rules(reach: Reach) -> Iterator[JsonValue]:
    for model in reach.models:
        yield {
            "apiGroups": [API_GROUP],
            "resources": [f"{MODEL_VERSIONS}/{action}" for action in model.actions],
            "resourceNames": list(model.versions),
            "verbs": ["create"],
        }
    for rule in reach.resources:
        yield {
            "apiGroups": [rule.group],
            "resources": list(rule.resources),
            "verbs": list(rule.verbs),
        }
