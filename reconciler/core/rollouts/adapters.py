"""Adapters: the runtime whose versions, adapters or prompts, are on another Rollout's replicas.

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
from reconciler.core.ledger import Entry
from reconciler.core.manifests import Manifest, manifest_of
from reconciler.core.rendering.aliases import loaded_name, mark_of, marked
from reconciler.core.rendering.release import ROLLOUT_LABEL
from reconciler.core.rollouts.loadables import Loadable, Sort
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Answering, Found, Loaded, Positioned
from reconciler.core.rollouts.states import Target
from reconciler.core.rollouts.traffic import divided

PROMPT_FIELD = "prompt_version"
"""Of a request that evaluations make past the gateway, which would mark it with a header."""

_ROUTE = ("gateway.networking.k8s.io", "HTTPRoute")


class AdapterRoutes:
    """Implements Runtime. The build of a target is the digest of its artifact, or of its text."""

    holds = True

    def build(self, desired: DesiredState, rollout: Rollout) -> Digest:
        return Loadable.of(desired, rollout).digests[rollout.spec.version]

    def applied(
        self, desired: DesiredState, rollout: Rollout, entries: Iterable[Entry]
    ) -> Target | None:
        """By the adapter to which the route sends most."""
        digests = Loadable.of(desired, rollout).digests
        versions = {_digits(loaded_name("", digest)): name for name, digest in digests.items()}
        for entry in entries:
            if entry.applied is None or (entry.key.group, entry.key.kind) != _ROUTE:
                continue
            backends = _rules(entry.applied.manifest)[-1]["backendRefs"]
            most = max(backends, key=lambda backend: int(backend["weight"]))
            if version := versions.get(_digits(mark_of(most))):
                return Target(version, digests[version], entry.applied.commit)
        return None

    def position(self, unit: Unit, where: Placement, found: Found) -> Positioned:
        moved = {m.key: m for m in (_pointed(m, where) for m in unit.manifests.values())}
        before = {e.key: e.applied.manifest for e in found.entries if e.applied is not None}
        fresh = _with_traffic(moved.values()) - _with_traffic(before.values())
        if missing := fresh - found.loaded:
            return Positioned(replace(unit, manifests=before), missing)
        return Positioned(replace(unit, manifests=moved))

    def answering(self, desired: DesiredState, rollout: Rollout, target: Target) -> Answering:
        loadable = Loadable.of(desired, rollout)
        server = desired.rollouts[loadable.server]
        container = desired.model_of(server).spec.serving.container
        assert container is not None, "servers are of a runtime that has one"
        name = loadable.name(target.build)
        field = "model" if loadable.sort is Sort.ADAPTER else PROMPT_FIELD
        return Answering({ROLLOUT_LABEL: server.name}, container.port, name, field)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The adapters that the replicas of one server are to have for one rollout in one cluster.

    `digests` are those to load, by name, and `routed` the names that the route, as it was last
    applied, leads to this server with.
    """

    namespace: str
    loadable: Loadable
    answering: Answering
    digests: Mapping[str, Digest]
    routed: frozenset[str]

    def name(self, target: Target) -> str:
        return self.loadable.name(target.build)

    def source(self, adapter: str) -> str | None:
        """What a server is told to load; None for the text of a prompt that is gone."""
        return self.loadable.source(self.digests[adapter])

    def as_loaded(self, adapter: str) -> Loaded:
        return Loaded(self.namespace, self.loadable.server, adapter)

    def is_ours(self, adapter: str) -> bool:
        """Whatever else is loaded is of others."""
        return adapter.startswith(self.loadable.name(Digest("")))

    def is_surplus(self, adapter: str) -> bool:
        """Whether it is ours and nobody needs it."""
        needed = adapter in self.digests or adapter in self.routed
        return self.is_ours(adapter) and not needed

    def is_beside(self, other: Shelf) -> bool:
        """Whether both are for the same names on the same servers."""
        ours, theirs = self.loadable, other.loadable
        return (self.namespace, ours.sort, ours.server, ours.alias) == (
            other.namespace,
            theirs.sort,
            theirs.server,
            theirs.alias,
        )

    def remembering(self, earlier: Shelf) -> Shelf:
        """With the texts of versions that are needed still, and in the commit no longer."""
        needed = frozenset(self.digests.values())
        kept = {digest: t for digest, t in earlier.loadable.texts.items() if digest in needed}
        texts = {**kept, **self.loadable.texts}
        return replace(self, loadable=replace(self.loadable, texts=texts))

    def emptied(self, entries: Iterable[Entry]) -> Shelf:
        """The shelf when nothing of it is needed any more, but for what a route still names."""
        return replace(self, digests={}, routed=_routed(entries, self.loadable.server))


def shelf_of(
    desired: DesiredState, rollout: Rollout, targets: Sequence[Target], entries: Iterable[Entry]
) -> Shelf:
    """The shelf for versions that must be loaded, of which the first serves."""
    loadable = Loadable.of(desired, rollout)
    digests: dict[str, Digest] = {}
    for target in targets:
        digests.setdefault(loadable.name(target.build), target.build)
    return Shelf(
        namespace=rollout.spec.namespace,
        loadable=loadable,
        answering=AdapterRoutes().answering(desired, rollout, targets[0]),
        digests=digests,
        routed=_routed(entries, loadable.server),
    )


def _routed(entries: Iterable[Entry], server: str) -> frozenset[str]:
    applied = [e.applied.manifest for e in entries if e.applied is not None]
    return frozenset(
        mark_of(backend) for _, backend in _backends(applied) if backend["name"] == server
    )


def _pointed(manifest: Manifest, where: Placement) -> Manifest:
    (backend,) = _rules(manifest)[0]["backendRefs"]
    alias = mark_of(backend).rpartition("@")[0]
    candidate = where.candidate or where.base
    body = divided(
        manifest.body,
        where.split,
        stable=loaded_name(alias, where.base.build),
        candidate=loaded_name(alias, candidate.build),
        lead_to=marked,
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
        Loaded(route.key.namespace or "", backend["name"], mark_of(backend))
        for route, backend in _backends(routes)
        if backend["weight"]
    )
