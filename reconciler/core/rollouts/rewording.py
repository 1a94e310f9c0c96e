"""Rewording: prompts of which a commit rewrites the version that serves, which is refused.

Separate from the checks of a commit by itself, because what is wrong shows only beside where its
rollouts stand. The invariant: no text gets requests without the steps and gates of its rollout; one
that took the place of another under the same version would have all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import Digest
from reconciler.core.kinds import Rollout
from reconciler.core.problems import Problem
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.states import RolloutState

Serving = Mapping[str, tuple[str, Digest]]
"""The version that serves, and the digest of its text, by rollout."""


def rewording_problems(desired: DesiredState, serving: Serving) -> tuple[Problem, ...]:
    """Rollouts of prompts that stay at their version, which has another text now."""
    return tuple(
        _problem(desired, rollout)
        for name, rollout in desired.rollouts.items()
        if rollout.spec.prompt and gradual(rollout.spec.strategy) and name in serving
        if desired.is_placed(name)
        if _is_reworded(rollout.spec.version, _digest(desired, rollout), serving[name])
    )


def serving_texts(states: Mapping[str, RolloutState]) -> Serving:
    """By the journal."""
    stable = {name: state.stable for name, state in states.items()}
    return {name: (target.version, target.build) for name, target in stable.items() if target}


def declared_texts(desired: DesiredState) -> Serving:
    """Where a commit leads."""
    return {
        name: (rollout.spec.version, _digest(desired, rollout))
        for name, rollout in desired.rollouts.items()
        if rollout.spec.prompt
    }


def _digest(desired: DesiredState, rollout: Rollout) -> Digest:
    version = desired.prompts[rollout.spec.prompt].spec.version(rollout.spec.version)
    assert version is not None, "references were resolved"
    return version.digest


def _is_reworded(version: str, digest: Digest, served: tuple[str, Digest]) -> bool:
    return served[0] == version and served[1] != digest


def _problem(desired: DesiredState, rollout: Rollout) -> Problem:
    source = desired.source_of(rollout.name)
    return Problem(
        source.path,
        source.span,
        "prompt-reworded",
        f"version {rollout.spec.version} of Prompt {rollout.spec.prompt} serves with another text: "
        f"rollout {rollout.name} would change all the answers at once",
        "leave the text as it is, add a version beside it, and let the rollout name that",
    )
