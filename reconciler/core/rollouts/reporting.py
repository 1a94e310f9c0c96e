"""RolloutStatus: where a rollout stands and why, for the terminal and the page.

Separate from the state, which is what is durable, and from the words of a terminal. The invariant:
everything here follows from the journal, the commit in force and the newest look; nothing is
remembered besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from reconciler.core.kinds import Rollout
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.advancing import step_name
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.core.rollouts.traffic import splits
from reconciler.core.samples import Exposure
from reconciler.core.verdicts import Verdict

_CAMEL = ConfigDict(alias_generator=to_camel, ser_json_inf_nan="strings")


@dataclass(frozen=True, slots=True)
class FailureStatus:
    """A version that was taken back, `at` RFC 3339, and what became of its commit."""

    version: str
    commit: str
    at: str
    reason: str
    gate: str
    step: str
    undone: str
    trouble: str

    __pydantic_config__ = _CAMEL


@dataclass(frozen=True, slots=True)
class KeptStatus:
    """A version that stays loaded without traffic until a time (RFC 3339)."""

    version: str
    until: str

    __pydantic_config__ = _CAMEL


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """One rollout. `wanted` is the version of the commit in force.

    `stable` has the traffic that nothing else gets. `step` is the position in words, `after` the
    next one; both empty when there is none. `why` says what it waits for. `verdicts` and
    `exposures` are of the newest look. Times are RFC 3339.
    """

    rollout: str
    model: str
    namespace: str
    wanted: str
    phase: Phase
    step: str
    stable: str
    candidate: str = ""
    since: str = ""
    after: str = ""
    why: str = ""
    looked: str = ""
    verdicts: tuple[Verdict, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    kept: tuple[KeptStatus, ...] = ()
    failure: FailureStatus | None = None

    __pydantic_config__ = _CAMEL


def rollout_status(
    rollout: Rollout,
    state: RolloutState,
    *,
    why: str = "",
    looked_at: float | None = None,
    verdicts: Sequence[Verdict] = (),
    exposures: Sequence[Exposure] = (),
) -> RolloutStatus:
    """Order what is known of one rollout. `looked_at` is seconds since the epoch."""
    spec = rollout.spec
    return RolloutStatus(
        rollout=rollout.name,
        model=spec.subject,
        namespace=spec.namespace,
        wanted=spec.version,
        phase=state.phase,
        step=step_name(state, spec),
        stable=state.stable.version if state.stable else "",
        candidate=state.candidate.version if state.candidate else "",
        since=_time(state.entered) if state.entered else "",
        after=_after(state, spec),
        why=why,
        looked=_time(looked_at) if looked_at is not None else "",
        verdicts=tuple(verdicts),
        exposures=tuple(exposures),
        kept=tuple(KeptStatus(kept.target.version, _time(kept.until)) for kept in state.kept),
        failure=_failure(state),
    )


def _failure(state: RolloutState) -> FailureStatus | None:
    failure = state.failure
    if failure is None:
        return None
    return FailureStatus(
        version=failure.target.version,
        commit=failure.target.commit,
        at=_time(failure.at),
        reason=failure.reason,
        gate=failure.gate,
        step=failure.step,
        undone=failure.undone,
        trouble=failure.trouble,
    )


def _after(state: RolloutState, spec: RolloutSpec) -> str:
    steps = gradual(spec.strategy)
    if state.candidate is None or steps is None:
        return ""
    found = splits(steps)
    following = 0 if state.phase is Phase.STARTING else state.step + 1
    if following < len(found):
        return f"step {following + 1} of {len(found)}: {found[following].words}"
    return "the next wave, or the end"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
