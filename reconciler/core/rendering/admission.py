"""Render what an API server has to refuse: admission policies, and what they are told.

Separate from RBAC, which can only allow. The invariants: a policy looks at an object both as it was
and as it is to be, so that taking a label off or deleting the object is no way around; and where
its parameters are missing, it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

from reconciler.core.kinds.agent_scope import LONGEST_TOKEN
from reconciler.core.kinds.role import Restriction
from reconciler.core.manifests import JsonObject, JsonValue, canonical_json, digest_of
from reconciler.core.probes import with_probe
from reconciler.core.rendering.agents import (
    AGENT_LABEL,
    AUDIENCE_ANNOTATION,
    READING_ANNOTATION,
    SECONDS_ANNOTATION,
)
from reconciler.core.restrictions import RESTRICTION_LABEL, with_revision

_LONGEST_TOKEN: Final = int(LONGEST_TOKEN.total_seconds())
_API: Final = "admissionregistration.k8s.io/v1"

_BY_ACTION: Final = {
    "retrain": ("jobs", "cronjobs"),
    "promote": ("deployments", "statefulsets", "daemonsets", "inferenceservices", "httproutes"),
}
"""The workloads by which a cluster does it. Requests to a model are no objects."""

_GOVERNED: Final = (
    ("apps", ("deployments", "statefulsets", "daemonsets")),
    ("batch", ("jobs", "cronjobs")),
    ("gateway.networking.k8s.io", ("httproutes",)),
    ("serving.kserve.io", ("inferenceservices",)),
)

_LABELS: Final = (
    "[object, oldObject].filter(o, o != null && has(o.metadata.labels)).map(o, o.metadata.labels)"
)
_SELECTED: Final = (
    "params.data.resources.split('\\n').exists(r, r == request.resource.resource) && "
    "variables.labels.exists(l, params.data.labels.split('\\n').all(p, "
    "p.split('=')[0] in l && l[p.split('=')[0]] == p.split('=')[1]))"
)
_MEMBER: Final = (
    "request.userInfo.groups.exists(g, params.data.groups.split('\\n').exists(d, d == g))"
)

_NOTED: Final = "namespaceObject.metadata.annotations"
_SOMETHING_ELSE: Final = "request.resource.resource != 'serviceaccounts'"
_READING: Final = (
    f"('{READING_ANNOTATION}' in {_NOTED} && "
    f"object.spec.audiences == [{_NOTED}['{READING_ANNOTATION}']])"
)
"""A sign-in to a secret store, whose lives drivers and operators choose: up to 15 minutes."""

_TOKEN_RULES: Final = {
    "has(object.spec.expirationSeconds) && "
    f"object.spec.expirationSeconds <= {_LONGEST_TOKEN} && ({_READING} || "
    f"object.spec.expirationSeconds <= int({_NOTED}['{SECONDS_ANNOTATION}']))": (
        "a token of an agent is good for no longer than its scope says"
    ),
    f"object.spec.audiences == [{_NOTED}['{AUDIENCE_ANNOTATION}']] || {_READING}": (
        "a token of an agent is for the one audience that its scope says, or its secret store"
    ),
}


def shared_restriction(
    repository: str, parameters: str, labels: JsonObject
) -> Iterator[JsonObject]:
    """The one policy that all restrictions of a repository bind, and a binding that stays.

    An API server up to 1.36 that had no binding with a ConfigMap for a second sees no ConfigMap
    made or changed afterwards, until it is started again (kubernetes/kubernetes#130887). So one
    that restricts nobody is there before the first restriction and after the last.
    """
    name = _policy_name(repository)
    yield _restriction_policy(repository, labels)
    nobody: JsonObject = dict.fromkeys(("role", "actions", "labels", "groups", "resources"), "")
    yield from _bound(
        name, repository, nobody, parameters=parameters, namespaces=[parameters], labels=labels
    )


def _restriction_policy(repository: str, labels: JsonObject) -> JsonObject:
    policy: JsonObject = {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": _policy_name(repository), "labels": dict(labels)},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {
                "resourceRules": [
                    _resource_rule(group, resources, ("CREATE", "UPDATE", "DELETE"))
                    for group, resources in _GOVERNED
                ]
            },
            "variables": [
                {"name": "labels", "expression": _LABELS},
                {"name": "selected", "expression": _SELECTED},
            ],
            "validations": [
                {
                    "expression": f"!variables.selected || !{_MEMBER}",
                    "messageExpression": "'Role ' + params.data.role + ' denies ' + "
                    "params.data.actions + ' on models with ' + params.data.labels",
                    "reason": "Forbidden",
                }
            ],
        },
    }
    return with_probe(policy)


def restriction_objects(
    repository: str,
    role: str,
    restriction: Restriction,
    *,
    groups: Iterable[str],
    parameters: str,
    namespaces: Sequence[str],
    labels: JsonObject,
) -> Iterator[JsonObject]:
    """What binds one restriction. `parameters` is the namespace of the ConfigMap."""
    resources = [r for action in restriction.actions for r in _BY_ACTION.get(action, ())]
    if not resources or not namespaces:
        return
    data: JsonObject = {
        "role": role,
        "actions": " and ".join(restriction.actions),
        "labels": "\n".join(f"{k}={v}" for k, v in sorted(restriction.labels.items())),
        "groups": "\n".join(sorted(groups)),
        "resources": "\n".join(resources),
    }
    name = restriction_name(repository, role, restriction)
    marked: JsonObject = {**labels, RESTRICTION_LABEL: "true"}
    yield from _bound(
        name, repository, data, parameters=parameters, namespaces=namespaces, labels=marked
    )


def _bound(
    name: str,
    repository: str,
    data: JsonObject,
    *,
    parameters: str,
    namespaces: Sequence[str],
    labels: JsonObject,
) -> Iterator[JsonObject]:
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": parameters, "labels": dict(labels)},
        "data": with_revision(data),
    }
    among = _expression("kubernetes.io/metadata.name", "In", values=list(namespaces))
    binding = _binding(name, _policy_name(repository), labels, among)
    spec = cast(JsonObject, binding["spec"])
    spec["paramRef"] = {
        "name": name,
        "namespace": parameters,
        "parameterNotFoundAction": "Deny",
    }
    yield binding


def restriction_name(repository: str, role: str, restriction: Restriction) -> str:
    """By what it denies, and not by its place: then one that goes leaves the others alone."""
    content = [dict(restriction.labels), list(restriction.actions)]
    digest = digest_of(canonical_json(cast(JsonValue, content))).partition(":")[2][:8]
    return f"{_policy_name(repository)}-{role}-{digest}"


def token_policy(repository: str, labels: JsonObject) -> Iterator[JsonObject]:
    """What tokens agents may be given: short, and for whom the scope says alone."""
    name = f"fairlead-{repository}-agent-tokens"
    policy: JsonObject = {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [_resource_rule("", ("serviceaccounts/token",), ("CREATE",))]
            },
            "validations": [
                {
                    "expression": f"{_SOMETHING_ELSE} || ({expression})",
                    "message": message,
                    "reason": "Forbidden",
                }
                for expression, message in _TOKEN_RULES.items()
            ],
        },
    }
    yield with_probe(policy)
    yield _binding(name, name, labels, _expression(AGENT_LABEL, "Exists"))


def _binding(name: str, policy: str, labels: JsonObject, namespaces: JsonObject) -> JsonObject:
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "policyName": policy,
            "validationActions": ["Deny", "Audit"],
            "matchResources": {"namespaceSelector": {"matchExpressions": [namespaces]}},
        },
    }


def _expression(key: str, operator: str, **values: JsonValue) -> JsonObject:
    return {"key": key, "operator": operator, **values}


def _policy_name(repository: str) -> str:
    return f"fairlead-{repository}-unless"


def _resource_rule(group: str, resources: Sequence[str], operations: Sequence[str]) -> JsonValue:
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": list(operations),
        "resources": list(resources),
    }
