"""The gate on the time that requests take.

Separate because it judges the candidate alone, by a promise in seconds. "99 % take at most 250 ms"
is "at most 1 % are slower", which is counted without assuming how times are distributed, and tested
at every look like failed requests. The invariant: a bucket that the limit cuts counts for neither
side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reconciler.core.gates.histograms import trouble_of
from reconciler.core.gates.wording import counted, e_value, number, percent
from reconciler.core.kinds.gate import Latency
from reconciler.core.samples import Batch, Samples
from reconciler.core.statistics.quantiles import split_at
from reconciler.core.statistics.sequential import (
    log_e_bernoulli,
    lower_bound,
    upper_bound,
)
from reconciler.core.verdicts import Line, Outcome, Verdict

CONFIDENCE = 0.99
"""How sure a verdict must be."""

_EVIDENCE = 100.0
"""The same, as the e-value that refutes: 1/(1 - 0.99)."""


def judge_latency(name: str, gate: Latency, samples: Samples) -> Verdict:
    """Whether the quantile lies within the limit, surely; advisory unless enforced."""
    batches, advisory = samples.latencies, not gate.enforced
    if trouble := samples.trouble or trouble_of(batches):
        return Verdict(name, Outcome.HOLD, trouble, advisory=advisory)
    fast, slow, total = _split(batches, gate.at_most.total_seconds())
    if not total:
        return Verdict(name, Outcome.HOLD, "no requests were timed yet", advisory=advisory)
    allowed = float(1 - gate.quantile.share)
    least = lower_bound(slow, total, CONFIDENCE)
    most = upper_bound(total - fast, total, CONFIDENCE)
    log_e = log_e_bernoulli(slow, total - slow, allowed)
    if slow and log_e >= math.log(_EVIDENCE):
        outcome, surely = Outcome.FAIL, f"surely more than {percent(least)}"
    elif most <= allowed:
        outcome, surely = Outcome.PASS, f"surely less than {percent(most)}"
    else:
        outcome, surely = Outcome.HOLD, f"surely between {percent(least)} and {percent(most)}"
    return Verdict(
        name,
        outcome,
        f"{slow:,} of {counted(total, 'request')} took longer than "
        f"{number(gate.at_most.total_seconds())} s: {surely}, and {percent(allowed)} may",
        abort=Line("evidence of too many slow requests", e_value(log_e), _EVIDENCE, above=True),
        promote=Line("the most that the share of slow requests can be", most, allowed, above=False),
        advisory=advisory,
        numbers={"requests": float(total), "slow": float(slow), "fast": float(fast)},
    )


def _split(batches: Sequence[Batch], limit: float) -> tuple[int, int, int]:
    """The candidate's requests that surely kept the limit, surely did not, and all."""
    parts = [split_at(batch.candidate, limit) for batch in batches]
    total = sum(batch.candidate.total for batch in batches)
    return sum(fast for fast, _ in parts), sum(slow for _, slow in parts), total
