"""Telling: the way of a rollout in one sentence, for plans.

Separate from the statuses, which say where it stands now. The invariant: whoever reads a plan
before it is merged is told of every step that follows, what judges it, and what becomes of it when
it fails.
"""

from __future__ import annotations

from reconciler.core.kinds import Rollout
from reconciler.core.kinds.rollout import BlueGreen, RolloutSpec
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.states import RolloutState
from reconciler.core.rollouts.traffic import splits

_FAILING = {
    "revert": "the traffic goes back and its commit is reverted",
    "pull-request": "the traffic goes back and a branch reverts its commit",
    "hold": "the traffic goes back",
}


def way_of(rollout: Rollout, state: RolloutState) -> str:
    """What follows from the position; empty for a rollout that is where its commit wants it."""
    spec = rollout.spec
    if state.candidate is None or state.stable is None:
        failure = state.failure
        if failure is None:
            return ""
        return f"{rollout.name}: {failure.target.version} was taken back: {failure.reason}"
    waves = f", in {len(spec.waves)} waves" if len(spec.waves) > 1 else ""
    judged = f"; judged by {', '.join(spec.gates)}" if spec.gates else "; no gate judges it"
    return (
        f"{rollout.name}: {state.stable.version} → {state.candidate.version}{waves}: "
        f"{', '.join(steps_of(spec))}{judged}; if it fails, {_FAILING[spec.on_failure]}"
    )


def steps_of(spec: RolloutSpec) -> list[str]:
    """The steps in words, approvals included, of a rollout that goes step by step."""
    steps = gradual(spec.strategy)
    assert steps is not None, "rollouts with a state go step by step"
    asked = spec.approvals_asked()
    found = []
    for number, split in enumerate(splits(steps), start=1):
        by = asked.get(number)
        if by is None or isinstance(steps, BlueGreen):
            found.append(split.words)
        if by is not None:
            found.append(f"approval by {' or '.join(by)}")
    return found
