"""The gate on answers to known questions.

Separate because its evidence is asked for and does not come with the traffic. The invariant: the
two versions are compared item by item, on items that both were asked.
"""

from __future__ import annotations

import math

from reconciler.core.gates.wording import counted, e_value, number
from reconciler.core.kinds.gate import EvaluationGate
from reconciler.core.samples import EvaluationResult, Samples
from reconciler.core.statistics.paired import log_e_mcnemar, mcnemar_one_sided
from reconciler.core.verdicts import Line, Outcome, Verdict


def judge_evaluation(name: str, gate: EvaluationGate, samples: Samples) -> Verdict:
    """FAIL when the candidate is surely worse by more than the margin, PASS when it is not worse.

    Exact McNemar on the items that differ. As many of those that became wrong as the margin allows
    are left out of the test, so it asks about the rest. HOLD when it is worse, but not surely.
    """
    result = samples.evaluations.get(gate.name)
    if trouble := _trouble(gate.name, result):
        return Verdict(name, Outcome.HOLD, trouble)
    assert result is not None, "absence is trouble"
    count = len(result.items)
    worse = sum(item.stable and not item.candidate for item in result.items)
    better = sum(item.candidate and not item.stable for item in result.items)
    right = sum(item.candidate for item in result.items)
    allowed = math.floor(gate.margin.share * count)
    net, excess = worse - better, max(0, worse - allowed)
    p = mcnemar_one_sided(excess, better)
    alpha = float(1 - gate.confidence.share)
    outcome = Outcome.PASS if net <= allowed else Outcome.FAIL if p <= alpha else Outcome.HOLD
    words = {Outcome.PASS: "within the margin", Outcome.FAIL: "surely worse"}
    summary = (
        f"{right:,} of {counted(count, 'answer')} are right; {worse:,} became wrong and {better:,} "
        f"became right, {words.get(outcome, 'worse, but maybe by chance')} "
        f"(exact McNemar p = {number(p)}, margin {allowed:,})"
    )
    e = e_value(log_e_mcnemar(excess, better))
    numbers = {"items": count, "worse": worse, "better": better, "p": p, "e": e}
    return Verdict(
        name,
        outcome,
        summary,
        abort=Line("chance of so many wrong answers if it were no worse", p, alpha, above=False),
        promote=Line("answers that became wrong, net", float(net), float(allowed), above=False),
        numbers={key: float(value) for key, value in numbers.items()},
    )


def _trouble(name: str, result: EvaluationResult | None) -> str:
    """Why nothing can be said; empty when something can."""
    if result is None:
        return f"evaluation {name} was not made yet"
    if result.trouble:
        return result.trouble
    if not result.items:
        return f"evaluation {name} has no items"
    names = [item.item for item in result.items]
    return f"evaluation {name} counts an item twice" if len(set(names)) < len(names) else ""
