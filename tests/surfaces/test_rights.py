"""Which rights are too many."""

from __future__ import annotations

import pytest

from reconciler.core.manifests import JsonObject
from reconciler.core.rights import PROBES, excessive_rights, rule_of

AUTHENTICATION = "authentication.k8s.io"
RBAC = "rbac.authorization.k8s.io"


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
        (
            rule("create", "serviceaccounts/token", "''"),
            "create on every one of serviceaccounts/token",
        ),
        (
            rule("impersonate:user-info", "users", AUTHENTICATION),
            "impersonate:user-info on every one of users",
        ),
        (
            {**rule("impersonate:user-info", "groups"), "resourceNames": ["system:masters"]},
            "impersonate:user-info on system:masters",
        ),
        (
            {**rule("impersonate", "users", "''"), "resourceNames": ["alice"]},
            "impersonate on users",
        ),
        (
            {**rule("impersonate:arbitrary-node", "nodes", AUTHENTICATION), "resourceNames": ["n"]},
            "impersonate:arbitrary-node on nodes",
        ),
        (rule("impersonate-on:user-info:*", "roles", RBAC), "every verb on roles"),
        (
            rule("impersonate-on:user-info:escalate", "roles", RBAC),
            "impersonate-on:user-info:escalate on roles",
        ),
        (rule("impersonate-on:user-info:bind", "roles", RBAC), "bind on every one of roles"),
        (
            rule("impersonate-on:user-info:get", "secrets", "''"),
            "impersonate-on:user-info:get on secrets",
        ),
        (rule("create", "*/token", "''"), "create on every one of serviceaccounts/token"),
        (rule("create get", "nodes/proxy", "''"), "create, get on nodes/proxy"),
        (
            {**rule("bind", "clusterroles", RBAC), "resourceNames": ["cluster-admin", "viewer"]},
            "bind on cluster-admin",
        ),
        (
            rule("impersonate-on:user-info:create", "serviceaccounts/token", "''"),
            "create on every one of serviceaccounts/token",
        ),
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
        {**rule("create", "serviceaccounts/token", "''"), "resourceNames": ["bot"]},
        {**rule("impersonate:user-info", "users", AUTHENTICATION), "resourceNames": ["alice"]},
        {**rule("impersonate:serviceaccount", "serviceaccounts"), "resourceNames": ["applier"]},
        rule("impersonate-on:user-info:create impersonate-on:user-info:patch", "deployments"),
        {"verbs": ["get"], "nonResourceURLs": ["*"]},
        {},
    ],
    ids=[
        "what it needs",
        "another group's secrets",
        "binding one role",
        "a token of one identity",
        "being one person",
        "being one service account",
        "writing deployments as somebody",
        "paths",
        "an empty rule",
    ],
)
def test_other_rights_are_no_reason_to_refuse(given: JsonObject) -> None:
    assert excessive_rights([given]) == ()


def test_whatever_is_asked_one_by_one_is_too_much() -> None:
    assert all(excessive_rights([rule_of(probe)]) for probe in PROBES)
