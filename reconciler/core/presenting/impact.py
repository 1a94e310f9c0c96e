"""Impact: what merging would touch, how risky that is and why, and how it is undone.

Separate from the view of a plan, which is about objects, because people who approve ask about
models, traffic, access and devices. The invariant: it is a function of the plan and of the two
states that the commits declare; what no cluster could tell raises the risk and never lowers it.

The risk is that of the worst reason.

- HIGH: somebody gains access; an object that holds data or contains others is deleted or replaced;
  a model that serves gets another version at once or without a gate, or would no longer run;
  the policy changes; fields are taken from another manager; a cluster cannot be seen; no cluster
  was asked; over ten objects are deleted.
- MEDIUM: a version goes its steps; a gate changes; something is deleted; pods restart; traffic is
  led otherwise; somebody loses access; something could not be checked; more devices are needed.
- LOW: nothing of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final

from reconciler.core.access.subjects import SUBJECT_UNITS
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.kinds.repository import STATEFUL_KINDS, kind_name
from reconciler.core.kinds.rollout import Rollout
from reconciler.core.plans import Action, Change, Plan, WaitReason
from reconciler.core.presenting.access_changes import AccessChange, ChangedObject, access_changes
from reconciler.core.presenting.capacity import Capacity, capacity_of
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.plan_view import Importance, importance_of
from reconciler.core.rollouts.placing import gradual
from reconciler.core.rollouts.telling import steps_of

MANY_DELETIONS: Final = 10


class Risk(IntEnum):
    """How closely to look before approving."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the risk is at least that, as the end of a sentence."""

    risk: Risk
    words: str


@dataclass(frozen=True, slots=True)
class RolloutImpact:
    """A rollout whose version or way changes. A version is empty where there is none.

    `steps` are those that the traffic takes, in words; none when it moves at once. `keep_warm` is
    how long the version before stays loaded, so that going back to it loads nothing.
    """

    rollout: str
    model: str
    before: str
    after: str
    clusters: tuple[ClusterName, ...]
    steps: tuple[str, ...]
    gates: tuple[str, ...]
    waves: int
    on_failure: str
    keep_warm: timedelta | None

    @property
    def moves(self) -> bool:
        """Whether the requests of a model that serves get another version."""
        return bool(self.before and self.after and self.before != self.after)


@dataclass(frozen=True, slots=True)
class Amount:
    """Of something that is declared: before, at the most on the way, and after."""

    before: int
    during: int
    after: int


@dataclass(frozen=True, slots=True)
class Impact:
    """What merging would touch.

    `before` and `after` are of the units that differ; `during` is the most that these need on the
    way, while two versions are loaded. `late` counts objects that are written although both commits
    declare them alike: their cluster is behind.
    """

    clusters: tuple[ClusterName, ...]
    models: tuple[str, ...]
    rollouts: tuple[RolloutImpact, ...]
    before: Capacity
    during: Capacity
    after: Capacity
    restarts: tuple[ObjectKey, ...]
    access: tuple[AccessChange, ...]
    reasons: tuple[Reason, ...]
    late: int = 0

    @property
    def risk(self) -> Risk:
        return max((reason.risk for reason in self.reasons), default=Risk.LOW)

    @property
    def replicas(self) -> Amount:
        return Amount(self.before.replicas, self.during.replicas, self.after.replicas)

    @property
    def devices(self) -> tuple[tuple[str, Amount], ...]:
        """How many of each kind of device, by its name."""
        states = (self.before, self.during, self.after)
        names = sorted({name for state in states for name in state.devices})
        return tuple(
            (name, Amount(*(state.devices.get(name, 0) for state in states))) for name in names
        )


def impact(
    plan: Plan, before: DesiredState | None, after: DesiredState, *, offline: bool = False
) -> Impact:
    """Weigh a plan. `before` is what is in force, `offline` whether no cluster was asked."""
    units = _changed_units(before, after)
    rollouts = tuple(_rollouts(before, after))
    access = access_changes(before, after, _objects(units))
    old, new = (_needed(units, side) for side in (0, 1))
    doubled = {UnitName(f"rollout/{r.rollout}") for r in rollouts if r.moves and r.steps}
    both = [pair for pair in units if pair[1] is not None and pair[1].name in doubled]
    reasons = [*_of_sight(plan, offline=offline), *_of_rollouts(rollouts)]
    reasons += _of_access(access) or _of_grants(plan)
    reasons += _of_rules(before, after)
    reasons += _of_plan(plan)
    reasons += _of_devices(old, new)
    return Impact(
        clusters=tuple(sorted(c.cluster for c in plan.clusters if c.changes or c.refusals)),
        models=tuple(sorted({*_models(units, before, after), *(r.model for r in rollouts)})),
        rollouts=rollouts,
        before=old,
        during=new + _needed(both, 0),
        after=new,
        restarts=tuple(sorted({c.key for _, c in plan.all_changes() if c.restarts})),
        access=access,
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.risk)),
        late=_late(plan, units),
    )


