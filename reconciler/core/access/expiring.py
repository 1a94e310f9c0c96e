"""Expiry: what a commit gives for a time, taken out of what is to be so now.

Separate from rendering, since a commit compiles to the same at every moment. The invariants: an
agent's scope that is over gives nothing, while the agent's home stays with its limits, so that what
still runs there is kept to them until the document is removed; and a BreakGlass gives nothing
outside of its hour, whoever restarted in between.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from reconciler.core.access.deciding import is_over
from reconciler.core.access.subjects import GLASS_UNITS, agent_subject, glass_unit
from reconciler.core.desired import DesiredState, Unit
from reconciler.core.identifiers import UnitName

_GRANTS: Final = frozenset(
    {
        "ExternalSecret",
        "Role",
        "RoleBinding",
        "SecretProviderClass",
        "SecretStore",
        "VaultKubernetesRole",
        "VaultPolicy",
    }
)


def day_of(now: float) -> date:
    """The day in UTC, from seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).date()


def standing_at(desired: DesiredState, now: float) -> DesiredState:
    """What of it holds at that moment, in seconds since the epoch."""
    return without_closed(without_expired(desired, day_of(now)), now)


def glass_units(desired: DesiredState) -> frozenset[UnitName]:
    """The units of each BreakGlass that give anything."""
    return frozenset(name for _, name in desired.units if name.startswith(GLASS_UNITS))


def without_closed(desired: DesiredState, now: float) -> DesiredState:
    """`desired` itself while each BreakGlass that it has holds."""
    closed = {name for name, glass in desired.emergencies.items() if not glass.spec.holds(now)}
    if not closed:
        return desired
    gone = {glass_unit(name) for name in closed}
    units = {key: unit for key, unit in desired.units.items() if unit.name not in gone}
    told = (
        f"BreakGlass {name} is over: it gives nothing, and its document can be removed"
        for name in closed
        if desired.emergencies[name].spec.ends.timestamp() <= now
    )
    return replace(desired, units=units, notices=tuple(sorted({*desired.notices, *told})))


def without_expired(desired: DesiredState, today: date) -> DesiredState:
    """`desired` itself while every scope holds."""
    over = {
        agent_subject(name): scope
        for name, scope in desired.agents.items()
        if is_over(scope, today)
    }
    if not over:
        return desired
    units = {
        key: _without_grants(unit) if unit.name in over else unit
        for key, unit in desired.units.items()
    }
    told = (
        f"AgentScope {scope.name} ended with {scope.spec.expires.isoformat()}: it gives nothing"
        for scope in over.values()
    )
    return replace(desired, units=units, notices=tuple(sorted({*desired.notices, *told})))


def _without_grants(unit: Unit) -> Unit:
    kept = {key: m for key, m in unit.manifests.items() if key.kind not in _GRANTS}
    return replace(unit, manifests=kept)
