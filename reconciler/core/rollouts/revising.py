"""What a commit means for a rollout that stands somewhere.

Separate from advancing.py, because a commit is judged when a plan is made, and evidence when it
comes. The invariant: a version that failed comes back only when a commit asks for it anew, and a
version that had all the traffic before takes no steps to get it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.identifiers import Digest
from reconciler.core.rollouts.states import Failure, Kept, Phase, RolloutState, Target

DRAIN_SECONDS = 15.0
"""How long replicas stay up after their traffic was taken: gateways learn of it a little later, and
long answers may finish."""

MOST_PROVEN = 10
"""Versions that are remembered as good. Older ones take their steps again."""


def first_state(
    rollout: str, target: Target, *, applied: Target | None, gradual: bool
) -> RolloutState:
    """The state of a rollout that had none.

    `applied` is the version that serves now, as far as anything is known. The very first version
    of all has nothing to be compared with, and gets the traffic at once.
    """
    if applied is None or not gradual or applied.version == target.version:
        return RolloutState(rollout, stable=target, proven=(target,))
    return RolloutState(rollout, stable=applied, proven=(applied,))


def revised(state: RolloutState, target: Target, *, gradual: bool, now: float) -> RolloutState:
    """The state after a commit that leads to `target`; the same one when it changes nothing."""
    stable = state.stable
    assert stable is not None
    if target.is_same(stable):
        return _withdrawn(state, now=now)
    if target.version == stable.version or not gradual:
        # Replaced in place, or all at once: there is no second version to divide traffic with.
        left = _withdrawn(state, now=now)
        return _settled(left, target, kept=left.kept)
    if state.failure is not None and target.is_same(state.failure.target):
        return state
    if target.is_same(state.candidate):
        return state
    for failure in state.failed:
        if target.is_same(failure.target):
            # Such as a revert of what came after it: nobody has asked for it anew.
            left = _withdrawn(state, now=now)
            return replace(left, failure=failure, failed=_failures(state))
    if state.is_proven(target):
        return _gone_back(state, target, now=now)
    return _begun(state, target, now=now)


def on_steps(state: RolloutState, steps: Digest, *, now: float) -> RolloutState:
    """The state after a commit whose strategy has these steps.

    Other ones than those that were begun, or other clusters in the waves, are begun from the first
    wave: the same number may mean any share, or any cluster, in them.
    """
    if state.candidate is None or state.steps == steps:
        return state
    if state.steps is None:
        return replace(state, steps=steps)
    return replace(
        state,
        phase=Phase.STARTING,
        wave=0,
        step=0,
        entered=now,
        approved_step=0,
        steps=steps,
        exposures=(),
        counts={},
    )


def _withdrawn(state: RolloutState, *, now: float) -> RolloutState:
    """The stable version keeps the traffic; what was on its way to it goes."""
    if state.candidate is None and state.failure is None and not state.failed:
        return state
    # Of one that was watched, the version itself is the stable one, and is watched on.
    phase = state.phase if state.candidate is None else Phase.SETTLED
    return replace(
        state,
        candidate=None,
        phase=phase,
        kept=_keeping(state.kept, state.candidate, until=now + DRAIN_SECONDS, proven=False),
        failure=None,
        failed=(),
        exposures=state.exposures if phase is Phase.WATCHED else (),
        counts=state.counts if phase is Phase.WATCHED else {},
    )


def _settled(state: RolloutState, target: Target, *, kept: Sequence[Kept]) -> RolloutState:
    kept = tuple(entry for entry in kept if entry.target.version != target.version)
    return replace(
        state,
        stable=target,
        candidate=None,
        phase=Phase.SETTLED,
        wave=0,
        step=0,
        exposures=(),
        counts={},
        kept=kept,
        proven=remembered(state.proven, target),
        failure=None,
        failed=(),
    )


def _gone_back(state: RolloutState, target: Target, *, now: float) -> RolloutState:
    """All the traffic to a version that had it before. The one that is left is not proven now."""
    left = [version for version in (state.candidate, state.stable) if version is not None]
    kept = state.kept
    for version in left:
        kept = _keeping(kept, version, until=now + DRAIN_SECONDS, proven=False)
    proven = tuple(known for known in state.proven if not known.is_same(state.stable))
    return _settled(replace(state, proven=proven), target, kept=kept)


def _begun(state: RolloutState, target: Target, *, now: float) -> RolloutState:
    kept = _keeping(state.kept, state.candidate, until=now + DRAIN_SECONDS, proven=False)
    return replace(
        state,
        candidate=target,
        phase=Phase.STARTING,
        wave=0,
        step=0,
        entered=now,
        approved_step=0,
        steps=None,
        exposures=(),
        counts={},
        kept=tuple(entry for entry in kept if entry.target.version != target.version),
        failure=None,
        failed=_failures(state),
    )


def _failures(state: RolloutState) -> tuple[Failure, ...]:
    """All that must not come by itself, each version once, the latest last."""
    found = {(f.target.version, f.target.build): f for f in state.failed}
    if state.failure is not None:
        found[state.failure.target.version, state.failure.target.build] = state.failure
    return tuple(found.values())[-MOST_PROVEN:]


def _keeping(
    kept: tuple[Kept, ...], target: Target | None, *, until: float, proven: bool
) -> tuple[Kept, ...]:
    if target is None:
        return kept
    others = tuple(entry for entry in kept if entry.target.version != target.version)
    return (*others, Kept(target, until, proven))


def remembered(proven: tuple[Target, ...], target: Target) -> tuple[Target, ...]:
    others = tuple(known for known in proven if known.version != target.version)
    return (*others, target)[-MOST_PROVEN:]
