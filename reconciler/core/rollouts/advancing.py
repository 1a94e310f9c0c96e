"""advance: where a rollout goes from here, by what was seen.

Separate from measuring, writing down and carrying out, so that the same function decides in the
daemon, in a simulation and when a decision is replayed. The invariants: what would abort is looked
at first, in every phase; nothing is promoted by time alone; and what is not known holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.rollouts.consents import consented
from reconciler.core.rollouts.demands import demand_of
from reconciler.core.rollouts.gathering import condensed
from reconciler.core.rollouts.observations import Observation
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.revising import DRAIN_SECONDS, remembered
from reconciler.core.rollouts.states import Failure, Kept, Phase, RolloutState
from reconciler.core.rollouts.traffic import splits
from reconciler.core.verdicts import Outcome

UNREADY_SECONDS = 10.0
"""How long replicas of a version that has traffic may be down before it is taken away."""


class Move(StrEnum):
    """What a decision does."""

    HOLD = "hold"
    ENTER = "enter-step"
    WAVE = "begin-wave"
    APPROVE = "approve-step"
    PROMOTE = "promote"
    ABORT = "abort"
    RETIRE = "retire"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Decision:
    """The next state and why, in a sentence. HOLD leaves the state as it is."""

    move: Move
    state: RolloutState
    why: str


def advance(
    state: RolloutState, spec: RolloutSpec, observation: Observation, *, waves: int, now: float
) -> Decision:
    """Decide. `waves` is how many waves have clusters; `now` is seconds since the epoch."""
    if reason := next(_reasons_to_abort(state, spec, observation, now=now), None):
        return _aborted(state, spec, reason, now=now)
    match state.phase:
        case Phase.STARTING:
            return _start(state, spec, observation, now=now)
        case Phase.STEPPING:
            return _step(state, spec, observation, waves=waves, now=now)
        case Phase.WATCHED if not _is_watched(state, now=now):
            return Decision(
                Move.SETTLE,
                _without_expired(replace(state, phase=Phase.SETTLED, exposures=(), counts={}), now),
                f"{_name(state)} held all the traffic for as long as it was watched",
            )
        case _:
            return _rest(state, now=now)


def step_name(state: RolloutState, spec: RolloutSpec) -> str:
    """The position in words, for people."""
    steps = gradual(spec.strategy)
    wave = f"wave {state.wave + 1}, " if len(spec.waves) > 1 else ""
    if state.candidate is None or steps is None:
        return "watched" if state.phase is Phase.WATCHED else "settled"
    if state.phase is Phase.STARTING:
        return f"{wave}starting"
    found = splits(steps)
    index = min(state.step, len(found) - 1)
    approval = spec.approvals_asked().get(index + 1)
    words = f", approval by {' or '.join(approval)}" if approval else ""
    return f"{wave}step {index + 1} of {len(found)}: {found[index].words}{words}"


@dataclass(frozen=True, slots=True)
class _Reason:
    text: str
    gate: str = ""


def _reasons_to_abort(
    state: RolloutState, spec: RolloutSpec, observation: Observation, *, now: float
) -> Iterator[_Reason]:
    watched = state.phase is Phase.WATCHED and _warm(state) is not None
    if state.candidate is None and not watched:
        return
    for verdict in observation.verdicts:
        if verdict.outcome is Outcome.FAIL and not verdict.advisory:
            yield _Reason(f"gate {verdict.gate} failed: {verdict.summary}", verdict.gate)
    for name, sight in observation.clusters.items():
        if sight.refused:
            yield _Reason(f"cluster {name} does not take it: {sight.refused}")
    since = observation.unready_since
    # Where it starts it may take its time; the waves before have given it their traffic.
    starts = state.phase is Phase.STARTING and state.wave == 0
    if since is not None and now - since >= UNREADY_SECONDS and not starts:
        yield _Reason(f"its replicas have not been up for {now - since:.0f} s")
    if not watched and _is_overdue(state, spec, now=now):
        waits = _waits(state, spec, observation)
        yield _Reason(f"no evidence within {_seconds(spec):.0f} s: {'; '.join(waits)}")


def _aborted(state: RolloutState, spec: RolloutSpec, reason: _Reason, *, now: float) -> Decision:
    """All traffic to the version before, in every cluster; the failed one is not to come again."""
    failed, back = state.candidate, state.stable
    kept = state.kept
    if failed is None:  # it was watched: the version that is still warm takes over
        warm = _warm(state)
        assert warm is not None, "only a watched rollout with a warm version is judged"
        failed, back = state.stable, warm.target
        kept = tuple(entry for entry in kept if entry is not warm)
    assert failed is not None
    others = tuple(entry for entry in kept if entry.target.version != failed.version)
    after = replace(
        state,
        stable=back,
        candidate=None,
        phase=Phase.SETTLED,
        wave=0,
        step=0,
        entered=now,
        counts={},
        exposures=(),
        kept=(*others, Kept(failed, now + DRAIN_SECONDS, proven=False)),
        proven=tuple(known for known in state.proven if not known.is_same(failed)),
        failure=Failure(failed, now, reason.text, reason.gate, step_name(state, spec)),
    )
    return Decision(Move.ABORT, after, reason.text)


def _start(
    state: RolloutState, spec: RolloutSpec, observation: Observation, *, now: float
) -> Decision:
    waits = _waits(state, spec, observation)
    if waits:
        return _held(state, waits, now=now)
    return _entered(state, spec, 0, "the new version is up, without traffic", now=now)


def _step(
    state: RolloutState, spec: RolloutSpec, observation: Observation, *, waves: int, now: float
) -> Decision:
    if _is_news_of_approval(state, spec):
        # People took their time; from here on evidence is waited for no longer than ever.
        after = replace(state, approved_step=state.step + 1, entered=now)
        return Decision(Move.APPROVE, after, f"step {state.step + 1} was approved in Git")
    waits = _waits(state, spec, observation)
    if waits:
        return _held(state, waits, now=now)
    steps = gradual(spec.strategy)
    assert steps is not None
    count = len(splits(steps))
    evidence = condensed((*state.exposures, *observation.exposures))
    if state.step + 1 < count:
        passed = [v.summary for v in observation.verdicts if v.outcome is Outcome.PASS]
        why = "; ".join(passed) or "this step has what it asks for"
        return _entered(replace(state, exposures=evidence), spec, state.step + 1, why, now=now)
    if state.wave + 1 < waves:
        after = replace(
            state,
            phase=Phase.STARTING,
            wave=state.wave + 1,
            step=0,
            entered=now,
            exposures=(),
            counts={},
        )
        return Decision(Move.WAVE, after, f"wave {state.wave + 1} has it for all requests")
    return _promoted(state, spec, now=now)


def _held(state: RolloutState, waits: Sequence[str], *, now: float) -> Decision:
    """What waits may wait for the very place that a version takes which nobody needs any longer."""
    rest = _rest(state, now=now)
    return rest if rest.move is Move.RETIRE else Decision(Move.HOLD, state, "; ".join(waits))


def _entered(
    state: RolloutState, spec: RolloutSpec, step: int, why: str, *, now: float
) -> Decision:
    after = replace(state, phase=Phase.STEPPING, step=step, entered=now, counts={})
    return Decision(Move.ENTER, after, f"{step_name(after, spec)}, because {why}")


def _promoted(state: RolloutState, spec: RolloutSpec, *, now: float) -> Decision:
    candidate, before = state.candidate, state.stable
    assert candidate is not None
    assert before is not None
    assert spec.strategy is not None
    warm = max(DRAIN_SECONDS, spec.strategy.keep_warm.total_seconds())
    others = tuple(entry for entry in state.kept if entry.target.version != before.version)
    after = replace(
        state,
        stable=candidate,
        candidate=None,
        phase=Phase.WATCHED,
        wave=0,
        step=0,
        entered=now,
        exposures=(),
        counts={},
        kept=(*others, Kept(before, now + warm, proven=True)),
        proven=remembered(remembered(state.proven, before), candidate),
        failure=None,
        failed=(),
    )
    why = f"{candidate.version} has all requests everywhere; {before.version} stays warm"
    return Decision(Move.PROMOTE, after, why)


def _rest(state: RolloutState, *, now: float) -> Decision:
    after = _without_expired(state, now)
    if after == state:
        return Decision(Move.HOLD, state, "")
    gone = [k.target.version for k in state.kept if k not in after.kept]
    return Decision(Move.RETIRE, after, f"{', '.join(gone)} need not stay loaded any longer")


def _waits(state: RolloutState, spec: RolloutSpec, observation: Observation) -> list[str]:
    """All that the position waits for; empty when it may go on."""
    waits = [f"cluster {n}: {s.trouble}" for n, s in observation.clusters.items() if s.trouble]
    for name, sight in observation.clusters.items():
        if sight.trouble:
            continue
        if not sight.settled:
            waits.append(f"cluster {name} is being brought to it")
        elif not sight.ready:
            waits.append(f"its replicas in cluster {name} are not up yet")
        elif not sight.routed and state.phase is Phase.STEPPING:
            waits.append(f"the gateway of cluster {name} has not taken the traffic over yet")
    if not observation.clusters:
        waits.append("nothing was seen yet")
    if state.phase is Phase.STEPPING:
        waits += _step_waits(state, spec, observation)
    return waits


def _step_waits(state: RolloutState, spec: RolloutSpec, observation: Observation) -> Iterator[str]:
    assert state.candidate is not None
    demand = demand_of(state.step, spec)
    if demand.is_last:
        return
    if observation.trouble:
        yield observation.trouble
    if demand.approval and not _is_approved(state, spec, demand.number):
        yield f"step {demand.number} waits for an approval in Git"
        if spec.is_approved(state.candidate.version, demand.number):
            yield (
                f"the approval there was given for another build of {state.candidate.version}: "
                "take it out in one commit, and approve in the next"
            )
    # Clusters of earlier waves, where it has everything, are no evidence about this step's traffic.
    traffic = demand.split.traffic
    own = [exposure for exposure in observation.exposures if exposure.traffic is traffic]
    answered = sum(exposure.candidate_requests for exposure in own)
    if answered < demand.requests:
        yield f"{answered} of {demand.requests} requests answered in this step"
    for verdict in observation.verdicts if demand.gates else ():
        if verdict.outcome is Outcome.HOLD and not verdict.advisory:
            yield f"gate {verdict.gate}: {verdict.summary}"


def _is_overdue(state: RolloutState, spec: RolloutSpec, *, now: float) -> bool:
    if state.candidate is None or now - state.entered < _seconds(spec):
        return False
    steps = gradual(spec.strategy)
    if state.phase is Phase.STEPPING and steps is not None:
        # People may take their time: the traffic is watched meanwhile.
        asked = state.step + 1 in spec.approvals_asked()
        return not asked or state.approved_step == state.step + 1
    return True


def _is_news_of_approval(state: RolloutState, spec: RolloutSpec) -> bool:
    number = state.step + 1
    return (
        state.candidate is not None
        and state.approved_step != number
        and number in spec.approvals_asked()
        and _is_approved(state, spec, number)
    )


def _is_approved(state: RolloutState, spec: RolloutSpec, step: int) -> bool:
    return any(given.gate is None and given.step == step for given in consented(state, spec))


def _seconds(spec: RolloutSpec) -> float:
    assert spec.strategy is not None
    return spec.strategy.deadline.total_seconds()


def _warm(state: RolloutState) -> Kept | None:
    return next((kept for kept in reversed(state.kept) if kept.proven), None)


def _is_watched(state: RolloutState, *, now: float) -> bool:
    warm = _warm(state)
    return warm is not None and now < warm.until


def _without_expired(state: RolloutState, now: float) -> RolloutState:
    kept = tuple(entry for entry in state.kept if now < entry.until)
    return state if kept == state.kept else replace(state, kept=kept)


def _name(state: RolloutState) -> str:
    return state.stable.version if state.stable else ""
