"""Kubernetes resources as rules of roles name them, and those that no rule may name.

Separate because RBAC wants API groups, which people leave out where everybody knows them. The
invariant: a role gives nobody secrets, tokens, other rights than it says, or the versions of models
past their own lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.core.declarations import Declarations
from reconciler.core.field_problems import did_you_mean
from reconciler.core.kinds import API_GROUP, Role
from reconciler.core.kinds.repository import PRIVILEGED_GROUPS
from reconciler.core.problems import Problem

_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ),
    "apps": ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "coordination.k8s.io": ("leases",),
    "discovery.k8s.io": ("endpointslices",),
    "gateway.networking.k8s.io": ("gateways", "grpcroutes", "httproutes"),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
    "serving.kserve.io": ("inferenceservices",),
}
_GROUPS: Final = {plural: group for group, plurals in _KNOWN.items() for plural in plurals}

_READING: Final = frozenset({"get", "list", "watch"})
_CREDENTIALS: Final = frozenset({"secrets", "serviceaccounts/token"})
_CLOSED_GROUPS: Final = frozenset({API_GROUP, "authentication.k8s.io", "authorization.k8s.io"})


def parted(resource: str) -> tuple[str | None, str]:
    """API group and resource of RBAC. No group where the name has none and is not a known one."""
    name, slash, subresource = resource.partition("/")
    plural, dot, group = name.partition(".")
    return (group if dot else _GROUPS.get(plural)), f"{plural}{slash}{subresource}"


def resource_problems(declarations: Declarations) -> Iterator[Problem]:
    """Rules of roles that name what is not known, or what no role may give."""
    for document, role in declarations.all(Role):
        for number, rule in enumerate(role.spec.allow):
            for place, resource in enumerate(rule.resources):
                if found := _objection(resource, frozenset(rule.verbs)):
                    where = document.span_at(("spec", "allow", number, "resources", place))
                    code, message, hint = found
                    yield Problem(document.path, where, code, message, hint)


def _objection(resource: str, verbs: frozenset[str]) -> tuple[str, str, str] | None:
    group, name = parted(resource)
    if (name.partition("/")[0] == "secrets" and group in (None, "")) or name in _CREDENTIALS:
        message = f"a role cannot give {resource}: Fairlead has no right to it that it could give"
        return "resource-not-allowed", message, "remove it, and let a secret store give it"
    if group is None:
        near = did_you_mean(name.partition("/")[0], _GROUPS)
        hint = f"write it with its group, such as leases.coordination.k8s.io; or {near}"
        return "unknown-resource", f"the API group of {resource} is not known", hint
    if group in _CLOSED_GROUPS or (group in PRIVILEGED_GROUPS and verbs - _READING):
        message = f"a role cannot give {', '.join(sorted(verbs - _READING) or sorted(verbs))} on "
        hint = "give get, list and watch, or remove it"
        if group == API_GROUP:
            hint = "write models and actions instead"
        return "resource-not-allowed", f"{message}{resource}, which gives rights", hint
    return None
