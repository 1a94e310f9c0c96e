"""Which rights are too many."""

from __future__ import annotations

import pytest

from reconciler.core.manifests import JsonObject
from reconciler.core.rights import excessive_rights


def rule(verbs: str, resources: str, groups: str = "apps") -> JsonObject:
    return {
        "verbs": list(verbs.split()),
        "resources": list(resources.split()),
        "apiGroups": [group.strip("'") for group in groups.split()],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule("*", "deployments"), "every verb on deployments"),
        (rule("get list", "*"), "get, list on every resource of apps"),
        (rule("get", "*", "''"), "get on every resource of the core group"),
        (rule("escalate", "roles", "rbac.authorization.k8s.io"), "escalate on roles"),
        (rule("impersonate", "users groups", "''"), "impersonate on groups, users"),
        (rule("bind", "roles", "rbac.authorization.k8s.io"), "bind on every one of roles"),
        (rule("get", "secrets", "''"), "get on secrets"),
        (rule("list", "secrets/status", "''"), "list on secrets"),
        (rule("get", "configmaps secrets", "*"), "get on secrets"),
    ],
)
def test_a_right_that_the_daemon_never_needs_is_named(given: JsonObject, expected: str) -> None:
    assert excessive_rights([given]) == (expected,)


@pytest.mark.parametrize(
    "given",
    [
        rule("get list watch patch create delete", "deployments"),
        rule("get", "secrets", "example.com"),
        {**rule("bind", "roles", "rbac.authorization.k8s.io"), "resourceNames": ["viewer"]},
        {"verbs": ["get"], "nonResourceURLs": ["*"]},
        {},
    ],
    ids=["what it needs", "another group's secrets", "binding one role", "paths", "an empty rule"],
)
def test_other_rights_are_no_reason_to_refuse(given: JsonObject) -> None:
    assert excessive_rights([given]) == ()
