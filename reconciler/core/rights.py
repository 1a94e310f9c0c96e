"""Rights: whether the daemon may do more in a cluster than it ever needs.

Separate from asking for them, which takes a server. The invariant: a daemon whose rights are
found here could give itself any right, or read secrets, on behalf of whoever can merge a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, cast

from reconciler.core.manifests import JsonObject

_ANY: Final = "*"
_ESCALATION: Final = frozenset({"escalate", "impersonate"})
"""`impersonate` lets one do all that somebody may: constrained impersonation has other verbs."""

_NODES: Final = frozenset({"impersonate:associated-node", "impersonate:arbitrary-node"})
_AS: Final = "impersonate:"
_DOING: Final = "impersonate-on:"
"""What may be done as somebody else is `impersonate-on:MODE:VERB` on the resource (KEP-5284)."""

_ALL_POWERFUL: Final = frozenset({"admin", "cluster-admin", "edit"})
"""ClusterRoles of Kubernetes that read secrets: to bind them is to have them."""

_OVER_ALL: Final = "system:masters"
"""The group that no access rule binds."""

PROBES: Final[tuple[JsonObject, ...]] = tuple(
    {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    for group, resource, subresource, verbs in (
        ("*", "*", "", ("*",)),
        ("", "secrets", "", ("get", "list", "create", "patch")),
        ("", "serviceaccounts", "token", ("create",)),
        ("", "nodes", "proxy", ("get", "create")),
        ("rbac.authorization.k8s.io", "roles", "", ("escalate", "bind")),
        ("rbac.authorization.k8s.io", "clusterroles", "", ("escalate", "bind")),
        ("", "users", "", ("impersonate",)),
        ("", "groups", "", ("impersonate",)),
        ("", "serviceaccounts", "", ("impersonate",)),
    )
    for verb in verbs
)
"""What to ask one by one where a server cannot list our rights: too much, each of them."""


def excessive_rights(rules: Iterable[JsonObject]) -> tuple[str, ...]:
    """What among the rules of a SelfSubjectRulesReview is too much, in words, each once."""
    return tuple(sorted({reason for rule in rules for reason in _reasons(rule)}))


def rule_of(probe: JsonObject) -> JsonObject:
    """A probe that a server answered with yes, as the rule that would say so."""
    parts = [str(probe["resource"]), str(probe["subresource"])]
    return {
        "verbs": [probe["verb"]],
        "apiGroups": [probe["group"]],
        "resources": ["/".join(filter(None, parts))],
    }


def _reasons(rule: JsonObject) -> Iterator[str]:
    resources, verbs = _names(rule, "resources"), _names(rule, "verbs")
    if not resources or not verbs:
        return  # A rule about paths such as /healthz.
    groups = _names(rule, "apiGroups")
    if any(verb.endswith(_ANY) for verb in verbs):
        yield f"every verb on {_listed(resources)}"
    if _ANY in resources:
        yield f"{_listed(verbs)} on every resource of {_listed(groups, empty='the core group')}"
    if found := {verb for verb in verbs if _plain(verb) in _ESCALATION or verb in _NODES}:
        yield f"{_listed(found)} on {_listed(resources)}"
    if any(name.partition("/")[0] == "secrets" for name in resources) and groups & {"", _ANY}:
        yield f"{_listed(verbs)} on secrets"
    if resources & {"nodes/proxy", "*/proxy"} and groups & {"", _ANY}:
        # The kubelet runs commands in any pod for whoever gets there.
        yield f"{_listed(verbs)} on nodes/proxy"
    yield from _too_many_names(rule, resources, verbs)


def _too_many_names(
    rule: JsonObject, resources: frozenset[str], verbs: frozenset[str]
) -> Iterator[str]:
    """What may be done to one or another, and not to all of them."""
    names = _names(rule, "resourceNames")
    becoming = {verb for verb in verbs if verb.startswith(_AS)}
    if becoming and _OVER_ALL in names:
        yield f"{_listed(becoming)} on {_OVER_ALL}"
    if (found := names & _ALL_POWERFUL) and any(_plain(verb) == "bind" for verb in verbs):
        yield f"bind on {_listed(found)}"
    if names:
        return
    if becoming - _NODES:
        yield f"{_listed(becoming - _NODES)} on every one of {_listed(resources)}"
    if any(_plain(verb) == "bind" for verb in verbs):
        # Whoever may bind any role may give itself cluster-admin.
        yield f"bind on every one of {_listed(resources)}"
    if resources & {"serviceaccounts/token", "*/token"} and any(
        _plain(verb) == "create" for verb in verbs
    ):
        # Whoever may mint a token for any identity is every identity.
        yield "create on every one of serviceaccounts/token"


def _plain(verb: str) -> str:
    """The verb itself, whoever it is done as."""
    return verb.rpartition(":")[2] if verb.startswith(_DOING) else verb


def _names(rule: JsonObject, field: str) -> frozenset[str]:
    return frozenset(cast("list[str]", rule.get(field) or ()))


def _listed(names: Iterable[str], *, empty: str = "") -> str:
    return ", ".join(name or empty for name in sorted(names))
