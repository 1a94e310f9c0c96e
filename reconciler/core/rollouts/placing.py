"""Where one cluster stands: which version serves there, what runs beside it, how traffic goes.

Separate from the state, which is of the whole rollout, because each wave of clusters stands
elsewhere. The invariant: a version gets traffic in a cluster only in its turn, and what a rollout
may have to go back to stays loaded wherever it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.desired import Unit
from reconciler.core.identifiers import Digest
from reconciler.core.kinds.rollout import BlueGreen, Canary, RolloutSpec, Strategy
from reconciler.core.manifests import digest_of
from reconciler.core.rollouts.states import Phase, RolloutState, Target
from reconciler.core.rollouts.traffic import ALL_TRAFFIC, NO_TRAFFIC, Split, splits


@dataclass(frozen=True, slots=True)
class Placement:
    """What one cluster is to run.

    `base` gets what the split does not give to `candidate`. `loaded` are all versions that run
    there.
    """

    base: Target
    candidate: Target | None
    split: Split
    loaded: tuple[Target, ...]


def gradual(strategy: Strategy | None) -> Canary | BlueGreen | None:
    """The strategy when it gives a new version its traffic by and by; else None."""
    return (strategy.canary or strategy.blue_green) if strategy is not None else None


def steps_digest(strategy: Canary | BlueGreen, places: Iterable[Unit]) -> Digest:
    """Identity of the steps, in their order, and of the clusters of each wave.

    Who approves and how much is asked for may change.
    """
    waves = sorted(f"{unit.stage} {unit.cluster}" for unit in places)
    return digest_of("\n".join([*(split.words for split in splits(strategy)), *waves]).encode())


def current_split(state: RolloutState, spec: RolloutSpec) -> Split:
    """The traffic of the step, in the clusters whose turn it is."""
    steps = gradual(spec.strategy)
    if state.phase is not Phase.STEPPING or steps is None:
        return NO_TRAFFIC
    found = splits(steps)
    # A commit may have shortened the steps meanwhile: the last one that is left is as far as any.
    return found[min(state.step, len(found) - 1)]


def placement(state: RolloutState, spec: RolloutSpec, *, wave: int) -> Placement:
    """Where the clusters of a wave stand. `wave` is the index of the cluster's own wave."""
    assert state.stable is not None, "a rollout without a version before has no steps"
    if state.candidate is None or wave > state.wave:
        return _placement(state, base=state.stable)
    if wave < state.wave:
        return _placement(state, base=state.stable, split=ALL_TRAFFIC)
    return _placement(state, base=state.stable, split=current_split(state, spec))


def _placement(state: RolloutState, *, base: Target, split: Split | None = None) -> Placement:
    candidate = state.candidate if split is not None else None
    return Placement(
        base=base,
        candidate=candidate,
        split=split or NO_TRAFFIC,
        loaded=_each_once([base, candidate, *(kept.target for kept in state.kept)]),
    )


def _each_once(targets: Iterable[Target | None]) -> tuple[Target, ...]:
    found: dict[str, Target] = {}
    for target in targets:
        if target is not None:
            found.setdefault(target.version, target)
    return tuple(found.values())
