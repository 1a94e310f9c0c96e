"""Policies and roles of Vault or OpenBao, as objects with an owner.

Separate from the conversation with the server, so that ownership can be tested without one. Vault
has no labels and no field managers, so what an object needs of them is kept in a marker: a comment
on the first line of a policy. A role has no place for one; its marker is a policy of its own that
has nothing but the comment and therefore grants nothing. The invariant: what has no marker that
can be read is somebody else's, and a field whose value is not the one in the marker is too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

import orjson

from reconciler.core.errors import Cause, Conflict, Invalid
from reconciler.core.identifiers import GroupVersionKind, ObjectKey
from reconciler.core.manifests import (
    FIELD_MANAGER,
    JsonObject,
    JsonValue,
    canonical_json,
    digest_of,
)
from reconciler.ports import ApiResource

GROUP: Final = "vault.fairlead.dev"
API_VERSION: Final = f"{GROUP}/v1"
POLICY: Final = "VaultPolicy"
ROLE: Final = "VaultKubernetesRole"

ROLE_MARKER_PREFIX: Final = "fairlead-role-"
"""Name of the policy that is the marker of a role, before the name of the role."""

OTHERS: Final = "vault"
"""Vault does not tell who wrote something: everybody else is one manager."""

_MARKER = "# fairlead.dev/v1 "
_VERBS = frozenset({"get", "list", "watch", "patch", "delete"})

FIELDS: Final[Mapping[str, Mapping[str, type]]] = {
    POLICY: {"policy": str},
    ROLE: {
        "boundServiceAccountNames": list,
        "boundServiceAccountNamespaces": list,
        "audience": str,
        "tokenPolicies": list,
        "tokenTtlSeconds": int,
        "tokenMaxTtlSeconds": int,
        "aliasNameSource": str,
    },
}
"""What a specification has, all of it: Vault would fill in the rest, such as 32 days of life."""

RESOURCES: Final[Mapping[GroupVersionKind, ApiResource]] = {
    (type_ := GroupVersionKind(GROUP, "v1", kind)): ApiResource(
        type_, plural, namespaced=False, verbs=_VERBS
    )
    for kind, plural in ((POLICY, "vaultpolicies"), (ROLE, "vaultkubernetesroles"))
}


@dataclass(frozen=True, slots=True)
class Marker:
    """What we know of an object that Vault has no place for. `fields` are digests of values."""

    uid: str
    generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as Vault has it. `marker` is None when it is not ours."""

    key: ObjectKey
    spec: JsonObject
    marker: Marker | None


def policy_key(name: str) -> ObjectKey:
    return ObjectKey(GROUP, POLICY, "", name)


def role_key(name: str) -> ObjectKey:
    return ObjectKey(GROUP, ROLE, "", name)


def marker_line(marker: Marker) -> str:
    value: JsonObject = {
        "uid": marker.uid,
        "generation": marker.generation,
        "labels": dict(marker.labels),
        "annotations": dict(marker.annotations),
        "fields": dict(marker.fields),
    }
    return f"{_MARKER}{canonical_json(value).decode()}\n"


def read_policy(text: str) -> tuple[Marker | None, str]:
    """The marker of a policy, and its text without it."""
    first, _, rest = text.partition("\n")
    marker = _marker_of(first)
    return (None, text) if marker is None else (marker, rest)


def _marker_of(line: str) -> Marker | None:
    if not line.startswith(_MARKER):
        return None
    try:
        value = orjson.loads(line[len(_MARKER) :])
        texts = [{str(k): str(v) for k, v in value[n].items()} for n in _TEXTS]
        return Marker(str(value["uid"]), int(value["generation"]), *texts)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Somebody changed the comment: then the object is no longer known to be ours.
        return None


_TEXTS = ("labels", "annotations", "fields")


def body_of(stored: Stored, *, version: int) -> JsonObject:
    """The object as the Cluster port tells it."""
    metadata: JsonObject = {"name": stored.key.name, "resourceVersion": str(version)}
    marker = stored.marker
    if marker is None:
        metadata["uid"] = f"unmarked-{stored.key.name}"
        metadata["managedFields"] = [_entry(OTHERS, "Update", {"f:spec": _set(stored.spec)})]
    else:
        metadata["uid"] = marker.uid
        metadata["generation"] = marker.generation
        metadata["labels"] = cast(JsonObject, dict(marker.labels))
        metadata["annotations"] = cast(JsonObject, dict(marker.annotations))
        metadata["managedFields"] = _managers(stored.spec, marker)
    return {
        "apiVersion": API_VERSION,
        "kind": stored.key.kind,
        "metadata": metadata,
        "spec": dict(stored.spec),
    }


