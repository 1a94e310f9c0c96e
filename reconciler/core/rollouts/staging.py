"""Staging: the manifests of a rollout at its position, in place of those of its end.

Separate from rendering, which knows one version and no journal. What the commit declares is the
end; this takes the objects of other versions from the ledger, where they lie as they were applied,
and points the shared objects where the position says. The invariant: nothing of a version is made
anew or changed for as long as it is loaded, so moving traffic never restarts a replica.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, Digest, ObjectKey
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry, Ledger
from reconciler.core.manifests import JsonObject, Manifest, canonical_json, digest_of, manifest_of
from reconciler.core.outstanding import Place
from reconciler.core.rendering.release import ROLLOUT_LABEL, VERSION_LABEL, bounded_name
from reconciler.core.rollouts.placing import Placement, gradual, placement
from reconciler.core.rollouts.states import RolloutState, Target
from reconciler.core.rollouts.telling import way_of
from reconciler.core.rollouts.traffic import NO_TRAFFIC, divided

_WORKLOADS = frozenset({("apps", "Deployment"), ("serving.kserve.io", "InferenceService")})


@dataclass(frozen=True, slots=True)
class Staged:
    """A DesiredState at the positions of its rollouts.

    `fallback` has, for each rollout that is not at rest, the unit to go back to when its position
    cannot be taken: the stable version with all the traffic. `needed` are the objects that must be
    healthy for the position: those of versions that are only kept need not. `unfinished` says where
    the commit is not true yet, or no longer, and why.
    """

    state: DesiredState
    fallback: Mapping[Place, Unit]
    needed: Mapping[Place, Unit]
    unfinished: Mapping[Place, str]


def stage(
    desired: DesiredState,
    journal: Mapping[str, RolloutState],
    ledgers: Mapping[ClusterName, Ledger],
) -> Staged:
    """Put every rollout that has a state where that says."""
    units: dict[Place, Unit] = {}
    fallback: dict[Place, Unit] = {}
    needed: dict[Place, Unit] = {}
    unfinished: dict[Place, str] = {}
    for rollout in desired.rollouts.values():
        state = journal.get(rollout.name)
        if state is None or state.stable is None or gradual(rollout.spec.strategy) is None:
            continue
        ended = state.candidate is None and state.stable.version == rollout.spec.version
        if ended and not state.kept:
            continue
        for place, unit in desired.places_of(rollout.name):
            entries = _entries(ledgers.get(unit.cluster), unit)
            where = placement(state, rollout.spec, wave=unit.stage)
            # A cluster's turn is the state's to say: it need not wait for earlier waves again.
            units[place] = replace(staged_unit(unit, where, entries), stage=0)
            fallback[place] = replace(_fallback(unit, state, entries), stage=0)
            bare = replace(where, loaded=tuple(t for t in (where.base, where.candidate) if t))
            needed[place] = replace(staged_unit(unit, bare, entries), stage=0)
            if not ended:
                unfinished[place] = unfinished_words(state)
    ways = (way_of(r, journal[r.name]) for r in desired.rollouts.values() if r.name in journal)
    rolling = tuple(sorted(filter(None, ways)))
    if units or rolling:
        desired = replace(desired, units={**desired.units, **units}, rolling=rolling)
    return Staged(desired, fallback, needed, unfinished)


def unfinished_words(state: RolloutState) -> str:
    """Why a rollout is not where its commit wants it."""
    if state.candidate is not None:
        return f"version {state.candidate.version} is on its way"
    failure = state.failure
    return f"version {failure.target.version} was taken back: {failure.reason}" if failure else ""


def _fallback(unit: Unit, state: RolloutState, entries: Iterable[Entry]) -> Unit:
    assert state.stable is not None
    loaded = (state.stable, *(kept.target for kept in state.kept))
    return staged_unit(unit, Placement(state.stable, None, NO_TRAFFIC, loaded), entries)


def staged_unit(unit: Unit, where: Placement, entries: Iterable[Entry]) -> Unit:
    """The unit with the versions that `where` names, and the traffic between them.

    A cluster that never had the base version gets none of it: there is nothing to take it from.
    """
    own = _by_version(unit.manifests.values())
    applied = _by_version(e.applied.manifest for e in entries if e.applied is not None)
    end = version_of(unit)
    base = where.base
    if base.version != end and base.version not in applied:
        # Such as a cluster that is new: it has no traffic of the old version to protect.
        if where.candidate is None or where.split is NO_TRAFFIC:
            return replace(unit, manifests={})
        return unit
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
        full = where.split.share >= 1 and where.candidate is not None
        version = where.candidate.version if full and where.candidate else where.base.version
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


def _entries(ledger: Ledger | None, unit: Unit) -> tuple[Entry, ...]:
    found = ledger.entries.values() if ledger else ()
    return tuple(entry for entry in found if entry.unit == unit.name)


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


def version_of(unit: Unit) -> str | None:
    """The version that a unit as compiled leads to; None when it runs nothing."""
    return next(filter(None, map(_version, unit.manifests.values())), None)


def build_of(units: Iterable[Unit], version: str) -> Digest:
    """Digest of what the replicas of a version run, over all clusters; their number is no part."""
    return _build(
        manifest
        for unit in units
        for manifest in unit.manifests.values()
        if _version(manifest) == version
    )


def _build(manifests: Iterable[Manifest]) -> Digest:
    templates = {
        canonical_json(cast(JsonObject, manifest.body["spec"]).get("template"))
        for manifest in manifests
        if (manifest.key.group, manifest.key.kind) in _WORKLOADS
    }
    return digest_of(b"\n".join(sorted(templates)))


def target_of(desired: DesiredState, rollout: Rollout) -> Target | None:
    """The version that a commit leads a rollout to; None when no cluster is to run it."""
    units = [unit for _, unit in desired.places_of(rollout.name)]
    version = rollout.spec.version
    return Target(version, build_of(units, version), desired.commit) if units else None


def applied_target(
    rollout: Rollout, units: Iterable[Unit], ledgers: Mapping[ClusterName, Ledger]
) -> Target | None:
    """The version that serves according to the ledgers, for a rollout that has no state yet."""
    found: list[Manifest] = []
    serving: Target | None = None
    for unit in units:
        for entry in _entries(ledgers.get(unit.cluster), unit):
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
