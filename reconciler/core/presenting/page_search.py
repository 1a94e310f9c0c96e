"""Search: what has a name that holds some text.

Separate from the pages that it leads to. The invariant: a search finds only what its viewer may
see, costs one walk over names, and says how much more there is than it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.chronicle import CommitStory
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, short
from reconciler.core.ledger import Ledger
from reconciler.core.sight import Sight

MOST_HITS = 8
LONGEST = 100
"""Characters of a query that are looked at."""


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found of one kind; `more` are not shown."""

    kind: str
    hits: tuple[Hit, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Haystack:
    """Where to look. `subjects` are first lines of messages by commit, as far as they are known."""

    desired: DesiredState | None
    ledgers: Mapping[ClusterName, Ledger]
    stories: Sequence[CommitStory]
    subjects: Mapping[str, str]


def search(query: str, stack: Haystack, sight: Sight) -> tuple[Hits, ...]:
    needle = query.strip().lower()[:LONGEST]
    if not needle:
        return ()
    kinds = {
        "Models": _models(needle, stack.desired, sight),
        "Rollouts": _rollouts(needle, stack.desired, sight),
        "Clusters": _clusters(needle, stack),
        "Commits": _commits(needle, stack),
        "Roles and agents": _access(needle, stack.desired, sight),
        "Objects": _objects(needle, stack, sight),
    }
    found = ((kind, list(hits)) for kind, hits in kinds.items())
    return tuple(
        Hits(kind, tuple(hits[:MOST_HITS]), max(0, len(hits) - MOST_HITS))
        for kind, hits in found
        if hits
    )


def _models(needle: str, desired: DesiredState | None, sight: Sight) -> Iterator[Hit]:
    for name, model in desired.models.items() if desired else ():
        versions = [version.name for version in model.spec.versions]
        texts = (name, model.spec.owner, model.spec.description, *versions)
        if sight.model(name) and _holds(needle, texts):
            words = model.spec.description or f"owned by {model.spec.owner}"
            yield Hit(name, words, f"/models/{name}")


def _rollouts(needle: str, desired: DesiredState | None, sight: Sight) -> Iterator[Hit]:
    for name, rollout in desired.rollouts.items() if desired else ():
        spec = rollout.spec
        if sight.rollout(name) and _holds(needle, (name, spec.subject, spec.namespace)):
            words = f"{spec.subject} {spec.version} in {spec.namespace}"
            yield Hit(name, words, f"/rollouts/{name}")


def _clusters(needle: str, stack: Haystack) -> Iterator[Hit]:
    labels = stack.desired.clusters if stack.desired else {}
    for name in sorted({*stack.ledgers, *map(ClusterName, labels)}):
        cluster = labels.get(name)
        shown = dict(cluster.metadata.labels) if cluster else {}
        if _holds(needle, (name, *shown.values())):
            words = ", ".join(f"{key}: {value}" for key, value in shown.items())
            yield Hit(name, words, f"/clusters/{name}")


def _commits(needle: str, stack: Haystack) -> Iterator[Hit]:
    for story in stack.stories:
        subject = stack.subjects.get(story.commit, "")
        if story.commit.startswith(needle) or needle in subject.lower():
            yield Hit(short(story.commit), subject or story.verdict, f"/c/{story.commit}")


def _access(needle: str, desired: DesiredState | None, sight: Sight) -> Iterator[Hit]:
    if desired is None:
        return
    for name, role in desired.roles.items():
        seen = sight.labelled(role.metadata.labels)
        if seen and _holds(needle, (name, role.spec.description, *role.spec.groups)):
            yield Hit(name, role.spec.description or "role", f"/roles/{name}")
    for name, agent in desired.agents.items():
        seen = sight.labelled(agent.metadata.labels)
        if seen and _holds(needle, (name, agent.spec.purpose)):
            yield Hit(name, agent.spec.purpose, f"/agents/{name}")


def _objects(needle: str, stack: Haystack, sight: Sight) -> Iterator[Hit]:
    for name, ledger in stack.ledgers.items():
        for key, entry in ledger.entries.items():
            if needle not in key.name.lower() and needle not in str(key).lower():
                continue
            if sight.unit(entry.unit):
                yield Hit(
                    str(key), f"{entry.unit} in {name}", f"/clusters/{name}?unit={entry.unit}"
                )


def _holds(needle: str, texts: Iterable[str]) -> bool:
    return any(needle in text.lower() for text in texts)
