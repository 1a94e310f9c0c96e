"""Version objects: a runtime that gives every version a workload and Services of its own.

Separate from the other runtimes. What the commit declares is the end; the objects of other versions
are taken from the ledger, where they lie as they were applied, and the shared objects are pointed
where the position says. The invariant: nothing of a version is made anew or changed for as long as
it is loaded, so moving traffic never restarts a replica.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import Digest, ObjectKey
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry
from reconciler.core.manifests import (
    JsonObject,
    Manifest,
    bounded_name,
    canonical_json,
    digest_of,
    manifest_of,
)
from reconciler.core.rendering.release import ROLLOUT_LABEL, VERSION_LABEL
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.traffic import divided
from reconciler.core.samples import Traffic

_WORKLOAD = ("apps", "Deployment")


class VersionObjects:
    """Implements Runtime."""

    holds = False

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        """Digest of what the replicas run, over all clusters; their number is no part."""
        return _build(
            manifest
            for _, unit in desired.places_of(rollout.name)
            for manifest in unit.manifests.values()
            if _version(manifest) == rollout.spec.version
        )

    def applied(
        self,
        desired: DesiredState,  # noqa: ARG002 - other runtimes need it
        rollout: Rollout,
        entries: Iterable[Entry],
    ) -> Target | None:
        """By the Service that callers inside the cluster use."""
        found: list[Manifest] = []
        serving: Target | None = None
        for entry in entries:
            if entry.applied is None:
                continue
            found.append(entry.applied.manifest)
            key = entry.key
            if (key.group, key.kind, key.name) == ("", "Service", rollout.name):
                spec = cast(JsonObject, entry.applied.manifest.body["spec"])
                version = cast(JsonObject, spec["selector"]).get(VERSION_LABEL)
                serving = serving or Target(str(version), Digest(""), entry.applied.commit)
        if serving is None:
            return None
        build = _build(m for m in found if _version(m) == serving.version)
        return replace(serving, build=build)

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        return Positioned(_positioned(unit, where, found.entries))

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        container = desired.model_of(rollout).spec.serving.container
        assert container is not None, "checked by Serving for this runtime"
        labels = {ROLLOUT_LABEL: rollout.name, VERSION_LABEL: target.version}
        return Answering(labels, container.port)


def _positioned(unit: Unit, where: Placement, entries: Iterable[Entry]) -> Unit:
    """The unit with the versions that `where` names, and the traffic between them.

    A cluster that never had the base version gets none of it: there is nothing to take it from.
    """
    own = _by_version(unit.manifests.values())
    applied = _by_version(e.applied.manifest for e in entries if e.applied is not None)
    end = _version_of(unit)
    base = where.base
    if base.version != end and base.version not in applied:
        # Such as a cluster that is new: it has no traffic of the old version to protect, and the
        # start of the new one waits for replicas here as well.
        return unit if where.candidate is not None else replace(unit, manifests={})
    manifests: dict[ObjectKey, Manifest] = {}
    wanted = {target.version for target in (base, where.candidate) if target is not None}
    present = [base.version, *([where.candidate.version] if where.candidate else [])]
    for target in where.loaded:
        # A version that is only kept is kept as it is, and not made anew when it is gone.
        source = own if target.version == end and target.version in wanted else applied
        if found := source.get(target.version):
            present.append(target.version)
            manifests |= {m.key: m for m in found}
    for manifest in own.get("", ()):
        pointed = _pointed(manifest, where, present)
        manifests[pointed.key] = pointed
    return replace(unit, manifests=manifests)


def _pointed(manifest: Manifest, where: Placement, present: Iterable[str]) -> Manifest:
    """A shared object, pointed at the versions that are to have the traffic."""
    kind = (manifest.key.group, manifest.key.kind)
    body = manifest.body
    rollout = _labels(body).get(ROLLOUT_LABEL)
    if kind == ("", "Service"):
        spec = cast(JsonObject, body["spec"])
        selector = cast(JsonObject, spec["selector"])
        full = where.candidate if where.split.traffic is Traffic.FULL else None
        version = (full or where.base).version
        body["spec"] = {**spec, "selector": {**selector, VERSION_LABEL: version}}
    elif kind == ("gateway.networking.k8s.io", "HTTPRoute"):
        candidate = where.candidate or where.base
        body = divided(
            body,
            where.split,
            stable=bounded_name(f"{rollout}-{where.base.version}"),
            candidate=bounded_name(f"{rollout}-{candidate.version}"),
            warm=[bounded_name(f"{rollout}-{version}") for version in present],
        )
    else:
        return manifest
    return manifest_of(body, manifest.source)


def _labels(body: JsonObject) -> JsonObject:
    metadata = cast(JsonObject, body["metadata"])
    return cast(JsonObject, metadata.get("labels") or {})


def _version(manifest: Manifest) -> str:
    """The version that an object belongs to; empty for what all versions share."""
    return str(_labels(manifest.body).get(VERSION_LABEL) or "")


def _by_version(manifests: Iterable[Manifest]) -> Mapping[str, tuple[Manifest, ...]]:
    found: dict[str, tuple[Manifest, ...]] = {}
    for manifest in manifests:
        version = _version(manifest)
        found[version] = (*found.get(version, ()), manifest)
    return found


def _version_of(unit: Unit) -> str | None:
    """The version that a unit as compiled leads to; None when it runs nothing."""
    return next(filter(None, map(_version, unit.manifests.values())), None)


def workloads_of(unit: Unit, version: str) -> list[ObjectKey]:
    """What runs the replicas of a version."""
    return [
        manifest.key
        for manifest in unit.manifests.values()
        if _is_workload(manifest) and _version(manifest) == version
    ]


def _is_workload(manifest: Manifest) -> bool:
    return (manifest.key.group, manifest.key.kind) == _WORKLOAD


def _build(manifests: Iterable[Manifest]) -> Digest:
    templates = {
        canonical_json(cast(JsonObject, manifest.body["spec"]).get("template"))
        for manifest in manifests
        if _is_workload(manifest)
    }
    return digest_of(b"\n".join(sorted(templates)))
