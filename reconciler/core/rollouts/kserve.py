"""InferenceServices: the runtime in which KServe divides requests between versions.

Separate from the other runtimes: all versions are in one object, and a position is a list in it.
What the commit declares is the end; other versions are taken from the ledger, as they were applied.
The invariants: what a version runs is never changed for as long as it is in the object; and a
version becomes the predictor only after it was seen up.

KServe gives requests to canaries that are ready, and whatever they do not get to the predictor,
ready or not. So a version that comes is a canary, with whatever share, and the predictor is changed
only when nobody needs the old one any more. KServe also takes the replicas of canaries that are
ready off `minReplicas` of the predictor. So that it keeps its own, it declares theirs besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import Digest, ObjectKey
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry
from reconciler.core.manifests import JsonObject, Manifest, canonical_json, digest_of, manifest_of
from reconciler.core.rendering.kserve import INFERENCE_SERVICE, INFERENCE_SERVICE_LABEL
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Loaded, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.samples import Traffic
from reconciler.core.statuses import part


class InferenceServices:
    """Implements Runtime."""

    holds = True

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        """Digest of what the replicas run, over all clusters; their number is no part."""
        return _build(
            _Standing.of(manifest).predictors[rollout.spec.version]
            for _, unit in desired.places_of(rollout.name)
            for manifest in _services(unit.manifests.values())
        )

    def applied(
        self,
        desired: DesiredState,  # noqa: ARG002 - other runtimes need it
        rollout: Rollout,  # noqa: ARG002 - the entries are its own
        entries: Iterable[Entry],
    ) -> Target | None:
        """By the version that gets most."""
        applied = [entry.applied for entry in entries if entry.applied is not None]
        found = [
            (one, _Standing.of(service)) for one in applied for service in _services([one.manifest])
        ]
        if not found:
            return None
        first, standing = found[0]
        version = max(standing.weights, key=lambda name: standing.weights[name])
        builds = (one.predictors.get(version) for _, one in found)
        return Target(version, _build(filter(None, builds)), first.commit)

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        """A cluster that never had the base version gets none of it: there is nothing to take it
        from."""
        declared = next(iter(_services(unit.manifests.values())), None)
        if declared is None:
            return Positioned(unit)
        before = _Standing.before(found.entries)
        own = _Standing.of(declared).predictors
        if where.base.version not in own and where.base.version not in before.predictors:
            # Such as a cluster that is new: it has no requests to the old version to protect.
            is_coming = where.candidate is not None
            return Positioned(unit if is_coming else replace(unit, manifests={}))
        present = _present(where, own, before.predictors)
        weights = _weights(where, present)
        lead = max(weights, key=lambda name: weights[name])
        missing: frozenset[Loaded] = frozenset()
        first = before.first or lead
        if first not in present:
            if found.settled and before.weights.get(lead):
                first = lead
            else:
                present[first] = before.predictors[first]
                missing = frozenset({Loaded(declared.key.namespace, declared.key.name, lead)})
        moved = _divided(declared, present, first=first, weights=weights)
        kept = _beside(found.entries, present.keys())
        return Positioned(
            replace(unit, manifests={**kept, **unit.manifests, moved.key: moved}), missing
        )

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        container = desired.model_of(rollout).spec.serving.container
        assert container is not None, "checked by Serving for this runtime"
        labels = {INFERENCE_SERVICE_LABEL: rollout.name, VERSION_LABEL: target.version}
        return Answering(labels, container.port)


def service_of(unit: Unit) -> ObjectKey | None:
    """The InferenceService of a unit; None where it runs nothing."""
    return next((manifest.key for manifest in _services(unit.manifests.values())), None)


@dataclass(frozen=True, slots=True)
class _Standing:
    """What an InferenceService says: `first` is the predictor's version.

    Predictors are by version, each with the number of replicas that is its own.
    """

    first: str
    predictors: Mapping[str, JsonObject]
    weights: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest) -> _Standing:
        body: dict[str, Any] = manifest.body
        first, canaries = body["spec"]["predictor"], body["spec"]["canary"]
        others = [canary["predictor"] for canary in canaries]
        own = _replicas(first) - sum(map(_replicas, others))
        predictors = {one["name"]: one for one in ({**first, "minReplicas": own}, *others)}
        given = {canary["predictor"]["name"]: canary["trafficPercent"] for canary in canaries}
        return cls(first["name"], predictors, {first["name"]: 100 - sum(given.values()), **given})

    @classmethod
    def before(cls, entries: Iterable[Entry]) -> _Standing:
        """As it was applied; nothing where it never was."""
        applied = (entry.applied.manifest for entry in entries if entry.applied is not None)
        found = next(iter(_services(applied)), None)
        return cls.of(found) if found is not None else cls("", {}, {})


def _present(
    where: Placement, own: Mapping[str, JsonObject], applied: Mapping[str, JsonObject]
) -> dict[str, JsonObject]:
    """The predictors that the position wants, by version."""
    judged = {target.version for target in (where.base, where.candidate) if target is not None}
    present: dict[str, JsonObject] = {}
    for version in (target.version for target in where.loaded):
        # A version that is only kept is kept as it is, and not made anew when it is gone.
        source = own if version in own and version in judged else applied
        if version in source:
            present[version] = source[version]
    return present


def _beside(entries: Iterable[Entry], versions: Iterable[str]) -> dict[ObjectKey, Manifest]:
    """Objects that belong to one of the versions, such as what brings its secrets, as applied."""
    names = set(versions)
    return {
        entry.key: entry.applied.manifest
        for entry in entries
        if entry.applied is not None and _version(entry.applied.manifest) in names
    }


def _version(manifest: Manifest) -> str:
    labels = part(part(manifest.body, "metadata"), "labels")
    return str(labels.get(VERSION_LABEL) or "")


def _weights(where: Placement, present: Mapping[str, JsonObject]) -> dict[str, int]:
    """Percents by version; those that are only kept have none."""
    weights = dict.fromkeys(present, 0)
    weights[where.base.version] = 100
    candidate = where.candidate.version if where.candidate is not None else ""
    if candidate in present and where.split.traffic in (Traffic.WEIGHT, Traffic.FULL):
        moved = round(where.split.share * 100)
        weights[where.base.version], weights[candidate] = 100 - moved, moved
    return weights


def _divided(
    manifest: Manifest,
    predictors: Mapping[str, JsonObject],
    *,
    first: str,
    weights: Mapping[str, int],
) -> Manifest:
    """The InferenceService with `first` as predictor, and the others as canaries."""
    body: dict[str, Any] = manifest.body
    canaries = {version: one for version, one in predictors.items() if version != first}
    theirs = sum(_replicas(one) for one in canaries.values())
    own = predictors[first]
    body["spec"]["predictor"] = {**own, "minReplicas": _replicas(own) + theirs}
    body["spec"]["canary"] = [
        {"trafficPercent": weights.get(version, 0), "predictor": one}
        for version, one in canaries.items()
    ]
    return manifest_of(body, manifest.source)


def _services(manifests: Iterable[Manifest]) -> list[Manifest]:
    return [one for one in manifests if (one.key.group, one.key.kind) == INFERENCE_SERVICE]


def _replicas(predictor: Mapping[str, Any]) -> int:
    return int(predictor["minReplicas"])


def _build(predictors: Iterable[JsonObject]) -> Digest:
    templates = {canonical_json({**one, "minReplicas": None}) for one in predictors}
    return digest_of(b"\n".join(sorted(templates)))
