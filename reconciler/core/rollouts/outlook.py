"""Outlook: whether a look at a rollout could change anything, told without judging its gates.

Separate from deciding, which costs a hundred times as much, and which this never replaces. The
invariant: where it says no, `decide` holds. It may say yes where `decide` holds, too.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from reconciler.core.gates.errors import LEAST_ERRORS, find_harm
from reconciler.core.kinds.gate import ErrorRate
from reconciler.core.rollouts.demands import demand_of
from reconciler.core.rollouts.evidence import Evidence
from reconciler.core.rollouts.states import Phase
from reconciler.core.samples import Exposure
from reconciler.core.statistics.sequential import clean_requests_needed


def may_move(evidence: Evidence) -> bool:
    """False when this look surely holds."""
    state, exposures = evidence.state, evidence.samples.exposures
    if evidence.unready_since is not None or any(s.refused for s in evidence.clusters.values()):
        return True
    gates = [gate.error_rate for gate in evidence.gates.values() if gate.error_rate is not None]
    if len(gates) < len(evidence.gates) or _is_harmful(gates, exposures):
        return True
    if any(evidence.now >= kept.until for kept in state.kept):
        return True
    if state.phase is Phase.WATCHED:
        return False
    if state.phase is not Phase.STEPPING or _is_late(evidence) or _asks_approval(evidence):
        return True
    demand = demand_of(state.step, evidence.spec)
    answered = sum(e.candidate_requests for e in exposures[len(state.exposures) :])
    if answered < demand.requests:
        return False
    if not demand.gates:
        return True
    return all(_may_pass(gate, exposures) for gate in gates)


def _is_harmful(gates: Iterable[ErrorRate], exposures: Sequence[Exposure]) -> bool:
    if sum(exposure.candidate_errors for exposure in exposures) < LEAST_ERRORS:
        return False
    return any(
        harm.proven
        for gate in gates
        if not _is_within(gate, exposures)
        for harm in find_harm(gate, exposures)
    )


def _is_within(gate: ErrorRate, exposures: Iterable[Exposure]) -> bool:
    """Whether nothing but the limit judges, and nothing is beyond it: no evidence against it."""
    limit = float(gate.at_most.share)
    return all(
        not exposure.traffic.random
        and exposure.candidate_errors <= limit * exposure.candidate_requests
        for exposure in exposures
    )


def _may_pass(gate: ErrorRate, exposures: Sequence[Exposure]) -> bool:
    """By the random exposures, or by the others: the gate knows which count."""
    for random in (True, False):
        own = [exposure for exposure in exposures if exposure.traffic.random is random]
        errors = sum(exposure.candidate_errors for exposure in own)
        requests = sum(exposure.candidate_requests for exposure in own)
        if requests and requests >= _needed(errors, gate):
            return True
    return False


@functools.lru_cache(maxsize=1024)
def _needed(errors: int, gate: ErrorRate) -> int:
    """Requests that prove the rate with so many errors among them; beyond all when none do."""
    limit, confidence = float(gate.at_most.share), float(gate.confidence.share)
    more = clean_requests_needed(errors, errors, limit, confidence)
    return errors + more if more >= 0 else 10**18


def _is_late(evidence: Evidence) -> bool:
    strategy = evidence.spec.strategy
    assert strategy is not None, "a rollout without a strategy has no steps"
    return evidence.now - evidence.state.entered >= strategy.deadline.total_seconds()


def _asks_approval(evidence: Evidence) -> bool:
    """Such steps have a clock of their own, and are few."""
    number = evidence.state.step + 1
    return number in evidence.spec.approvals_asked() and evidence.state.approved_step != number
