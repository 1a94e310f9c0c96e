"""What a set of objects lets somebody do, worked out from RBAC and admission as they are written.

Separate from the product's own evaluator, which reads documents: between two states there are
objects and no documents. The invariant: it knows nothing of how the objects were made, and reads
them as an API server does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.core.identifiers import ObjectKey

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
WRITES = {"create", "patch", "delete"}

Objects: TypeAlias = "Mapping[ObjectKey, Any]"


@dataclass(frozen=True, order=True)
class Act:
    """What a subject wants to do. Labels are those of the object that it would write."""

    subject: tuple[str, str]
    """Group and its name, or ServiceAccount and NAMESPACE/NAME."""
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()


def allows(objects: Objects, act: Act) -> bool:
    return _granted(objects, act) and not _refused(objects, act)


def allowed(objects: Objects, acts: Iterable[Act]) -> frozenset[Act]:
    return frozenset(act for act in acts if allows(objects, act))


def _granted(objects: Objects, act: Act) -> bool:
    for key, binding in objects.items():
        if (key.group, key.kind, key.namespace) != (RBAC, "RoleBinding", act.namespace):
            continue
        if not any(_is(subject, act.subject) for subject in binding.get("subjects", ())):
            continue
        role = objects.get(ObjectKey(RBAC, "Role", key.namespace, binding["roleRef"]["name"]))
        if role and any(_covers(rule, act) for rule in role["rules"]):
            return True
    return False


def _is(subject: Mapping[str, str], wanted: tuple[str, str]) -> bool:
    named = subject["name"]
    if subject["kind"] == "ServiceAccount":
        named = f"{subject['namespace']}/{named}"
    return (subject["kind"], named) == wanted


def _covers(rule: Mapping[str, list[str]], act: Act) -> bool:
    return (
        act.verb in rule["verbs"]
        and act.group in rule["apiGroups"]
        and act.resource in rule["resources"]
        and (not rule.get("resourceNames") or act.name in rule["resourceNames"])
    )


def _refused(objects: Objects, act: Act) -> bool:
    """By a restriction: a binding in the namespace, its policy, and its parameters."""
    if act.verb not in WRITES or act.group != "apps":
        return False
    return any(
        parameters is None or _restricts(parameters["data"], act)
        for namespaces, parameters in _restrictions(objects)
        if act.namespace in namespaces
    )


def _restrictions(objects: Objects) -> Iterator[tuple[list[str], Any]]:
    for key, binding in objects.items():
        if (key.group, key.kind) != (ADMISSION, "ValidatingAdmissionPolicyBinding"):
            continue
        spec = binding["spec"]
        policy = ObjectKey(ADMISSION, "ValidatingAdmissionPolicy", "", spec["policyName"])
        if "paramRef" not in spec or policy not in objects:
            continue
        (selector,) = spec["matchResources"]["namespaceSelector"]["matchExpressions"]
        reference = spec["paramRef"]
        parameters = ObjectKey("", "ConfigMap", reference["namespace"], reference["name"])
        yield selector["values"], objects.get(parameters)


def _restricts(data: Mapping[str, str], act: Act) -> bool:
    labels = [tuple(pair.split("=")) for pair in data["labels"].split("\n")]
    return (
        act.resource in data["resources"].split("\n")
        and all(pair in act.labels for pair in labels)
        and act.subject in [("Group", group) for group in data["groups"].split("\n")]
    )
