"""Refusing: whose fault it is when a plan may not be applied, and how the units stand then.

Separate from planning.py, because what was refused is remembered longer than its plan. The
invariant: a commit is refused whole, and each of its units knows whether it was refused itself or
waits for one that was, so that a later commit that mends the one frees the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger, LedgerUpdate, Standing, UnitState
from reconciler.core.outstanding import Outstanding, Place
from reconciler.core.plans import Action, Plan


def culprits(plan: Plan) -> Mapping[Place, str]:
    """The units for which the plan may not be applied, each with the first reason."""
    found: dict[Place, str] = {}
    for cluster in plan.clusters:
        for refusal in cluster.refusals:
            place = (cluster.cluster, refusal.unit)
            found.setdefault(place, f"{refusal.key}: {refusal.explanation}")
        if cluster.deletions.excess:
            for change in cluster.changes:
                if change.action in (Action.DELETE, Action.REPLACE):
                    found.setdefault((cluster.cluster, change.unit), cluster.deletions.excess)
    return found


def refusal_updates(
    plan: Plan, work: Sequence[Outstanding], ledgers: Mapping[ClusterName, Ledger]
) -> tuple[LedgerUpdate, ...]:
    """How the units stand after the plan was refused: REFUSED or WAITING, each as it is wanted."""
    guilty = culprits(plan)
    states: dict[ClusterName, list[UnitState]] = defaultdict(list)
    for item in work:
        for unit, digest in item.units.items():
            explanation = guilty.get((item.cluster, unit), "")
            known = ledgers[item.cluster].units.get(unit)
            states[item.cluster].append(
                replace(
                    known or UnitState(unit, Standing.WAITING),
                    standing=Standing.REFUSED if explanation else Standing.WAITING,
                    refused=digest,
                    refused_commit=plan.head,
                    explanation=explanation,
                )
            )
    return tuple(LedgerUpdate(cluster, units=tuple(held)) for cluster, held in states.items())


def refusal_text(plan: Plan) -> str:
    """One sentence for people: what was refused, and that nothing was applied."""
    reasons = sorted(set(culprits(plan).values()))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""
