"""judge: the verdict of one gate over samples.

Separate from the tests themselves (core/statistics), and pure, so that a recorded verdict can be
reached again from its samples, bit for bit. The invariant: what was not measured holds; it neither
passes nor fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.core.gates.approvals import judge_approval
from reconciler.core.gates.drifts import judge_drift
from reconciler.core.gates.errors import judge_errors
from reconciler.core.gates.evaluations import judge_evaluation
from reconciler.core.gates.latencies import judge_latency
from reconciler.core.gates.queries import judge_query
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import Samples
from reconciler.core.verdicts import Verdict

_JUDGES: Mapping[str, Callable[[str, Any, Samples], Verdict]] = {
    "error_rate": judge_errors,
    "evaluation": judge_evaluation,
    "drift": judge_drift,
    "latency": judge_latency,
    "promql": judge_query,
    "approval": judge_approval,
}
"""By the field of GateSpec that they judge. Every choice of GateSpec is here; a test checks it."""


def judge(name: str, gate: GateSpec, samples: Samples) -> Verdict:
    """What the gate of this name says. Total: it raises on no samples whatever."""
    return _JUDGES[gate.chosen](name, getattr(gate, gate.chosen), samples)
