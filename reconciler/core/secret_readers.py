"""Who reads which secrets, by what is delivered, and what is not.

Separate from rendering, which has one reader at a time. The invariant: whoever is told here to read
something gets the right to it in the same commit, and what is declared and reaches nobody is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from reconciler.core.access.subjects import agent_subject
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import AgentScope, Model
from reconciler.core.rendering.release import rollout_unit
from reconciler.core.rollout_units import Environment, RenderedRollout

Readers: TypeAlias = "Mapping[str, frozenset[str]]"
"""Subject → what it may read, as `vault:kv/risk/fraud`. Rollouts are called `rollout/NAME`."""


def readers(
    environment: Environment,
    clusters: Iterable[ClusterName],
    rollouts: Iterable[RenderedRollout],
    agents: Mapping[str, AgentScope],
) -> Readers:
    """Of a commit, on days on which scopes hold. `clusters` are those that agents are in."""
    found: dict[str, set[str]] = defaultdict(set)
    for entry in rollouts:
        places = {place for _, place in _places(entry)}
        for cluster in entry.units if places else ():
            delivery = environment.delivery(cluster)
            served = {place for place in places if delivery.serves(_store(place))}
            found[rollout_unit(entry.rollout.name)] |= served
    if any(environment.delivery(cluster).serves("vault") for cluster in clusters):
        for name, scope in agents.items():
            found[agent_subject(name)] |= {p for p in scope.spec.secrets if _store(p) == "vault"}
    return {subject: frozenset(places) for subject, places in found.items() if places}


def undelivered(
    environment: Environment,
    clusters: Iterable[ClusterName],
    rollouts: Iterable[RenderedRollout],
    agents: Mapping[str, AgentScope],
) -> Iterator[str]:
    """Sentences about what is declared and reaches nobody."""
    lacking: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in rollouts:
        for cluster in entry.units:
            for name, place in _places(entry):
                if not environment.delivery(cluster).serves(_store(place)):
                    what = f"secret {name} of Model {entry.subject.name} is"
                    lacking[what, _store(place)].add(cluster)
    for scope in agents.values():
        stores = {_store(place) for place in scope.spec.secrets}
        if "aws" in stores:
            yield (
                f"AgentScope {scope.name} lists secrets of AWS, which takes no tokens that are as "
                "short as those of agents: they are not delivered"
            )
        for cluster in clusters if "vault" in stores else ():
            if not environment.delivery(cluster).serves("vault"):
                lacking[f"secrets of AgentScope {scope.name} are", "vault"].add(cluster)
    for (what, store), names in lacking.items():
        where = ", ".join(sorted(names))
        yield f"{what} not delivered in {where}: no secretDelivery there has {store}"


def _places(entry: RenderedRollout) -> Iterator[tuple[str, str]]:
    """The names of the secrets of a rollout's replicas, and where they lie."""
    model = entry.subject.declaration
    for secret in model.spec.serving.secrets if isinstance(model, Model) else ():
        yield secret.name, secret.source.place


def _store(place: str) -> str:
    return place.partition(":")[0]
