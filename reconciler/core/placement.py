"""Which clusters a selector means.

Separate because rollouts and plain manifests select clusters alike. The invariant: what is placed
depends on the commit alone, so that a restarted daemon places the same; a selector that means no
cluster, or one that the policy refuses, is a Problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.admission.findings import Pointer
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Cluster
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem


@dataclass(frozen=True, slots=True)
class Estate:
    """The clusters of a commit, and those that may not be targeted with what to do about it."""

    clusters: Mapping[ClusterName, Cluster]
    refused: Mapping[ClusterName, str]

    @classmethod
    def of(cls, clusters: Iterable[Cluster], policy: Policy) -> Estate:
        by_name = {ClusterName(c.name): c for c in sorted(clusters, key=lambda c: c.name)}
        return cls(by_name, policy.refused_clusters(by_name))

    def allowed_by(self, policy: Policy) -> tuple[ClusterName, ...]:
        """The clusters that the candidate's own policy allows. Stores are only what is named."""
        allowed = policy.own.clusters
        return tuple(
            name
            for name, cluster in self.clusters.items()
            if cluster.spec.vault is None and allowed.include(name, cluster.metadata.labels)
        )

    def select(self, labels: Mapping[str, str]) -> tuple[ClusterName, ...]:
        """The clusters that have all the labels."""
        return tuple(
            name
            for name, cluster in self.clusters.items()
            if labels.items() <= cluster.metadata.labels.items()
        )

    def problems(
        self, document: Document, pointer: Pointer, selected: Iterable[ClusterName]
    ) -> Iterator[Problem]:
        """What is wrong with having selected these clusters at that place of a document."""
        names = tuple(selected)
        if not names:
            known = ", ".join(self.clusters) or "none is declared"
            yield Problem(
                document.path,
                document.span_at(pointer),
                "no-cluster",
                "no cluster has these labels",
                f"change the labels here or of a Cluster document; the clusters: {known}",
            )
        for name in names:
            if name in self.refused:
                yield Problem(
                    document.path,
                    document.span_at(pointer),
                    "cluster-not-allowed",
                    f"the policy does not allow cluster {name}",
                    self.refused[name],
                )
