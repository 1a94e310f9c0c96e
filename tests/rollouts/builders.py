"""Short ways to make specs, states and looks at a rollout from v1 to v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.advancing import Decision, advance
from reconciler.core.rollouts.observations import ClusterSight, Observation
from reconciler.core.rollouts.states import Kept, Phase, RolloutState, Target
from reconciler.core.samples import Exposure, Traffic
from reconciler.core.verdicts import Outcome, Verdict

NOW = 1_700_000_000.0
HOUR = 3600.0

COHORT: Mapping[str, Any] = {"cohort": {"header": "x-cohort", "value": "internal"}}
MIRROR: Mapping[str, Any] = {"mirror": "10%"}
APPROVAL: Mapping[str, Any] = {"approval": {"by": ["product-owner"]}}
ALL: Mapping[str, Any] = {"weight": "100%"}
BLUE_GREEN: Mapping[str, Any] = {"blueGreen": {}}

GOOD = ClusterSight(settled=True, routed=True, ready=True)


def weight(share: str, *, requests: int = 100) -> Mapping[str, Any]:
    return {"weight": share, "requests": requests}


STEPS = (COHORT, MIRROR, weight("5%"), weight("25%"), ALL)


def target(version: str, *, build: str = "a", commit: str = "") -> Target:
    """`commit` is told apart by its first digits, as in a log."""
    asked = commit or f"{build}{version[1:]}"
    return Target(version, Digest(f"sha256:{build * 64}"), CommitSha(asked.ljust(40, "0")))


V1, V2, V3 = target("v1"), target("v2"), target("v3")


def spec(
    *steps: Mapping[str, Any],
    strategy: Mapping[str, Any] | None = None,
    waves: int = 1,
    gates: Sequence[str] = ("errors",),
    approved: Sequence[int] = (),
    version: str = "v2",
    keep_warm: str = "1h",
    deadline: str = "1h",
) -> RolloutSpec:
    """A canary of these steps, or another strategy. `approved` are the numbers of steps."""
    chosen = strategy or {"canary": {"steps": list(steps or STEPS)}}
    return RolloutSpec.model_validate(
        {
            "model": "fraud",
            "version": version,
            "namespace": "team-risk",
            "waves": [{"clusters": {"wave": str(number)}} for number in range(waves)],
            "strategy": {**chosen, "keepWarm": keep_warm, "deadline": deadline},
            "gates": list(gates),
            "approved": [
                {"version": version, "step": step, "by": "product-owner"} for step in approved
            ],
        }
    )


def settled(stable: Target = V1, **said: Any) -> RolloutState:
    return replace(RolloutState("fraud", stable, proven=(stable,)), **said)


def starting(candidate: Target = V2, **said: Any) -> RolloutState:
    begun = {"candidate": candidate, "phase": Phase.STARTING, "entered": NOW}
    return settled(**{**begun, **said})


def stepping(step: int, candidate: Target = V2, **said: Any) -> RolloutState:
    """`step` counts from 0."""
    return starting(candidate, **{"phase": Phase.STEPPING, "step": step, **said})


def watched(*, until: float = NOW + HOUR, **said: Any) -> RolloutState:
    """v2 has all the traffic, and v1 is warm."""
    warm = Kept(V1, until, proven=True)
    held = {"phase": Phase.WATCHED, "entered": NOW, "kept": (warm,), "proven": (V1, V2)}
    return settled(V2, **{**held, **said})


def verdict(outcome: str, *, gate: str = "errors", advisory: bool = False) -> Verdict:
    return Verdict(gate, Outcome(outcome), f"{gate} says {outcome}", advisory=advisory)


def seen(
    *verdicts: Verdict | str,
    answered: int = 1_000,
    unready_since: float | None = None,
    **clusters: ClusterSight,
) -> Observation:
    """A look at `clusters`, by default one that is as it should be. `answered` is of this step."""
    return Observation(
        {ClusterName(name): sight for name, sight in (clusters or {"one": GOOD}).items()},
        (Exposure(Traffic.WEIGHT, 0.05, 20 * answered, 0, answered, 0),),
        tuple(verdict(said) if isinstance(said, str) else said for said in verdicts),
        unready_since,
    )


def decide(
    state: RolloutState,
    said: RolloutSpec,
    observation: Observation,
    *,
    after: float = 1.0,
) -> Decision:
    """What is decided so many seconds after the position was entered."""
    return advance(state, said, observation, waves=len(said.waves), now=NOW + after)
