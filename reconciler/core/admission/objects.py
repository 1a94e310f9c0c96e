"""Check one plain manifest: names, metadata, forbidden parts, secrets.

Separate from documents.py, which makes sure that a document says which object it is, and from
policy.py, which asks whether this repository may have such an object. The invariant: a body
without findings names one object by the rules of its kind, asks for nothing that only the
cluster writes, and holds no value that looks like a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from reconciler.core.admission.findings import Finding, Pointer, mapping
from reconciler.core.admission.pods import pod_findings, pod_labels
from reconciler.core.admission.scopes import Scope, scope_of
from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.kinds import API_GROUP
from reconciler.core.manifests import (
    ON_CONFLICT_ANNOTATION,
    ON_IMMUTABLE_ANNOTATION,
    JsonObject,
    JsonValue,
    canonical_json,
)
from reconciler.core.problems import printable
from reconciler.core.secrecy import known_format, suspect

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_QUALIFIED = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# The part in use of what is allowed: `system:aggregate-to-view`.
_RBAC_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]*[A-Za-z0-9])?")
_LABEL_KEY = re.compile(rf"(?:(?P<prefix>{_LABEL}(?:\.{_LABEL})*)/)?{_QUALIFIED}")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")

_OPTIONS = frozenset({ON_CONFLICT_ANNOTATION, ON_IMMUTABLE_ANNOTATION})
"""The annotations of ours that people write."""

_SERVER_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_NAME_HINT = "use lower-case letters, digits, '-' and '.', a letter or digit at both ends"
_LABEL_HINT = "use at most 63 letters, digits, '-', '_' and '.'"


def object_findings(kind: GroupVersionKind, body: JsonObject) -> tuple[Finding, ...]:
    """Everything that is wrong with one plain manifest, as far as it can be known offline."""
    if kind.group == API_GROUP:
        return (
            Finding(
                ("kind",),
                "misplaced-document",
                f"a {kind.kind} lies below a path of plain manifests",
                "move it out of the paths that spec.manifests of fairlead.yaml names",
            ),
        )
    metadata = mapping(body.get("metadata"))
    found = (
        *_name_findings(kind, metadata),
        *_namespace_findings(kind, metadata),
        *_server_findings(body, metadata),
        *_entries_findings("labels", metadata),
        *_entries_findings("annotations", metadata),
        *_template_findings(kind, body),
        *_config_findings(kind, body),
        *pod_findings(kind, body),
    )
    return (*found, *_stray_secrets(body, known={finding.pointer for finding in found}))


def _name_findings(kind: GroupVersionKind, metadata: JsonObject) -> Iterator[Finding]:
    if "generateName" in metadata:
        yield Finding(
            ("metadata", "generateName"),
            "generate-name",
            "generateName would make another object at every apply",
            "remove it; metadata.name is enough",
        )
    name = metadata.get("name")
    if isinstance(name, str) and not _name_form(kind).fullmatch(name):
        message = f"{name!r} is not a name of a {kind.kind}"
        yield Finding(("metadata", "name"), "name", message, _NAME_HINT)


def _name_form(kind: GroupVersionKind) -> re.Pattern[str]:
    if kind.group == "rbac.authorization.k8s.io":
        return _RBAC_NAME
    if kind.group == "" and kind.kind in ("Namespace", "Service"):
        return _DNS_LABEL
    return _DNS_SUBDOMAIN


def _namespace_findings(kind: GroupVersionKind, metadata: JsonObject) -> Iterator[Finding]:
    scope, namespace = scope_of(kind), metadata.get("namespace")
    if namespace is None and scope is Scope.NAMESPACE:
        yield Finding(
            ("metadata",),
            "namespace-missing",
            f"the {kind.kind} names no namespace",
            "add metadata.namespace; there is no default",
        )
    elif namespace is not None and scope is Scope.CLUSTER:
        yield Finding(
            ("metadata", "namespace"),
            "namespace-unexpected",
            f"a {kind.kind} belongs to the whole cluster and has no namespace",
            "remove metadata.namespace",
        )
    elif namespace is not None and not _DNS_LABEL.fullmatch(str(namespace)):
        yield Finding(
            ("metadata", "namespace"),
            "name",
            f"{printable(str(namespace), limit=80)!r} is not a name of a namespace",
            "use at most 63 lower-case letters, digits and '-'",
        )


def _server_findings(body: JsonObject, metadata: JsonObject) -> Iterator[Finding]:
    """What only the cluster writes: copied from a live object, it would be wrong at once."""
    pointers: list[Pointer] = [("metadata", name) for name in _SERVER_METADATA if name in metadata]
    if "status" in body:
        pointers.append(("status",))
    if metadata.get("finalizers"):
        yield Finding(
            ("metadata", "finalizers"),
            "finalizers",
            "finalizers would keep the object when it is deleted, until somebody removes them",
            "remove them; controllers add their own to live objects",
        )
    if _LAST_APPLIED in mapping(metadata.get("annotations")):
        pointers.append(("metadata", "annotations", _LAST_APPLIED))
    for pointer in pointers:
        yield Finding(
            pointer,
            "server-field",
            f"{pointer[-1]} is written by the cluster or by kubectl, not declared",
            "remove it",
        )


def _entries_findings(part: str, metadata: JsonObject) -> Iterator[Finding]:
    entries = metadata.get(part)
    if entries is not None and not isinstance(entries, dict):
        yield Finding(
            ("metadata", part), "label", f"{part} are not a mapping", "write lines of KEY: VALUE"
        )
    for key, value in mapping(entries).items():
        at: Pointer = ("metadata", part, key)
        yield from _key_findings(part, key, at)
        if not isinstance(value, str):
            message = f"the value of {printable(key, limit=80)} is not text"
            yield Finding(at, "label", message, "put it in quotes")
        elif part == "labels" and not _LABEL_VALUE.fullmatch(value):
            message = f"{printable(value, limit=80)!r} is not the value of a label"
            yield Finding(at, "label", message, _LABEL_HINT)


def _key_findings(part: str, key: str, at: Pointer) -> Iterator[Finding]:
    match = _LABEL_KEY.fullmatch(key)
    if match is None:
        yield Finding(
            at,
            "label",
            f"{printable(key, limit=80)!r} cannot be a key of {part}",
            f"{_LABEL_HINT}, after an optional DNS prefix and '/'",
        )
    elif is_reserved(match["prefix"] or "") and key not in _OPTIONS:
        yield Finding(
            at, "reserved-label", f"{part} under {API_GROUP}/ are Fairlead's own", "remove it"
        )


def _template_findings(kind: GroupVersionKind, body: JsonObject) -> Iterator[Finding]:
    """Pods with our labels would get the requests meant for a model."""
    at, labels = pod_labels(kind, body)
    for key in labels:
        yield from _key_findings("labels", key, (*at, key))


def is_reserved(prefix: str) -> bool:
    """Whether labels and annotations with this prefix are written by us alone."""
    return prefix == API_GROUP or prefix.endswith(f".{API_GROUP}")


def _config_findings(kind: GroupVersionKind, body: JsonObject) -> Iterator[Finding]:
    if kind.group == "" and kind.kind == "ConfigMap":
        for key, value in mapping(body.get("data")).items():
            if isinstance(value, str) and (found := suspect(key, value)):
                yield _secret(("data", key), printable(key, limit=80), found.description)
        for key, value in mapping(body.get("binaryData")).items():
            if isinstance(value, str) and (found := known_format(_decoded(value))):
                yield _secret(("binaryData", key), printable(key, limit=80), found.description)


def _decoded(encoded: str) -> str:
    """Base64 as text, byte by byte; what is none is left to the API server."""
    try:
        return base64.b64decode(encoded).decode("latin-1")
    except binascii.Error:
        return ""


def _stray_secrets(body: JsonObject, *, known: set[Pointer]) -> Iterator[Finding]:
    """Credentials of a known format, wherever they stand. One search when there is none."""
    if not known_format(canonical_json(body).decode()):
        return
    for at, text in _texts(body, ()):
        if at not in known and (found := known_format(text)):
            yield _secret(at, printable(str(at[-1]), limit=80), found.description)


def _secret(at: Pointer, name: str, description: str) -> Finding:
    shown = "a key" if known_format(name) else f"the value of {name}"
    return Finding(
        at,
        "secret-value",
        f"{shown} looks like {description}",
        "keep it in a secret store, refer to it, and replace the value that was committed",
    )


def _texts(value: JsonValue, at: Pointer) -> Iterator[tuple[Pointer, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield (*at, key), key
            yield from _texts(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*at, index))
