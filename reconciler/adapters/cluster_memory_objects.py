"""The objects of the in-memory cluster and how writes change them.

Separate from the port because a store has no waiting in it: every write happens at once and
whole. The invariant: each write that changes something raises the one resource version counter
and is published once, in that order; a write that changes nothing does neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TypeAlias, cast

from reconciler.adapters.cluster_memory_fields import (
    NOTHING,
    FieldSet,
    Owner,
    Ownership,
    apply_fields,
    copied,
    dotted,
    fields_v1,
    update_fields,
)
from reconciler.adapters.cluster_memory_schema import (
    add_defaults,
    fixed_fields_changed,
    has_generation,
    unfit_fields,
)
from reconciler.core.errors import Cause, Conflict, Immutable, Invalid, Outdated
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.ports import Clock

Publish: TypeAlias = Callable[["JsonObject | None", "JsonObject | None"], None]

STATUS_OWNER = Owner("kube-controller-manager", "Update", "status")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object and who owns what of it. `body` is complete and never changed in place."""

    body: JsonObject
    ownership: Ownership
    stamps: Mapping[Owner, tuple[str, str]]
    """API version and time of each owner's last write."""

    @property
    def metadata(self) -> JsonObject:
        return cast(JsonObject, self.body["metadata"])


_NEW = Stored(body={"metadata": {}}, ownership={}, stamps={})


class ObjectStore:
    """All objects of one cluster."""

    def __init__(self, clock: Clock, publish: Publish) -> None:
        self._clock = clock
        self._publish = publish
        self._objects: dict[ObjectKey, Stored] = {}
        self._version = 0
        self._created = 0

    @property
    def version(self) -> str:
        return str(self._version)

    def get(self, key: ObjectKey) -> JsonObject | None:
        stored = self._objects.get(key)
        return stored.body if stored else None

    def ordered_keys(self) -> Iterator[ObjectKey]:
        """In the order of a listing: by namespace, then name."""
        return iter(sorted(self._objects, key=lambda key: (key.namespace, key.name)))

    def apply(
        self, key: ObjectKey, wanted: JsonObject, *, owner: Owner, force: bool, dry_run: bool
    ) -> JsonObject:
        """Server-side apply. Raises Conflict, Immutable, Invalid, or Outdated."""
        before = self._objects.get(key)
        base = before or _NEW
        _check_version(base, wanted)
        wanted = {name: value for name, value in copied(wanted).items() if name != "status"}
        live = {name: value for name, value in copied(base.body).items() if name != "status"}
        merged = apply_fields(live, wanted, base.ownership, owner)
        if merged.conflicts and not force:
            raise _conflict(key, merged.conflicts, base)
        body = {**merged.body, "apiVersion": wanted["apiVersion"], "kind": wanted["kind"]}
        _check_change(key, base.body, body)
        after = self._composed(before, body, merged.ownership)
        return self._written(key, before, after, dry_run=dry_run)

    def update(
        self, key: ObjectKey, change: Callable[[JsonObject], None], *, owner: Owner
    ) -> JsonObject:
        """Write the whole object as somebody who does not apply: `change` edits a copy."""
        before = self._objects[key]
        body = copied(before.body)
        change(body)
        body = copied(body)  # `change` may have put in what its caller keeps
        _check_change(key, before.body, body)
        add_defaults(body)  # whoever writes the whole object owns the defaults as well
        ownership = update_fields(before.body, body, before.ownership, owner)
        return self._written(key, before, self._composed(before, body, ownership), dry_run=False)

    def set_status(self, key: ObjectKey, status: JsonObject) -> None:
        before = self._objects[key]
        if before.body.get("status") == status:
            return
        fields: FieldSet = frozenset(("f:status", f"f:{name}") for name in status)
        ownership = {**before.ownership, STATUS_OWNER: fields}
        body = {**before.body, "status": cast(JsonValue, copied(status))}
        self._written(key, before, self._composed(before, body, ownership), dry_run=False)

    def delete(self, key: ObjectKey) -> None:
        """Remove the object, or mark it while finalizers hold it."""
        before = self._objects[key]
        if not before.metadata.get("finalizers"):
            self._remove(key)
        elif "deletionTimestamp" not in before.metadata:
            metadata: JsonObject = {**before.metadata, "deletionTimestamp": self._timestamp()}
            marked = replace(before, body={**before.body, "metadata": metadata})
            self._written(key, before, marked, dry_run=False)

    def _remove(self, key: ObjectKey) -> None:
        before = self._objects.pop(key)
        self._version += 1
        metadata: JsonObject = {**before.metadata, "resourceVersion": self.version}
        self._publish({**before.body, "metadata": metadata}, None)

    def _composed(self, before: Stored | None, body: JsonObject, ownership: Ownership) -> Stored:
        """The object as it would be stored: identity, defaults, managed fields."""
        add_defaults(body)
        metadata = cast(JsonObject, body["metadata"])
        if before is None:
            metadata["uid"] = str(uuid.UUID(int=self._created + 1, version=4))
            metadata["creationTimestamp"] = self._timestamp()
        stamp = (str(body["apiVersion"]), self._timestamp())
        earlier = before or _NEW
        stamps = {
            owner: earlier.stamps[owner]
            if earlier.ownership.get(owner, NOTHING) == fields and owner in earlier.stamps
            else stamp
            for owner, fields in ownership.items()
        }
        metadata["managedFields"] = _managed_fields(ownership, stamps)
        if has_generation(body):
            generation = cast(int, earlier.metadata.get("generation", 0))
            changed = _desired_part(body) != _desired_part(earlier.body)
            metadata["generation"] = generation + 1 if changed else generation
        if before is not None and "status" in before.body and "status" not in body:
            body["status"] = before.body["status"]
        return Stored(body, ownership, stamps)

    def _written(
        self, key: ObjectKey, before: Stored | None, after: Stored, *, dry_run: bool
    ) -> JsonObject:
        if dry_run or (before is not None and _same(before, after)):
            return after.body
        if before is None:
            self._created += 1
        self._version += 1
        after.metadata["resourceVersion"] = self.version
        self._objects[key] = after
        self._publish(before.body if before else None, after.body)
        if "deletionTimestamp" in after.metadata and not after.metadata.get("finalizers"):
            self._remove(key)
        return after.body

    def _timestamp(self) -> str:
        return self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _same(before: Stored, after: Stored) -> bool:
    return before.body == after.body and before.ownership == after.ownership


