"""Find the pods in manifests, and what is wrong with them.

Separate from the checks of names and metadata, because only workloads hold pods, each at another
depth. The invariant: an image that is not named by digest, and an amount that the API server
cannot read, is found wherever a built-in workload can hold one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.core.admission.findings import Finding, Pointer, mapping, member, sequence
from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.secrecy import suspect

_POD_SPECS: dict[tuple[str, str], Pointer] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
}
_CONTAINER_LISTS = ("initContainers", "containers")
_PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
# The whole Kubernetes grammar, signs and exponents included: these manifests are not ours.
_QUANTITY = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
)
_PIN_HINT = "name the image by digest: IMAGE@sha256:…; a tag can be moved to another image"


def pod_findings(kind: GroupVersionKind, body: JsonObject) -> Iterator[Finding]:
    """What is wrong with the pods that `body` declares, and with amounts of resources."""
    if kind.group == "" and kind.kind == "ResourceQuota":
        yield from _amounts(body, ("spec", "hard"))
    if kind.group == "" and kind.kind == "PersistentVolumeClaim":
        yield from _amounts(body, ("spec", "resources", "requests"))
    at = _POD_SPECS.get((kind.group, kind.kind))
    if at is not None:
        yield from _pod_spec_findings(body, at)


def pod_spec(kind: GroupVersionKind, body: JsonObject) -> JsonObject:
    """Of the pods that the object declares; empty where it declares none."""
    at = _POD_SPECS.get((kind.group, kind.kind))
    return mapping(member(body, at)) if at else {}


def pod_labels(kind: GroupVersionKind, body: JsonObject) -> tuple[Pointer, JsonObject]:
    """The labels that pods get from the object's template, and where they stand."""
    at = _POD_SPECS.get((kind.group, kind.kind), ())
    if len(at) < 2:
        return (), {}
    pointer: Pointer = (*at[:-1], "metadata", "labels")
    return pointer, mapping(member(body, pointer))


def _pod_spec_findings(body: JsonObject, at: Pointer) -> Iterator[Finding]:
    spec = mapping(member(body, at))
    for kind in _CONTAINER_LISTS:
        for index, container in enumerate(sequence(spec.get(kind))):
            yield from _container_findings(body, mapping(container), (*at, kind, index))
    for index, volume in enumerate(sequence(spec.get("volumes"))):
        image = mapping(mapping(volume).get("image"))
        if image:
            place = (*at, "volumes", index, "image", "reference")
            yield from _image_findings(image.get("reference"), place)


def _container_findings(body: JsonObject, container: JsonObject, at: Pointer) -> Iterator[Finding]:
    yield from _image_findings(container.get("image"), (*at, "image"))
    for bound in ("limits", "requests"):
        yield from _amounts(body, (*at, "resources", bound))
    for index, variable in enumerate(sequence(container.get("env"))):
        entry = mapping(variable)
        name, value = entry.get("name"), entry.get("value")
        if isinstance(name, str) and isinstance(value, str) and (found := suspect(name, value)):
            yield Finding(
                (*at, "env", index, "value"),
                "secret-value",
                f"the value of {name} looks like {found.description}",
                "keep the value in a secret store, take the variable from a Secret that the "
                "store fills (valueFrom.secretKeyRef), and replace the value that was committed",
            )


def _image_findings(image: JsonValue, at: Pointer) -> Iterator[Finding]:
    if not isinstance(image, str) or not image:
        yield Finding(at[:-1], "image-missing", "no image is named", _PIN_HINT)
    elif not _PINNED.fullmatch(image):
        yield Finding(at, "image-tag", f"image {image} is not pinned by digest", _PIN_HINT)


def _amounts(body: JsonObject, at: Pointer) -> Iterator[Finding]:
    for name, amount in mapping(member(body, at)).items():
        if isinstance(amount, int | float) and not isinstance(amount, bool):
            continue
        if not isinstance(amount, str) or not _QUANTITY.fullmatch(amount):
            yield Finding(
                (*at, name),
                "quantity",
                f"{amount!r} is not a quantity of {name}",
                'write a number with a unit such as 500m, "2" or 4Gi',
            )
