"""InferenceServices: the runtime in which KServe divides requests between versions.

Separate from the other runtimes: all versions are in one object, and a position is a list in it.
What the commit declares is the end; other versions are taken from the ledger, as they were applied.
The invariant: what a version runs is never changed for as long as it is in the object; it only
moves between `spec.predictor`, which has the rest of the requests, and `spec.canary`.

KServe takes the replicas of canaries that are ready off `minReplicas` of the predictor. So that it
keeps its own, it declares theirs besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import Digest, ObjectKey
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry
from reconciler.core.manifests import JsonObject, Manifest, canonical_json, digest_of, manifest_of
from reconciler.core.rendering.kserve import INFERENCE_SERVICE, INFERENCE_SERVICE_LABEL
from reconciler.core.rendering.release import VERSION_LABEL
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.samples import Traffic


class InferenceServices:
    """Implements Runtime."""

    holds = False

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        """Digest of what the replicas run, over all clusters; their number is no part."""
        return _build(
            _predictors(manifest)[rollout.spec.version]
            for _, unit in desired.places_of(rollout.name)
            for manifest in _services(unit.manifests.values())
        )

    def applied(
        self,
        desired: DesiredState,  # noqa: ARG002 - other runtimes need it
        rollout: Rollout,  # noqa: ARG002 - the entries are its own
        entries: Iterable[Entry],
    ) -> Target | None:
        """By the predictor, which has what the canaries do not get."""
        applied = [entry.applied for entry in entries if entry.applied is not None]
        found = [(one, service) for one in applied for service in _services([one.manifest])]
        if not found:
            return None
        first, manifest = found[0]
        version = _serving(manifest)
        builds = (_predictors(service).get(version) for _, service in found)
        return Target(version, _build(filter(None, builds)), first.commit)

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        return Positioned(_positioned(unit, where, found.entries))

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        container = desired.models[rollout.spec.model].spec.serving.container
        assert container is not None, "checked by Serving for this runtime"
        labels = {INFERENCE_SERVICE_LABEL: rollout.name, VERSION_LABEL: target.version}
        return Answering(labels, container.port)


def service_of(unit: Unit) -> ObjectKey | None:
    """The InferenceService of a unit; None where it runs nothing."""
    return next((manifest.key for manifest in _services(unit.manifests.values())), None)


def _positioned(unit: Unit, where: Placement, entries: Iterable[Entry]) -> Unit:
    """The unit with the versions that `where` names, and the requests between them.

    A cluster that never had the base version gets none of it: there is nothing to take it from.
    """
    declared = next(iter(_services(unit.manifests.values())), None)
    if declared is None:
        return unit
    own = _predictors(declared)
    applied: dict[str, JsonObject] = {}
    for entry in entries:
        if entry.applied is not None:
            for manifest in _services([entry.applied.manifest]):
                applied |= _predictors(manifest)
    base = where.base.version
    if base not in own and base not in applied:
        # Such as a cluster that is new: it has no requests to the old version to protect.
        return unit if where.candidate is not None else replace(unit, manifests={})
    candidate = where.candidate.version if where.candidate is not None else base
    present: dict[str, JsonObject] = {}
    for version in (target.version for target in where.loaded):
        # A version that is only kept is kept as it is, and not made anew when it is gone.
        source = own if version in own and version in (base, candidate) else applied
        if version in source:
            present[version] = source[version]
    first = candidate if where.split.traffic is Traffic.FULL and candidate in present else base
    weights = dict.fromkeys(present, 0)
    if where.split.traffic is Traffic.WEIGHT and candidate in weights:
        weights[candidate] = round(where.split.share * 100)
    moved = _divided(declared, present, first=first, weights=weights)
    return replace(unit, manifests={**unit.manifests, moved.key: moved})


def _divided(
    manifest: Manifest,
    predictors: Mapping[str, JsonObject],
    *,
    first: str,
    weights: Mapping[str, int],
) -> Manifest:
    """The InferenceService with `first` as predictor, and the others as canaries by weight."""
    body: dict[str, Any] = manifest.body
    canaries = {version: one for version, one in predictors.items() if version != first}
    theirs = sum(_replicas(one) for one in canaries.values())
    own = predictors[first]
    body["spec"]["predictor"] = {**own, "minReplicas": _replicas(own) + theirs}
    body["spec"]["canary"] = [
        {"trafficPercent": weights[version], "predictor": one} for version, one in canaries.items()
    ]
    return manifest_of(body, manifest.source)


def _services(manifests: Iterable[Manifest]) -> list[Manifest]:
    return [one for one in manifests if (one.key.group, one.key.kind) == INFERENCE_SERVICE]


def _serving(manifest: Manifest) -> str:
    body: dict[str, Any] = manifest.body
    return str(body["spec"]["predictor"]["name"])


def _predictors(manifest: Manifest) -> dict[str, JsonObject]:
    """By version, each with the number of replicas that is its own."""
    body: dict[str, Any] = manifest.body
    first = body["spec"]["predictor"]
    others = [canary["predictor"] for canary in body["spec"]["canary"]]
    own = _replicas(first) - sum(map(_replicas, others))
    return {one["name"]: one for one in ({**first, "minReplicas": own}, *others)}


def _replicas(predictor: Mapping[str, Any]) -> int:
    return int(predictor["minReplicas"])


def _build(predictors: Iterable[JsonObject]) -> Digest:
    templates = {canonical_json({**one, "minReplicas": None}) for one in predictors}
    return digest_of(b"\n".join(sorted(templates)))
