"""Kubernetes resources as rules of roles name them, and those that no rule may name.

Separate because RBAC wants API groups, which people leave out where everybody knows them. The
invariant: a role gives nobody secrets, tokens, other rights than it says, or the versions of models
past their own lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations
from reconciler.core.field_problems import did_you_mean
from reconciler.core.kinds import API_GROUP, Role
from reconciler.core.kinds.repository import PRIVILEGED_GROUPS
from reconciler.core.policy import Objection
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
                at: Pointer = ("spec", "allow", number, "resources", place)
                found = _objection(at, resource, frozenset(rule.verbs))
                if found is not None:
                    where = document.span_at(at)
                    yield Problem(document.path, where, found.code, found.message, found.hint)


def _objection(at: Pointer, resource: str, verbs: frozenset[str]) -> Objection | None:
    group, name = parted(resource)
    plural = name.partition("/")[0]
    if (plural == "secrets" and not group) or name in _CREDENTIALS:
        message = f"a role cannot give {resource}: Fairlead has no right to it that it could give"
        hint = "remove it, and let a secret store give it"
        return Objection(at, "resource-not-allowed", message, hint)
    if group is None:
        near = did_you_mean(plural, _GROUPS)
        hint = f"write it with its group, such as leases.coordination.k8s.io; or {near}"
        return Objection(at, "unknown-resource", f"the API group of {resource} is unknown", hint)
    if group in _CLOSED_GROUPS or (group in PRIVILEGED_GROUPS and verbs - _READING):
        ours = group == API_GROUP
        hint = "write models and actions instead" if ours else "give get, list and watch alone"
        message = f"a role cannot give {resource}, which gives rights"
        return Objection(at, "resource-not-allowed", message, hint)
    return None
