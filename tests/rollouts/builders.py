"""Positions, looks and commits of one rollout, for claims about the pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.manifests import digest_of
from reconciler.core.rollouts.advancing import Decision, advance
from reconciler.core.rollouts.observations import ClusterSight, Observation
from reconciler.core.rollouts.placing import current_split
from reconciler.core.rollouts.states import Failure, Kept, Phase, RolloutState, Target
from reconciler.core.samples import Exposure, Traffic
from reconciler.core.verdicts import Outcome, Verdict

NOW = 1_000_000.0
HOUR = 3600.0

COHORT = {"cohort": {"header": "x-cohort", "value": "internal"}}
MIRROR = {"mirror": "10%"}
FIVE = {"weight": "5%"}
QUARTER = {"weight": "25%"}
ALL = {"weight": "100%"}
APPROVAL = {"approval": {"by": ["product-owner"]}}

STEPS: tuple[dict[str, Any], ...] = (COHORT, MIRROR, FIVE, QUARTER, ALL)

ONE, TWO = ClusterName("one"), ClusterName("two")
UP = ClusterSight(settled=True, routed=True, ready=True)


def commit(name: str) -> CommitSha:
    return CommitSha(digest_of(name.encode()).removeprefix("sha256:")[:40])


def target(version: str, build: str = "a") -> Target:
    built = Digest(digest_of(f"{version}{build}".encode()))
    return Target(version, built, commit(f"{version}{build}"))


V1, V2, V3 = target("v1"), target("v2"), target("v3")


def spec(
    *steps: Mapping[str, Any],
    version: str = "v2",
    waves: int = 1,
    gates: tuple[str, ...] = ("errors",),
    approved: tuple[int, ...] = (),
    **strategy: Any,
) -> RolloutSpec:
    """A canary, or whatever `strategy` names. `approved` are steps that have their approval."""
    way = (
        {}
        if {"blueGreen", "recreate"} & strategy.keys()
        else {"canary": {"steps": list(steps or STEPS)}}
    )
    return RolloutSpec.model_validate(
        {
            "model": "fraud",
            "version": version,
            "namespace": "team-a",
            "waves": [{"clusters": {"wave": str(number)}} for number in range(waves)],
            "gates": list(gates),
            "approved": [
                {"version": version, "step": step, "by": "product-owner"} for step in approved
            ],
            "strategy": {**way, "keepWarm": "1h", "deadline": "1h", **strategy},
        }
    )


def settled(stable: Target = V1, **changes: Any) -> RolloutState:
    return RolloutState("fraud", stable=stable, proven=(stable,), **changes)


def starting(wave: int = 0, **changes: Any) -> RolloutState:
    return settled(
        **{"candidate": V2, "phase": Phase.STARTING, "wave": wave, "entered": NOW, **changes}
    )


def stepping(step: int, wave: int = 0, **changes: Any) -> RolloutState:
    return starting(wave, **{"phase": Phase.STEPPING, "step": step, **changes})


def watched(**changes: Any) -> RolloutState:
    """v2 has all requests, and v1 is warm."""
    return RolloutState(
        **{
            "rollout": "fraud",
            "stable": V2,
            "phase": Phase.WATCHED,
            "entered": NOW,
            "kept": (Kept(V1, NOW + HOUR, proven=True),),
            "proven": (V1, V2),
            **changes,
        }
    )


def failed(**changes: Any) -> RolloutState:
    """v2 was taken back a moment ago."""
    return settled(
        **{
            "kept": (Kept(V2, NOW + 15, proven=False),),
            "failure": Failure(V2, NOW, "gate errors failed", "errors"),
            **changes,
        }
    )


def says(outcome: Outcome, *, gate: str = "errors", advisory: bool = False) -> Verdict:
    return Verdict(gate, outcome, f"it is {outcome}", advisory=advisory)


PASSES, FAILS, HOLDS = says(Outcome.PASS), says(Outcome.FAIL), says(Outcome.HOLD)


def answered(requests: int, traffic: Traffic = Traffic.WEIGHT) -> Exposure:
    return Exposure(traffic, 0.05, 19 * requests, 0, requests, 0)


def look(
    *verdicts: Verdict,
    requests: int = 100,
    clusters: Mapping[ClusterName, ClusterSight] | None = None,
    unready_since: float | None = None,
) -> Observation:
    return Observation(
        clusters={ONE: UP} if clusters is None else clusters,
        exposures=(answered(requests),),
        verdicts=verdicts or (PASSES,),
        unready_since=unready_since,
    )


def after(
    state: RolloutState,
    seen: Observation,
    *,
    by: RolloutSpec | None = None,
    waves: int = 1,
    later: float = 1.0,
) -> Decision:
    """What is decided some seconds after the position began, on requests of its own traffic."""
    declared = by or spec(waves=waves)
    traffic = current_split(state, declared).traffic or Traffic.WEIGHT
    own = tuple(replace(exposure, traffic=traffic) for exposure in seen.exposures)
    seen = replace(seen, exposures=own)
    return advance(state, declared, seen, waves=waves, now=NOW + later)