def _managers(spec: JsonObject, marker: Marker) -> list[JsonValue]:
    changed = changed_fields(spec, marker)
    ours: JsonObject = {
        "f:metadata": {
            "f:labels": _set(marker.labels),
            "f:annotations": _set(marker.annotations),
        },
        "f:spec": _set(name for name in spec if name not in changed),
    }
    entries: list[JsonValue] = [_entry(FIELD_MANAGER, "Apply", ours)]
    if changed:
        entries.append(_entry(OTHERS, "Update", {"f:spec": _set(changed)}))
    return entries


def _entry(manager: str, operation: str, fields: JsonObject) -> JsonObject:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": API_VERSION,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _set(names: object) -> JsonObject:
    return {f"f:{name}": {} for name in sorted(cast("Mapping[str, object]", names))}


def changed_fields(spec: JsonObject, marker: Marker) -> tuple[str, ...]:
    """Fields whose value somebody else wrote since."""
    return tuple(sorted(n for n, value in spec.items() if marker.fields.get(n) != _digest(value)))


def _digest(value: JsonValue) -> str:
    return digest_of(canonical_json(value))


def merged(
    body: JsonObject, found: Stored | None, *, key: ObjectKey, force: bool, uid: str
) -> Stored:
    """What an apply makes of what was found. `uid` is for an object that is new.

    Raises Invalid for a specification that Vault would fill in or misread, and Conflict when
    somebody else wrote what is to be changed.
    """
    spec = _checked_spec(body, key)
    if found is not None and not force:
        _refuse_conflicts(spec, found)
    before = found.marker if found else None
    metadata = cast(JsonObject, body["metadata"])
    wanted = Marker(
        uid=before.uid if before else uid,
        generation=before.generation if before else 1,
        labels=cast("dict[str, str]", metadata.get("labels") or {}),
        annotations=cast("dict[str, str]", metadata.get("annotations") or {}),
        fields={name: _digest(value) for name, value in spec.items()},
    )
    if before is not None and found is not None and found.spec != spec:
        wanted = replace(wanted, generation=before.generation + 1)
    return Stored(key, spec, wanted)


def _refuse_conflicts(spec: JsonObject, found: Stored) -> None:
    theirs = tuple(found.spec) if found.marker is None else changed_fields(found.spec, found.marker)
    causes = tuple(
        Cause(f".spec.{name}", "was written by somebody else in Vault", OTHERS)
        for name in theirs
        if found.spec[name] != spec.get(name)
    )
    if causes:
        fields = ", ".join(cause.field for cause in causes)
        raise Conflict(
            f"apply {found.key}: {fields} was written by somebody else",
            causes=causes,
            hint="choose another name, or delete what is in Vault",
        )


def _checked_spec(body: JsonObject, key: ObjectKey) -> JsonObject:
    fields = FIELDS[key.kind]
    spec = body.get("spec")
    if not isinstance(spec, dict):
        raise Invalid(f"apply {key}: it has no specification", causes=(Cause(".spec", "lacks"),))
    wrong = [Cause(f".spec.{name}", "is not known") for name in sorted(spec.keys() - fields.keys())]
    for name, type_ in fields.items():
        if not isinstance(spec.get(name), type_):
            wrong.append(Cause(f".spec.{name}", f"is required, as {type_.__name__}"))
    if key.name.startswith(ROLE_MARKER_PREFIX) or key.name in ("root", "default"):
        wrong.append(Cause(".metadata.name", "is a name with a meaning of its own"))
    if key.kind == POLICY and str(spec.get("policy")).startswith(_MARKER):
        wrong.append(Cause(".spec.policy", "begins as our own marker does"))
    if wrong:
        places = ", ".join(cause.field for cause in wrong)
        raise Invalid(f"apply {key}: {places} cannot be", causes=tuple(wrong))
    return dict(spec)
