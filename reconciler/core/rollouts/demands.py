"""Demands: what a step asks for before the next one begins.

Separate from deciding, so that whoever foretells a decision reads the same rules. The invariant:
the last step, with all the traffic, asks for nothing, since evidence was asked for before.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.kinds.rollout import BlueGreen, RolloutSpec
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.traffic import Split, splits
from reconciler.core.samples import Traffic


@dataclass(frozen=True, slots=True)
class Demand:
    """`number` is the step's, from 1. `requests` are those that it asks for, with its own traffic;
    `approval` and `gates` whether it waits for consent, and for every gate to pass."""

    number: int
    split: Split
    requests: int = 0
    approval: bool = False
    gates: bool = False

    @property
    def is_last(self) -> bool:
        return self.split.traffic is Traffic.FULL


def demand_of(step: int, spec: RolloutSpec) -> Demand:
    """What the step with this index asks for; the last one where a commit has shortened them."""
    steps = gradual(spec.strategy)
    assert steps is not None, "a rollout that does not go step by step has none"
    found = splits(steps)
    index = min(step, len(found) - 1)
    split, number = found[index], index + 1
    if split.traffic is Traffic.FULL:
        return Demand(number, split)
    asks_approval = number in spec.approvals_asked()
    if isinstance(steps, BlueGreen):
        requests = steps.requests if spec.gates else 0
    else:
        requests = 0 if asks_approval else steps.steps[index].requests
    # A first small weight is how one gets more evidence, so entering it asks for no proof.
    gates = split.traffic is Traffic.WEIGHT or found[index + 1].traffic is Traffic.FULL
    return Demand(number, split, requests, asks_approval, gates)