def state_access_changes(
    before: DesiredState | None, after: DesiredState
) -> tuple[AccessChange, ...]:
    """Who gains and who loses what between two states that commits declare."""
    return access_changes(before, after, _objects(_changed_units(before, after)))


_Pair = tuple[Unit | None, Unit | None]


def _changed_units(before: DesiredState | None, after: DesiredState) -> list[_Pair]:
    changed = [
        (before.units.get(place) if before else None, after.units.get(place))
        for place in sorted({*(before.units if before else ()), *after.units})
        if before is None or before.units.get(place) is not after.units.get(place)
    ]
    return [(old, new) for old, new in changed if (old and old.digest) != (new and new.digest)]


def _late(plan: Plan, units: list[_Pair]) -> int:
    places = {(unit.cluster, unit.name) for pair in units for unit in pair if unit is not None}
    return sum(
        change.action.writes and (cluster.cluster, change.unit) not in places
        for cluster in plan.clusters
        for change in cluster.changes
    )


def _needed(units: list[_Pair], side: int) -> Capacity:
    found = (pair[side] for pair in units)
    return capacity_of(m for unit in found if unit for m in unit.manifests.values())


def _objects(units: list[_Pair]) -> Iterator[ChangedObject]:
    for old, new in units:
        found = new or old
        assert found is not None, "a unit is in one of the states"
        if found.name.startswith(SUBJECT_UNITS):
            continue
        one, other = (unit.manifests if unit else {} for unit in (old, new))
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                yield found.cluster, one.get(key), other.get(key)


def _models(units: list[_Pair], before: DesiredState | None, after: DesiredState) -> Iterator[str]:
    """Models of the rollouts whose objects change."""
    names = {unit.name for pair in units for unit in pair if unit is not None}
    for state in filter(None, (before, after)):
        for name, rollout in state.rollouts.items():
            if UnitName(f"rollout/{name}") in names:
                yield rollout.spec.subject


def _rollouts(before: DesiredState | None, after: DesiredState) -> Iterator[RolloutImpact]:
    earlier = before.rollouts if before else {}
    for name in sorted({*earlier, *after.rollouts}):
        old, new = earlier.get(name), after.rollouts.get(name)
        if (old and _way(old)) != (new and _way(new)):
            found, state = (new, after) if new else (old, before)
            assert found is not None, "the name is of one of them"
            assert state is not None, "the rollout is in one of the states"
            yield _rollout(found, state, old, new)


def _way(rollout: Rollout) -> tuple[object, ...]:
    """All but the approvals that were given: those change no way, and are told by the plan."""
    spec = rollout.spec
    named = spec.model, spec.prompt, spec.version
    return *named, spec.waves, spec.strategy, spec.gates, spec.on_failure


def _rollout(
    found: Rollout, state: DesiredState, old: Rollout | None, new: Rollout | None
) -> RolloutImpact:
    spec = found.spec
    strategy = spec.strategy
    goes = new is not None and old is not None and gradual(strategy) is not None
    return RolloutImpact(
        rollout=found.name,
        model=spec.subject,
        before=old.spec.version if old else "",
        after=new.spec.version if new else "",
        clusters=tuple(sorted(cluster for (cluster, _), _ in state.places_of(found.name))),
        steps=tuple(steps_of(spec)) if goes else (),
        gates=spec.gates if goes else (),
        waves=len(spec.waves),
        on_failure=spec.on_failure,
        keep_warm=strategy.keep_warm if strategy and goes else None,
    )


def _of_sight(plan: Plan, *, offline: bool) -> Iterator[Reason]:
    if offline:
        yield Reason(Risk.HIGH, "no cluster was asked, so its effect is unknown")
    if unseen := _unseen(plan):
        yield Reason(Risk.HIGH, f"nothing is known of {', '.join(unseen)}, which cannot be seen")


