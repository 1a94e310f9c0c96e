"""Staging: the units of rollouts at their positions, in place of those of their ends.

Separate from rendering, which knows one version and no journal, and from the runtimes, which know
what a position means in objects. The invariant: what of a commit is not true yet, or no longer, is
told with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry, Ledger
from reconciler.core.outstanding import Place
from reconciler.core.rollouts.adapters import AdapterRoutes
from reconciler.core.rollouts.placing import Placement, gradual, placement
from reconciler.core.rollouts.runtimes import Found, Loaded, Runtime
from reconciler.core.rollouts.states import RolloutState, Target
from reconciler.core.rollouts.telling import way_of
from reconciler.core.rollouts.traffic import NO_TRAFFIC
from reconciler.core.rollouts.version_objects import VersionObjects

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {"deployment": VersionObjects(), "lora": AdapterRoutes()}
)
"""By the name that `serving.runtime` gives."""

NOTHING_LOADED: Mapping[Place, frozenset[Loaded]] = MappingProxyType({})


def runtime_of(desired: DesiredState, rollout: Rollout) -> Runtime:
    return RUNTIMES[desired.models[rollout.spec.model].spec.serving.runtime]


@dataclass(frozen=True, slots=True)
class Staged:
    """A DesiredState at the positions of its rollouts.

    `fallback` has, for each rollout that is not at rest, the unit to go back to when its position
    cannot be taken: the stable version with all the traffic. `needed` are the objects that must be
    healthy for the position: those of versions that are only kept need not. `unfinished` says where
    the commit is not true yet, or no longer, and why; `held`, where a unit has to wait as it is
    before it can be at its position.
    """

    state: DesiredState
    fallback: Mapping[Place, Unit]
    needed: Mapping[Place, Unit]
    unfinished: Mapping[Place, str]
    held: Mapping[Place, str] = field(default_factory=dict)


def stage(
    desired: DesiredState,
    journal: Mapping[str, RolloutState],
    ledgers: Mapping[ClusterName, Ledger],
    loaded: Mapping[Place, frozenset[Loaded]] = NOTHING_LOADED,
) -> Staged:
    """Put every rollout that has a state where that says. `loaded` may get traffic."""
    units: dict[Place, Unit] = {}
    fallback: dict[Place, Unit] = {}
    needed: dict[Place, Unit] = {}
    unfinished: dict[Place, str] = {}
    held: dict[Place, str] = {}
    for rollout in desired.rollouts.values():
        state = journal.get(rollout.name)
        if state is None or state.stable is None or gradual(rollout.spec.strategy) is None:
            continue
        runtime = runtime_of(desired, rollout)
        ended = state.candidate is None and state.stable.version == rollout.spec.version
        at_rest = ended and not state.kept
        if at_rest and not runtime.holds:
            continue
        for place, unit in desired.places_of(rollout.name):
            found = Found(_entries(ledgers.get(unit.cluster), unit), loaded.get(place, frozenset()))
            where = placement(state, rollout.spec, wave=unit.stage)
            positioned = runtime.position(unit, where, found)
            if at_rest and not positioned.held:
                continue
            # A cluster's turn is the state's to say: it need not wait for earlier waves again.
            units[place] = replace(positioned.unit, stage=0)
            back = runtime.position(unit, _fallback(state), found)
            fallback[place] = replace(back.unit, stage=0)
            bare = replace(where, loaded=tuple(t for t in (where.base, where.candidate) if t))
            needed[place] = replace(runtime.position(unit, bare, found).unit, stage=0)
            if positioned.held:
                held[place] = positioned.held
            if not ended or positioned.held:
                unfinished[place] = unfinished_words(state) or positioned.held
    ways = (way_of(r, journal[r.name]) for r in desired.rollouts.values() if r.name in journal)
    rolling = tuple(sorted(filter(None, ways)))
    if units or rolling:
        desired = replace(desired, units={**desired.units, **units}, rolling=rolling)
    return Staged(desired, fallback, needed, unfinished, held)


def unfinished_words(state: RolloutState) -> str:
    """Why a rollout is not where its commit wants it."""
    if state.candidate is not None:
        return f"version {state.candidate.version} is on its way"
    failure = state.failure
    return f"version {failure.target.version} was taken back: {failure.reason}" if failure else ""


def _fallback(state: RolloutState) -> Placement:
    assert state.stable is not None, "the caller has looked"
    loaded = (state.stable, *(kept.target for kept in state.kept))
    return Placement(state.stable, None, NO_TRAFFIC, loaded)


def _entries(ledger: Ledger | None, unit: Unit) -> tuple[Entry, ...]:
    found = ledger.entries.values() if ledger else ()
    return tuple(entry for entry in found if entry.unit == unit.name)


def target_of(desired: DesiredState, rollout: Rollout) -> Target | None:
    """The version that a commit leads a rollout to; None when no cluster is to run it."""
    if not any(True for _ in desired.places_of(rollout.name)):
        return None
    build = runtime_of(desired, rollout).build(desired, rollout)
    return Target(rollout.spec.version, build, desired.commit)


def applied_target(
    desired: DesiredState, rollout: Rollout, ledgers: Mapping[ClusterName, Ledger]
) -> Target | None:
    """The version that serves according to the ledgers, for a rollout that has no state yet."""
    units = [unit for _, unit in desired.places_of(rollout.name)]
    entries = [entry for unit in units for entry in _entries(ledgers.get(unit.cluster), unit)]
    return runtime_of(desired, rollout).applied(desired, rollout, entries)
