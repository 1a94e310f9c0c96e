"""Refusing: whose fault it is when a plan may not be applied, and how the units stand then.

Separate from planning.py, because what was refused is remembered longer than its plan. The
invariant: a commit is refused whole, and each of its units knows whether it was refused itself or
waits for one that was, so that a later commit that mends the one frees the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Ledger, LedgerUpdate, Standing, UnitState
from reconciler.core.outstanding import Outstanding, Place
from reconciler.core.plans import Action, Plan
from reconciler.core.redaction import masked


def culprits(plan: Plan) -> Mapping[Place, str]:
    """The units for which the plan may not be applied, each with the first reason."""
    found: dict[Place, str] = {}
    for cluster in plan.clusters:
        for refusal in cluster.refusals:
            place = (cluster.cluster, refusal.unit)
            found.setdefault(place, masked(f"{refusal.key}: {refusal.explanation}"))
        if cluster.deletions.excess:
            for change in cluster.changes:
                if change.action in (Action.DELETE, Action.REPLACE):
                    found.setdefault((cluster.cluster, change.unit), cluster.deletions.excess)
    return found


def refusal_updates(
    plan: Plan,
    work: Sequence[Outstanding],
    ledgers: Mapping[ClusterName, Ledger],
    *,
    together: AbstractSet[Place],
) -> tuple[LedgerUpdate, ...]:
    """How the units stand after the plan was refused: REFUSED or WAITING, each as it is wanted.

    Units that are refused `together` are those of the newest commit. Others are touched only when
    they are refused themselves, and keep the commit that they were refused with before.
    """
    guilty = culprits(plan)
    states: dict[ClusterName, list[UnitState]] = defaultdict(list)
    for item in work:
        for unit, digest in item.units.items():
            explanation = guilty.get((item.cluster, unit), "")
            known = ledgers[item.cluster].units.get(unit)
            is_new = (item.cluster, unit) in together
            half_way = known is not None and known.standing is Standing.PROGRESSING
            # A unit on its way for an earlier commit first arrives there.
            if half_way if is_new else not explanation:
                continue
            commit = plan.head if is_new or plan.base is None else plan.base
            if known and known.refused == digest and known.refused_commit:
                commit = known.refused_commit
            states[item.cluster].append(
                replace(
                    known or UnitState(unit, Standing.WAITING),
                    standing=Standing.REFUSED if explanation else Standing.WAITING,
                    refused=digest,
                    refused_commit=commit,
                    explanation=explanation,
                    heading_for=None,
                )
            )
    return tuple(LedgerUpdate(cluster, units=tuple(held)) for cluster, held in states.items())


def refusal_text(plan: Plan) -> str:
    """One sentence for people: what was refused, and that nothing was applied."""
    reasons = sorted(set(culprits(plan).values()))
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""
