"""Rights: whether the daemon may do more in a cluster than it ever needs.

Separate from asking for them, which takes a server. The invariant: a daemon whose rights are
found here could give itself any right, or read secrets, on behalf of whoever can merge a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from reconciler.core.manifests import JsonObject

_ANY = "*"
_ESCALATION = frozenset({"escalate", "impersonate"})
_BINDING = frozenset({"bind"})


def excessive_rights(rules: Iterable[JsonObject]) -> tuple[str, ...]:
    """What among the rules of a SelfSubjectRulesReview is too much, in words, each once."""
    return tuple(sorted({reason for rule in rules for reason in _reasons(rule)}))


def _reasons(rule: JsonObject) -> Iterator[str]:
    resources, verbs = _names(rule, "resources"), _names(rule, "verbs")
    if not resources or not verbs:
        return  # A rule about paths such as /healthz.
    groups = _names(rule, "apiGroups")
    if _ANY in verbs:
        yield f"every verb on {_listed(resources)}"
    if _ANY in resources:
        yield f"{_listed(verbs)} on every resource of {_listed(groups, empty='the core group')}"
    if found := verbs & _ESCALATION:
        yield f"{_listed(found)} on {_listed(resources)}"
    if verbs & _BINDING and not _names(rule, "resourceNames"):
        # Whoever may bind any role may give itself cluster-admin.
        yield f"bind on every one of {_listed(resources)}"
    if any(name.partition("/")[0] == "secrets" for name in resources) and groups & {"", _ANY}:
        yield f"{_listed(verbs)} on secrets"


def _names(rule: JsonObject, field: str) -> frozenset[str]:
    return frozenset(cast("list[str]", rule.get(field) or ()))


def _listed(names: Iterable[str], *, empty: str = "") -> str:
    return ", ".join(name or empty for name in sorted(names))
