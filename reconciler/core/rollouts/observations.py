"""Observation: what a rollout is told of the world at one look.

Separate from the state, which is kept, because an observation is made, judged and recorded once.
The invariant: what could not be seen is told as trouble, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.identifiers import ClusterName
from reconciler.core.samples import Exposure
from reconciler.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class ClusterSight:
    """What one cluster of the rollout looks like.

    `settled`: it is as the position says, as far as writing goes. `routed`: its gateway has taken
    over the traffic as written. `ready`: the candidate's replicas are up. `refused` says why the
    position cannot be written or did not become healthy. `trouble` says why nothing is known.
    """

    settled: bool = False
    routed: bool = False
    ready: bool = False
    refused: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one look has told.

    `clusters` are those whose turn has come or is over. `exposures` are of this step alone, one for
    each cluster that counts. `verdicts` are of the gates over all the evidence.
    """

    clusters: Mapping[ClusterName, ClusterSight] = field(default_factory=dict)
    exposures: tuple[Exposure, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    trouble: str = ""
    """Why replicas could not be asked just now; empty when they could."""
    unready_since: float | None = None
    """Since when the candidate's replicas have not been up, in seconds since the epoch."""