def _desired_part(body: JsonObject) -> JsonObject:
    """What counts as a new generation when it changes; of a Deployment also its annotations."""
    part = {name: value for name, value in body.items() if name not in {"metadata", "status"}}
    if body.get("kind") == "Deployment":
        part["annotations"] = cast(JsonObject, body["metadata"]).get("annotations")
    return part


def _check_version(base: Stored, wanted: JsonObject) -> None:
    asked = cast(JsonObject, wanted["metadata"]).get("resourceVersion")
    if asked is not None and base is not _NEW and asked != base.metadata["resourceVersion"]:
        raise Outdated("the object has been modified; apply to the latest version")


def _check_change(key: ObjectKey, before: JsonObject, after: JsonObject) -> None:
    changed = tuple(Cause(*change) for change in fixed_fields_changed(before, after))
    if changed:
        raise Immutable(f"{key}: {changed[0].field} is immutable", causes=changed)
    unfit = tuple(Cause(*found) for found in unfit_fields(after))
    if unfit:
        raise Invalid(f"{key}: {unfit[0].field}: {unfit[0].message}", causes=unfit)


def _conflict(
    key: ObjectKey, conflicts: tuple[tuple[Owner, tuple[str, ...]], ...], live: Stored
) -> Conflict:
    causes = tuple(
        Cause(dotted(path), _contradiction(owner, live.stamps[owner][0]), owner.name)
        for owner, path in conflicts
    )
    return Conflict(f"apply {key}: {len(causes)} conflicts: {causes[0].message}", causes=causes)


def _contradiction(owner: Owner, api_version: str) -> str:
    through = f' with subresource "{owner.subresource}"' if owner.subresource else ""
    using = f" using {api_version}" if owner.operation == "Update" else ""
    return f'conflict with "{owner.name}"{through}{using}'


def _managed_fields(
    ownership: Ownership, stamps: Mapping[Owner, tuple[str, str]]
) -> list[JsonValue]:
    """Appliers first, then by time: the order of a real server."""
    order = sorted(ownership, key=lambda owner: (owner.operation, stamps[owner][1], owner))
    entries: list[JsonValue] = []
    for owner in order:
        api_version, time = stamps[owner]
        entry: JsonObject = {
            "manager": owner.name,
            "operation": owner.operation,
            "apiVersion": api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(ownership[owner]),
        }
        if owner.subresource:
            entry["subresource"] = owner.subresource
        entries.append(entry)
    return entries
