"""The gate on consent.

Separate because nothing is measured. The invariant: consent is given or it is awaited; a gate never
takes silence for either.
"""

from __future__ import annotations

from reconciler.core.kinds.gate import Approval
from reconciler.core.samples import Samples
from reconciler.core.verdicts import Outcome, Verdict


def judge_approval(name: str, gate: Approval, samples: Samples) -> Verdict:
    """PASS once somebody approved; who may, was checked when they did."""
    if name in samples.approved:
        return Verdict(name, Outcome.PASS, "approved")
    return Verdict(name, Outcome.HOLD, f"waits for the approval of {' or '.join(gate.by)}")
