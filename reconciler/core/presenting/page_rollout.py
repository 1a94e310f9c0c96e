"""A rollout as people see it: the rail of its steps, who gets what, and what its gates say.

Separate from the statuses and states that have the facts. The invariant: what is drawn follows
from the position and the newest look alone; without a look there is no verdict, and none is made
up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.chronicle import Note
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Rollout
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.presenting.page_charts import Chart, chart_of, line_words
from reconciler.core.presenting.page_marks import OUTCOMES, Mark
from reconciler.core.rollouts.placing import gradual, placement
from reconciler.core.rollouts.reporting import RolloutStatus
from reconciler.core.rollouts.states import Phase, RolloutState
from reconciler.core.rollouts.traffic import percent, splits
from reconciler.core.rollouts.trail import Point
from reconciler.core.samples import Exposure, Traffic
from reconciler.core.verdicts import Outcome, Verdict

DONE = Mark("good", "check", "done")
NOW = Mark("active", "dots", "now")
APPROVAL = Mark("warning", "clock", "waits for approval")
NEXT = Mark("quiet", "dot", "later")
FAILED = Mark("bad", "back", "taken back")
LANES = 12
"""Clusters whose traffic is drawn one by one."""

_FAILED_AT = re.compile(r"(?:wave (\d+), )?step (\d+) of")


@dataclass(frozen=True, slots=True)
class RailStep:
    """One step. `asks` names the roles that have to approve it."""

    number: int
    mark: Mark
    words: str
    asks: str = ""
    requests: int = 0


@dataclass(frozen=True, slots=True)
class RailWave:
    number: int
    mark: Mark
    clusters: tuple[ClusterName, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """The requests of one cluster. `share` is the candidate's part in percent; `copied` that of a
    mirror, whose answers nobody gets."""

    cluster: ClusterName
    base: str
    candidate: str
    share: float
    copied: float
    words: str


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate. Without a verdict nobody has looked yet."""

    name: str
    rule: str
    mark: Mark
    summary: str
    advisory: bool
    lines: tuple[str, ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class RolloutView:
    """All of the page of one rollout. `guilty` is the commit to revert, if there is one."""

    name: str
    mark: Mark
    headline: str
    status: RolloutStatus | None
    rollout: Rollout
    waves: tuple[RailWave, ...]
    steps: tuple[RailStep, ...]
    lanes: tuple[Lane, ...]
    more_lanes: int
    gates: tuple[GateView, ...]
    evidence: str
    guilty: str
    moves: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gates say: of the newest look, or of the last move that was written down."""

    verdicts: tuple[Verdict, ...] = ()
    points: tuple[Point, ...] = ()
    words: str = ""


def rollout_view(
    rollout: Rollout,
    desired: DesiredState,
    *,
    state: RolloutState | None,
    status: RolloutStatus | None,
    seen: Seen,
    moves: Sequence[Note],
) -> RolloutView:
    mark, headline = standing_of(rollout, status)
    lanes = tuple(_lanes(rollout, desired, state)) if state and state.stable else ()
    return RolloutView(
        name=rollout.name,
        mark=mark,
        headline=headline,
        status=status,
        rollout=rollout,
        waves=tuple(_waves(rollout, desired, state)),
        steps=tuple(_steps(rollout, state)),
        lanes=lanes[:LANES],
        more_lanes=max(0, len(lanes) - LANES),
        gates=tuple(_gates(rollout, desired, seen)),
        evidence=seen.words,
        guilty=_guilty(state),
        moves=tuple(moves),
    )


def standing_of(rollout: Rollout, status: RolloutStatus | None) -> tuple[Mark, str]:
    """A mark and one line for a rollout, wherever it is listed."""
    version = rollout.spec.version
    if status is None:
        return Mark("quiet", "dot", "at once"), f"{version}, changed all at once"
    if status.candidate:
        return Mark("active", "dots", "on its way"), f"{status.stable} → {status.candidate}"
    if status.failure:
        words = f"{status.failure.version} was taken back; {status.stable or 'nothing'} serves"
        return Mark("bad", "back", "taken back"), words
    if not status.stable:
        return Mark("active", "dots", "starting"), f"{version} starts"
    if status.phase is Phase.WATCHED:
        return Mark("good", "eye", "watched"), f"{status.stable} has all requests and is watched"
    return Mark("good", "check", "settled"), f"{status.stable} has all requests"


def _guilty(state: RolloutState | None) -> str:
    """The commit whose revert takes back what is on its way, or what came last."""
    if state is None:
        return ""
    if state.candidate is not None:
        return state.candidate.commit
    if state.failure is not None:
        return "" if state.failure.undone else state.failure.target.commit
    return state.stable.commit if state.stable and state.phase is Phase.WATCHED else ""


def _waves(
    rollout: Rollout, desired: DesiredState, state: RolloutState | None
) -> Iterator[RailWave]:
    clusters: dict[int, list[ClusterName]] = {}
    for (cluster, _), unit in desired.places_of(rollout.name):
        clusters.setdefault(unit.stage, []).append(cluster)
    for stage in sorted(clusters):
        yield RailWave(stage + 1, _wave_mark(stage, state), tuple(sorted(clusters[stage])))


def _wave_mark(stage: int, state: RolloutState | None) -> Mark:
    if state is None:
        return DONE
    if state.candidate is None:
        at = _failed_at(state)
        if at is None:
            return DONE if state.stable else NOW
        return FAILED if stage == at[0] else DONE if stage < at[0] else NEXT
    return DONE if stage < state.wave else NOW if stage == state.wave else NEXT


def _steps(rollout: Rollout, state: RolloutState | None) -> Iterator[RailStep]:
    steps = gradual(rollout.spec.strategy)
    if steps is None:
        return
    asked = rollout.spec.approvals_asked()
    for index, split in enumerate(splits(steps)):
        by = " or ".join(asked.get(index + 1, ()))
        mark = _step_mark(index, state, asks=bool(by))
        asks_only = bool(by) and rollout.spec.strategy is not None and _is_pause(rollout, index)
        words = "Approval" if asks_only else _capital(split.words)
        yield RailStep(index + 1, mark, words, by, _requests(rollout, index))


def _is_pause(rollout: Rollout, index: int) -> bool:
    canary = rollout.spec.strategy.canary if rollout.spec.strategy else None
    return canary is not None and canary.steps[index].approval is not None


def _requests(rollout: Rollout, index: int) -> int:
    canary = rollout.spec.strategy.canary if rollout.spec.strategy else None
    if canary is None or index == len(canary.steps) - 1 or canary.steps[index].approval:
        return 0
    return canary.steps[index].requests


def _step_mark(index: int, state: RolloutState | None, *, asks: bool) -> Mark:
    if state is None:
        return DONE
    if state.candidate is None:
        at = _failed_at(state)
        if at is None:
            return DONE if state.stable else NEXT
        return FAILED if index == at[1] else DONE if index < at[1] else NEXT
    if state.phase is Phase.STARTING:
        return NEXT
    if index == state.step:
        return APPROVAL if asks and state.approved_step != index + 1 else NOW
    return DONE if index < state.step else NEXT


def _failed_at(state: RolloutState) -> tuple[int, int] | None:
    """Wave and step of the failure, as indexes."""
    if state.failure is None:
        return None
    found = _FAILED_AT.match(state.failure.step)
    return (int(found[1] or 1) - 1, int(found[2]) - 1) if found else (0, 0)


def _lanes(rollout: Rollout, desired: DesiredState, state: RolloutState) -> Iterator[Lane]:
    for (cluster, _), unit in desired.places_of(rollout.name):
        placed = placement(state, rollout.spec, wave=unit.stage)
        candidate = placed.candidate.version if placed.candidate else ""
        split = placed.split
        gets = split.traffic in (Traffic.WEIGHT, Traffic.FULL)
        copied = split.share * 100 if split.traffic is Traffic.MIRROR else 0.0
        share = split.share * 100 if gets else 0.0
        words = f"{candidate} gets {split.words}" if candidate else "one version has all requests"
        yield Lane(cluster, placed.base.version, candidate, share, copied, words)


def _gates(rollout: Rollout, desired: DesiredState, seen: Seen) -> Iterator[GateView]:
    verdicts: Mapping[str, Verdict] = {verdict.gate: verdict for verdict in seen.verdicts}
    for name in rollout.spec.gates:
        gate = desired.gates.get(name)
        rule = gate_rule(gate.spec) if gate else ""
        verdict = verdicts.get(name)
        if verdict is None:
            quiet = Mark("quiet", "dot", "not judged now")
            yield GateView(name, rule, quiet, "", False, (), None)
            continue
        yield GateView(
            name=name,
            rule=rule,
            mark=_verdict_mark(verdict),
            summary=verdict.summary,
            advisory=verdict.advisory,
            lines=tuple(_lines(verdict)),
            chart=chart_of(seen.points, verdict) if seen.points else None,
        )


def _verdict_mark(verdict: Verdict) -> Mark:
    mark = OUTCOMES[verdict.outcome]
    if verdict.advisory and verdict.outcome is Outcome.FAIL:
        return Mark("warning", "cross", "fail, advises")
    return mark


def _lines(verdict: Verdict) -> Iterator[str]:
    if verdict.abort is not None:
        yield line_words(verdict.abort, what="Takes back")
    if verdict.promote is not None:
        yield line_words(verdict.promote, what="Promotes")


def gate_rule(spec: GateSpec) -> str:
    """What a gate asks for, in words."""
    if (rate := spec.error_rate) is not None:
        beside = "" if rate.ratio == 1 else f", and at most {rate.ratio:g} × the stable version's"
        return f"at most {rate.at_most} failed requests{beside}; sure by {rate.confidence}"
    if (evaluation := spec.evaluation) is not None:
        return f"evaluation {evaluation.name}: at most {evaluation.margin} worse"
    if (drift := spec.drift) is not None:
        listed = ", ".join(drift.signals)
        return f"distribution of {listed}: {drift.metric} at most {drift.effect:g}"
    if (latency := spec.latency) is not None:
        milliseconds = latency.at_most.total_seconds() * 1000
        return f"{latency.quantile} of requests within {milliseconds:,.0f} ms"
    if (query := spec.promql) is not None:
        side, limit = ("≤", query.at_most) if query.at_most is not None else ("≥", query.at_least)
        return f"{query.query} {side} {limit:g} for {query.over}"
    assert spec.approval is not None
    return f"approval by {' or '.join(spec.approval.by)}"


def exposure_words(exposure: Exposure) -> str:
    """How the requests of an exposure came to the candidate."""
    match exposure.traffic:
        case Traffic.COHORT:
            return "known-safe requests"
        case Traffic.MIRROR:
            return f"a copy of {percent(exposure.share)}"
        case Traffic.WEIGHT:
            return percent(exposure.share)
        case Traffic.FULL:
            return "all requests"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
