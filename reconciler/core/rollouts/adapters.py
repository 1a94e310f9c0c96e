"""Adapters: the runtime whose versions are LoRA adapters on the replicas of another Rollout.

Separate from the other runtimes: nothing of a version is an object of a cluster but its name in a
route. The invariants: a request is marked for an adapter of the position alone, and traffic comes
to an adapter only after the replicas behind the route have it, or while it had traffic already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import Digest
from reconciler.core.kinds import Rollout
from reconciler.core.kinds.lora import Lora
from reconciler.core.ledger import Entry
from reconciler.core.manifests import Manifest, manifest_of
from reconciler.core.rendering.lora import (
    adapter_name,
    adapter_of,
    adapter_path,
    to_adapter,
)
from reconciler.core.rendering.release import ROLLOUT_LABEL
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Loaded, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.traffic import divided

_ROUTE = ("gateway.networking.k8s.io", "HTTPRoute")


class AdapterRoutes:
    """Implements Runtime. The build of a target is the digest of its artifact."""

    holds = True

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        version = desired.models[rollout.spec.model].spec.version(rollout.spec.version)
        assert version is not None, "references were resolved"
        return version.artifact.digest

    def applied(
        self, desired: DesiredState, rollout: Rollout, entries: Iterable[Entry]
    ) -> Target | None:
        """By the adapter to which the route sends most."""
        versions = {
            _digits(adapter_name("", version.artifact.digest)): version
            for version in desired.models[rollout.spec.model].spec.versions
        }
        for entry in entries:
            if entry.applied is None or (entry.key.group, entry.key.kind) != _ROUTE:
                continue
            backends = _rules(entry.applied.manifest)[-1]["backendRefs"]
            most = max(backends, key=lambda backend: int(backend["weight"]))
            if version := versions.get(_digits(adapter_of(most))):
                return Target(version.name, version.artifact.digest, entry.applied.commit)
        return None

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        moved = {m.key: m for m in (_pointed(m, where) for m in unit.manifests.values())}
        before = {e.key: e.applied.manifest for e in found.entries if e.applied is not None}
        fresh = _with_traffic(moved.values()) - _with_traffic(before.values())
        if missing := fresh - found.loaded:
            return Positioned(replace(unit, manifests=before), missing)
        return Positioned(replace(unit, manifests=moved))

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        lora = _lora(desired, rollout)
        server = desired.rollouts[lora.server]
        container = desired.models[server.spec.model].spec.serving.container
        assert container is not None, "servers are of a runtime that has one"
        adapter = adapter_name(lora.alias, target.build)
        return Answering({ROLLOUT_LABEL: server.name}, container.port, adapter)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The adapters that the replicas of one server are to have for one rollout in one cluster.

    `digests` are those to load, by name, and `routed` the names that the route, as it was last
    applied, leads to this server with.
    """

    namespace: str
    lora: Lora
    answering: Answering
    digests: Mapping[str, Digest]
    routed: frozenset[str]

    def name(self, target: Target) -> str:
        return adapter_name(self.lora.alias, target.build)

    def path(self, adapter: str) -> str:
        return adapter_path(self.lora, self.digests[adapter])

    def as_loaded(self, adapter: str) -> Loaded:
        return Loaded(self.namespace, self.lora.server, adapter)

    def is_ours(self, adapter: str) -> bool:
        """Whatever else is loaded is of others."""
        return adapter.startswith(adapter_name(self.lora.alias, Digest("")))

    def is_surplus(self, adapter: str) -> bool:
        """Whether it is ours and nobody needs it."""
        needed = adapter in self.digests or adapter in self.routed
        return self.is_ours(adapter) and not needed

    def is_beside(self, other: Shelf) -> bool:
        """Whether both are for the same names on the same servers."""
        return (self.namespace, self.lora.server, self.lora.alias) == (
            other.namespace,
            other.lora.server,
            other.lora.alias,
        )

    def emptied(self, entries: Iterable[Entry]) -> Shelf:
        """The shelf when nothing of it is needed any more, but for what a route still names."""
        return replace(self, digests={}, routed=_routed(entries, self.lora.server))


def shelf_of(
    desired: DesiredState, rollout: Rollout, targets: Sequence[Target], entries: Iterable[Entry]
) -> Shelf:
    """The shelf for versions that must be loaded, of which the first serves."""
    lora = _lora(desired, rollout)
    digests: dict[str, Digest] = {}
    for target in targets:
        digests.setdefault(adapter_name(lora.alias, target.build), target.build)
    return Shelf(
        namespace=rollout.spec.namespace,
        lora=lora,
        answering=AdapterRoutes().answering(desired, rollout, targets[0]),
        digests=digests,
        routed=_routed(entries, lora.server),
    )


def _routed(entries: Iterable[Entry], server: str) -> frozenset[str]:
    applied = [e.applied.manifest for e in entries if e.applied is not None]
    return frozenset(
        adapter_of(backend) for _, backend in _backends(applied) if backend["name"] == server
    )


def _lora(desired: DesiredState, rollout: Rollout) -> Lora:
    lora = desired.models[rollout.spec.model].spec.serving.lora
    assert lora is not None, "checked by Serving for this runtime"
    return lora


def _pointed(manifest: Manifest, where: Placement) -> Manifest:
    (backend,) = _rules(manifest)[0]["backendRefs"]
    alias = adapter_of(backend).rpartition("@")[0]
    candidate = where.candidate or where.base
    body = divided(
        manifest.body,
        where.split,
        stable=adapter_name(alias, where.base.build),
        candidate=adapter_name(alias, candidate.build),
        lead_to=to_adapter,
    )
    return manifest_of(body, manifest.source)


def _digits(adapter: str) -> str:
    return adapter.rpartition("@")[2]


def _rules(route: Manifest) -> Any:
    spec: Any = route.body["spec"]
    return spec["rules"]


def _backends(routes: Iterable[Manifest]) -> Iterator[tuple[Manifest, Any]]:
    for route in routes:
        for rule in _rules(route):
            for backend in rule["backendRefs"]:
                yield route, backend


def _with_traffic(routes: Iterable[Manifest]) -> frozenset[Loaded]:
    return frozenset(
        Loaded(route.key.namespace or "", backend["name"], adapter_of(backend))
        for route, backend in _backends(routes)
        if backend["weight"]
    )
