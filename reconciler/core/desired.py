"""DesiredState: everything that one commit asks of the clusters.

Separate from compiling.py, which makes it, because plans, engine and surfaces only read it. The
invariant: a DesiredState is complete and consistent. Every reference in it was resolved, no
object is declared twice in a cluster, and the policy in force and its own policy allow all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.core.access.policy import AccessPolicy, Place
from reconciler.core.identifiers import (
    ClusterName,
    CommitSha,
    Digest,
    GroupVersionKind,
    ObjectKey,
    UnitName,
)
from reconciler.core.kinds import (
    AgentScope,
    BreakGlass,
    Cluster,
    Evaluation,
    Gate,
    Model,
    Prompt,
    Role,
    Rollout,
)
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.manifests import Manifest, Source, digest_of


def unit_digest(digests: Iterable[Digest]) -> Digest:
    """Identity of a unit made of objects with these digests."""
    return digest_of("\n".join(sorted(digests)).encode())


@dataclass(frozen=True)
class Unit:
    """What is applied, held or put back together in one cluster.

    `stage` is the index of the wave of the Rollout that the cluster is in; 0 for plain manifests.
    """

    name: UnitName
    cluster: ClusterName
    stage: int
    manifests: Mapping[ObjectKey, Manifest]

    @cached_property
    def digest(self) -> Digest:
        """Identity of what is asked for: the digests of the objects, in no particular order."""
        return unit_digest(manifest.digest for manifest in self.manifests.values())

    @cached_property
    def types(self) -> frozenset[GroupVersionKind]:
        """API types of the objects: those that must be watched."""
        return frozenset(manifest.type for manifest in self.manifests.values())

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Namespaces that its objects are in."""
        return frozenset(key.namespace for key in self.manifests if key.namespace)


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What one commit asks for. `repository` is the name of the Repository document.

    `policy` is this commit's own: it judges the next commit, and says how this one is applied.
    `notices` are sentences about what is declared and does not act yet, `rolling` about rollouts
    that are on their way. `namespaces` are those that the repository declares in each cluster,
    `sources` the documents of roles and agents, by subject, `readers` the secrets that agents and
    rollouts may read.
    """

    commit: CommitSha
    repository: str
    policy: RepositorySpec
    clusters: Mapping[ClusterName, Cluster]
    units: Mapping[tuple[ClusterName, UnitName], Unit]
    rollouts: Mapping[str, Rollout]
    models: Mapping[str, Model]
    notices: tuple[str, ...]
    rolling: tuple[str, ...] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    agents: Mapping[str, AgentScope] = field(default_factory=dict)
    emergencies: Mapping[str, BreakGlass] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    readers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    namespaces: Mapping[ClusterName, frozenset[str]] = field(default_factory=dict)

    @property
    def access(self) -> AccessPolicy:
        """Who may do what, as far as documents say it."""
        places = (
            Place(cluster, name) for cluster, names in self.namespaces.items() for name in names
        )
        return AccessPolicy(
            self.roles, self.agents, self.models, frozenset(places), readers=self.readers
        )

    def is_placed(self, rollout: str) -> bool:
        """Whether any cluster is to have something of the rollout."""
        return any(True for _ in self.places_of(rollout))

    def source_of(self, rollout: str) -> Source:
        """The document that a rollout which is placed is declared by."""
        _, unit = next(self.places_of(rollout))
        return next(iter(unit.manifests.values())).source

    def model_of(self, rollout: Rollout) -> Model:
        """The Model whose replicas answer: that of the server, where a prompt is rolled out."""
        served = self.prompts[rollout.spec.prompt].spec.model if rollout.spec.prompt else None
        return self.models[served or rollout.spec.model]

    def places_of(self, rollout: str) -> Iterator[tuple[tuple[ClusterName, UnitName], Unit]]:
        """The units of a rollout, one for each of its clusters."""
        name = UnitName(f"rollout/{rollout}")
        for cluster in self.clusters:
            if unit := self.units.get((ClusterName(cluster), name)):
                yield (ClusterName(cluster), name), unit