def _of_plan(plan: Plan) -> Iterator[Reason]:
    changes = [(cluster.cluster, c) for cluster in plan.clusters for c in cluster.changes]
    importances = {importance_of(change) for _, change in changes}
    gone = [c for _, c in changes if c.action in (Action.DELETE, Action.REPLACE)]
    if kept := sorted({str(change.key) for change in gone if _keeps(change)}):
        yield Reason(Risk.HIGH, f"{kept[0]} goes, with what it holds{_and_more(kept)}")
    if any(change.force for _, change in changes):
        yield Reason(Risk.HIGH, "it takes fields from another manager")
    if gone:
        risk = Risk.HIGH if len(gone) > MANY_DELETIONS else Risk.MEDIUM
        yield Reason(risk, f"{plural(len(gone), 'object')} would be deleted or replaced")
    if Importance.TRAFFIC in importances:
        yield Reason(Risk.MEDIUM, "traffic is led otherwise")
    if restarted := sum(change.restarts for _, change in changes):
        yield Reason(Risk.MEDIUM, f"the pods of {plural(restarted, 'workload')} restart")
    if unverified := sum(len(cluster.unverified) for cluster in plan.clusters):
        yield Reason(Risk.MEDIUM, f"{plural(unverified, 'object')} could not be checked")


def _keeps(change: Change) -> bool:
    return kind_name(change.key.group, change.key.kind) in STATEFUL_KINDS


def _and_more(names: list[str]) -> str:
    return f", and {len(names) - 1} more like it" if len(names) > 1 else ""


def _unseen(plan: Plan) -> list[ClusterName]:
    return sorted(
        cluster.cluster
        for cluster in plan.clusters
        if any(waiting.reason is WaitReason.CLUSTER_STALE for waiting in cluster.waiting)
    )


def _of_rollouts(rollouts: tuple[RolloutImpact, ...]) -> Iterator[Reason]:
    for found in rollouts:
        if found.before and not found.after:
            yield Reason(Risk.HIGH, f"{found.model} {found.before} would no longer run")
        if not found.moves:
            continue
        move = f"{found.model} goes from {found.before} to {found.after}"
        if not found.steps:
            yield Reason(Risk.HIGH, f"{move} at once, for all requests")
        elif not found.gates:
            yield Reason(Risk.HIGH, f"{move}, and no gate judges it")
        else:
            yield Reason(Risk.MEDIUM, f"{move} in steps, with gates")


def _of_access(access: tuple[AccessChange, ...]) -> list[Reason]:
    reasons = []
    for gains, risk, verb in ((True, Risk.HIGH, "gains"), (False, Risk.MEDIUM, "loses")):
        who = sorted({change.who for change in access if change.gains is gains})
        if who:
            more = f" and {len(who) - 1} more" if len(who) > 1 else ""
            reasons.append(Reason(risk, f"{who[0]}{more} {verb} access"))
    return reasons


def _of_grants(plan: Plan) -> list[Reason]:
    """Objects that give access although both commits declare them alike: a cluster is behind."""
    given = {
        str(change.key)
        for cluster in plan.clusters
        for change in cluster.changes
        if importance_of(change) is Importance.PERMISSIONS
    }
    if not given:
        return []
    return [Reason(Risk.HIGH, f"{min(given)}{_and_more(sorted(given))} gives access")]


def _of_rules(before: DesiredState | None, after: DesiredState) -> Iterator[Reason]:
    """What judges changes is changed: this one is still judged by the rules in force."""
    if before is None:
        return
    if before.policy != after.policy:
        yield Reason(Risk.HIGH, "it changes the policy that judges what comes after")
    gates = {*before.gates, *after.gates}
    if changed := sorted(name for name in gates if before.gates.get(name) != after.gates.get(name)):
        more = f", and {len(changed) - 1} more gates" if len(changed) > 1 else ""
        yield Reason(Risk.MEDIUM, f"gate {changed[0]} would judge otherwise{more}")


def _of_devices(before: Capacity, after: Capacity) -> Iterator[Reason]:
    for name, count in sorted(after.devices.items()):
        if (more := count - before.devices.get(name, 0)) > 0:
            yield Reason(Risk.MEDIUM, f"it needs {more:,} more {name}")
