"""Staging: the units of rollouts at their positions, in place of those of their ends.

Separate from rendering, which knows one version and no journal, and from the runtimes, which know
what a position means in objects. The invariant: what of a commit is not true yet, or no longer, is
told with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds import Rollout
from reconciler.core.ledger import Entry, Ledger, Standing
from reconciler.core.outstanding import Place, entries_by_unit
from reconciler.core.rendering.release import secrets_unit
from reconciler.core.rollouts.adapters import AdapterRoutes
from reconciler.core.rollouts.kserve import InferenceServices
from reconciler.core.rollouts.placing import Placement, gradual, placement
from reconciler.core.rollouts.reading_rights import reading_rights
from reconciler.core.rollouts.runtimes import Found, Loaded, Runtime
from reconciler.core.rollouts.states import RolloutState, Target
from reconciler.core.rollouts.telling import way_of
from reconciler.core.rollouts.traffic import NO_TRAFFIC
from reconciler.core.rollouts.version_objects import VersionObjects

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        "deployment": VersionObjects(),
        "kserve": InferenceServices(),
        "lora": AdapterRoutes(),
        "prompt": AdapterRoutes(),
    }
)
"""By the name that `serving.runtime` gives; prompts are like adapters."""

NOTHING_LOADED: Mapping[Place, frozenset[Loaded]] = MappingProxyType({})


def runtime_name(desired: DesiredState, rollout: Rollout) -> str:
    return "prompt" if rollout.spec.prompt else desired.model_of(rollout).spec.serving.runtime


def runtime_of(desired: DesiredState, rollout: Rollout) -> Runtime:
    return RUNTIMES[runtime_name(desired, rollout)]


@dataclass(frozen=True, slots=True)
class Staged:
    """A DesiredState at the positions of its rollouts.

    `fallback` has, for each rollout that is not at rest, the unit to go back to when its position
    cannot be taken: the stable version with all the traffic. `needed` are the objects that must be
    healthy for the position: those of versions that are only kept need not. `unfinished` says where
    the commit is not true yet, or no longer, and why; `held`, what a unit waits for before it can
    be at its position.
    """

    state: DesiredState
    fallback: Mapping[Place, Unit]
    needed: Mapping[Place, Unit]
    unfinished: Mapping[Place, str]
    held: Mapping[Place, frozenset[Loaded]] = field(default_factory=dict)


def stage(
    desired: DesiredState,
    journal: Mapping[str, RolloutState],
    ledgers: Mapping[ClusterName, Ledger],
    loaded: Mapping[Place, frozenset[Loaded]] = NOTHING_LOADED,
) -> Staged:
    """Put every rollout that has a state where that says. `loaded` may get traffic."""
    growing = _Growing(ledgers, loaded)
    for rollout in desired.rollouts.values():
        state = journal.get(rollout.name)
        if state is not None and state.stable is not None and gradual(rollout.spec.strategy):
            growing.add(desired, rollout, state)
    ways = (way_of(r, journal[r.name]) for r in desired.rollouts.values() if r.name in journal)
    rolling = tuple(sorted(filter(None, ways)))
    if growing.units or rolling:
        units = {**desired.units, **growing.units}
        desired = replace(desired, units=units, rolling=rolling)
    return Staged(desired, growing.fallback, growing.needed, growing.unfinished, growing.held)


class _Growing:
    """The parts of a Staged, rollout by rollout."""

    def __init__(
        self,
        ledgers: Mapping[ClusterName, Ledger],
        loaded: Mapping[Place, frozenset[Loaded]],
    ) -> None:
        self._ledgers = ledgers
        self._loaded = loaded
        self._by_unit: dict[ClusterName, Mapping[UnitName, list[Entry]]] = {}
        self.units: dict[Place, Unit] = {}
        self.fallback: dict[Place, Unit] = {}
        self.needed: dict[Place, Unit] = {}
        self.unfinished: dict[Place, str] = {}
        self.held: dict[Place, frozenset[Loaded]] = {}

    def add(self, desired: DesiredState, rollout: Rollout, state: RolloutState) -> None:
        assert state.stable is not None, "the caller has looked"
        runtime = runtime_of(desired, rollout)
        ended = state.candidate is None and state.stable.version == rollout.spec.version
        at_rest = ended and not state.kept
        if not at_rest:
            name = secrets_unit(rollout.name)
            stored = {cluster: self._of_unit(cluster, name) for cluster in self._ledgers}
            self.units |= reading_rights(desired, rollout.name, stored)
        elif not runtime.holds:
            return
        for place, unit in desired.places_of(rollout.name):
            found = self._found(place, unit)
            where = placement(state, rollout.spec, wave=unit.stage)
            now = runtime.position(unit, where, found)
            if at_rest and not now.missing:
                continue
            # A cluster's turn is the state's to say: it need not wait for earlier waves again.
            self.units[place] = replace(now.unit, stage=0)
            back = runtime.position(unit, _fallback(state), found)
            self.fallback[place] = replace(back.unit, stage=0)
            bare = replace(where, loaded=tuple(t for t in (where.base, where.candidate) if t))
            needed = runtime.position(unit, bare, found)
            self.needed[place] = replace(needed.unit, stage=0)
            if now.missing:
                self.held[place] = now.missing
            if not ended or now.missing:
                self.unfinished[place] = unfinished_words(state) or missing_words(now.missing)

    def _found(self, place: Place, unit: Unit) -> Found:
        ledger = self._ledgers.get(unit.cluster)
        known = ledger.units.get(unit.name) if ledger else None
        settled = known is not None and known.standing is Standing.SETTLED
        return Found(self._entries(unit), self._loaded.get(place, frozenset()), settled)

    def _entries(self, unit: Unit) -> tuple[Entry, ...]:
        return tuple(_at_home(unit, self._of_unit(unit.cluster, unit.name)))

    def _of_unit(self, cluster: ClusterName, name: UnitName) -> Iterable[Entry]:
        """Looks through a ledger once, however many rollouts are not at rest."""
        if cluster not in self._by_unit:
            ledger = self._ledgers.get(cluster)
            self._by_unit[cluster] = entries_by_unit(ledger) if ledger else {}
        return self._by_unit[cluster].get(name, ())


def unfinished_words(state: RolloutState) -> str:
    """Why a rollout is not where its commit wants it."""
    if state.candidate is not None:
        return f"version {state.candidate.version} is on its way"
    failure = state.failure
    return f"version {failure.target.version} was taken back: {failure.reason}" if failure else ""


def missing_words(missing: Iterable[Loaded]) -> str:
    """What a position waits for."""
    names = sorted({entry.adapter for entry in missing})
    return f"{' and '.join(names)} is not loaded yet"


def _fallback(state: RolloutState) -> Placement:
    assert state.stable is not None, "the caller has looked"
    loaded = (state.stable, *(kept.target for kept in state.kept))
    return Placement(state.stable, None, NO_TRAFFIC, loaded)


def _entries(ledger: Ledger | None, unit: Unit) -> tuple[Entry, ...]:
    found = ledger.entries.values() if ledger else ()
    return tuple(_at_home(unit, (entry for entry in found if entry.unit == unit.name)))


def _at_home(unit: Unit, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Without what is left in a namespace that the rollout came from: no route can lead to it."""
    homes = {key.namespace for key in unit.manifests}
    return (entry for entry in entries if entry.key.namespace in homes)


def target_of(desired: DesiredState, rollout: Rollout) -> Target | None:
    """The version that a commit leads a rollout to; None when no cluster is to run it."""
    if not desired.is_placed(rollout.name):
        return None
    build = runtime_of(desired, rollout).build(desired, rollout)
    return Target(rollout.spec.version, build, desired.commit)


def applied_target(
    desired: DesiredState, rollout: Rollout, ledgers: Mapping[ClusterName, Ledger]
) -> Target | None:
    """The version that serves according to the ledgers, for a rollout that has no state yet."""
    entries = _all_entries(desired, rollout.name, ledgers)
    return runtime_of(desired, rollout).applied(desired, rollout, entries)


def is_applied(desired: DesiredState, rollout: str, ledgers: Mapping[ClusterName, Ledger]) -> bool:
    """Whether anything of the rollout was ever applied in any of its clusters."""
    return any(entry.applied for entry in _all_entries(desired, rollout, ledgers))


def _all_entries(
    desired: DesiredState, rollout: str, ledgers: Mapping[ClusterName, Ledger]
) -> Iterator[Entry]:
    for _, unit in desired.places_of(rollout):
        yield from _entries(ledgers.get(unit.cluster), unit)
