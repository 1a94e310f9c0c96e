"""Course: a commit with its rollouts at the positions that follow from commit and journal.

Separate from staging one rollout, because a pass, a plan for people and a restart all begin here.
The invariant: making a course writes nothing. What it changes in the journal becomes true only
together with the acceptance of its commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.access.expiring import standing_at
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.errors import Corrupt
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Ledger
from reconciler.core.manifests import JsonObject
from reconciler.core.outstanding import Place
from reconciler.core.rollouts.consents import with_consents
from reconciler.core.rollouts.placing import gradual, steps_digest
from reconciler.core.rollouts.revising import first_state, on_steps, revised
from reconciler.core.rollouts.runtimes import Loaded
from reconciler.core.rollouts.staging import (
    NOTHING_LOADED,
    Staged,
    applied_target,
    is_applied,
    runtime_of,
    stage,
    target_of,
)
from reconciler.core.rollouts.states import RolloutState, Target, state_from_json, state_json


@dataclass(frozen=True, slots=True)
class Course:
    """What a commit declares (`target`), and what of it is to be so now (`staged`).

    `states` are those of the rollouts that go step by step, `news` what the journal has to take
    in with the commit; None stands for a rollout that is forgotten. `taken_from` is the journal
    that all of it was made of.
    """

    target: DesiredState
    staged: Staged
    states: Mapping[str, RolloutState]
    news: Mapping[str, JsonObject | None]
    taken_from: Mapping[str, RolloutState] = field(default_factory=dict)

    @property
    def state(self) -> DesiredState:
        return self.staged.state

    def stands(self, journal: Mapping[str, RolloutState]) -> bool:
        """Whether every rollout is still where this course took it from."""
        return _places(journal) == _places(self.taken_from)


class Courses:
    """Makes courses. Remembers what is costly to find out of units that did not change."""

    def __init__(self) -> None:
        self._targets: dict[str, tuple[tuple[Unit, ...], Target | None]] = {}
        self._parsed: dict[str, tuple[JsonObject, RolloutState]] = {}

    def states(self, journal: Mapping[str, JsonObject]) -> Mapping[str, RolloutState]:
        """The journal as values."""
        for name in self._parsed.keys() - journal.keys():
            del self._parsed[name]
        for name, body in journal.items():
            known = self._parsed.get(name)
            if known is None or known[0] is not body:
                self._parsed[name] = (body, _read(name, body))
        return {name: state for name, (_, state) in self._parsed.items()}

    def make(
        self,
        desired: DesiredState,
        journal: Mapping[str, JsonObject],
        ledgers: Mapping[ClusterName, Ledger],
        loaded: Mapping[Place, frozenset[Loaded]] = NOTHING_LOADED,
        *,
        now: float,
    ) -> Course:
        """The course of a commit. `loaded` may get traffic; `now` is seconds since the epoch."""
        known = self.states(journal)
        states: dict[str, RolloutState] = {}
        news: dict[str, JsonObject | None] = {}
        for rollout in desired.rollouts.values():
            target = self._target(desired, rollout)
            strategy = gradual(rollout.spec.strategy)
            if target is None or strategy is None:
                continue
            before = known.get(rollout.name)
            if before is None or _has_never_served(desired, before, target, ledgers):
                before = self._first(desired, rollout, target, ledgers)
            after = revised(before, target, gradual=True, now=now)
            places = [unit for _, unit in desired.places_of(rollout.name)]
            after = on_steps(after, steps_digest(strategy, places), now=now)
            after = with_consents(after, rollout.spec, target)
            states[rollout.name] = after
            if after is not known.get(rollout.name):
                news[rollout.name] = state_json(after)
        news |= dict.fromkeys(known.keys() - states.keys())
        current = standing_at(desired, now)
        return Course(desired, stage(current, states, ledgers, loaded), states, news, dict(known))

    def _target(self, desired: DesiredState, rollout: Rollout) -> Target | None:
        units = tuple(unit for _, unit in desired.places_of(rollout.name))
        known = self._targets.get(rollout.name)
        if known is not None and _identical(known[0], units):
            return known[1]
        target = target_of(desired, rollout)
        self._targets[rollout.name] = (units, target)
        return target

    def _first(
        self,
        desired: DesiredState,
        rollout: Rollout,
        target: Target,
        ledgers: Mapping[ClusterName, Ledger],
    ) -> RolloutState:
        applied = applied_target(desired, rollout, ledgers)
        return first_state(rollout.name, target, applied=applied, gradual=True)


def _has_never_served(
    desired: DesiredState,
    state: RolloutState,
    target: Target,
    ledgers: Mapping[ClusterName, Ledger],
) -> bool:
    """Whether another version is asked for before the first was let have any traffic."""
    return (
        runtime_of(desired, desired.rollouts[state.rollout]).holds
        and not target.is_same(state.stable)
        and not is_applied(desired, state.rollout, ledgers)
    )


def _read(name: str, body: JsonObject) -> RolloutState:
    try:
        return state_from_json(body)
    except ValueError as error:
        raise Corrupt(
            f"the position of rollout {name} cannot be read: {error}",
            hint="run the release that wrote it, or restore the state database",
        ) from error


def _places(states: Mapping[str, RolloutState]) -> Mapping[str, tuple[object, ...]]:
    return {name: state.place for name, state in states.items()}


def _identical(before: tuple[Unit, ...], after: tuple[Unit, ...]) -> bool:
    return len(before) == len(after) and all(
        one is other for one, other in zip(before, after, strict=True)
    )
