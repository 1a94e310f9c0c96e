"""All simulations, over the cores there are.

Separate from what is simulated. The invariant: the figures do not depend on how the seeds are
shared out among processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from bench.gates import drifts, errors, silence
from bench.gates.figures import Curve, Exposure, Figures, Late, Spread
from bench.gates.peers import RULES
from reconciler.core.samples import Traffic

PARTS = 8
RATES = (1.0, 0.5, 0.2, 0.1, 0.05)
BESIDE = (0.001, 0.003, 0.01, None)
"""Error rates of the stable version; None for a cohort, which has none beside it."""

STABLES = len(BESIDE) - 1

LATE_RATES, BEFORE = (1.0, 0.2), (0, 1000, 10_000, 100_000)
HEALTHY_RATES, IN_A_LOOK = (0.01, 0.005, 0.001), (10, 20, 100, 500)
"""Of rules in common use, with looks of their own: error rates, and requests to the canary."""

PROMOTED = (0.05, 0.02, 0.0101)
SIZES = (50, 200, 1000, 10_000, 100_000)
SHIFTS = tuple(n / 10 for n in range(11))
LOOKS, PER_LOOK = 40, 50
"""Of the gate on drift: looks, and observations of each version between them."""

_Result = TypeVar("_Result")
_Wait = Callable[[], Sequence[_Result]]


class _Pool:
    """Shares seeds out, and puts results together in the order of the seeds."""

    def __init__(self, processes: ProcessPoolExecutor) -> None:
        self._processes = processes

    def over(self, runs: int, run: Callable[..., _Result], *arguments: object) -> _Wait[_Result]:
        cuts = [runs * part // PARTS for part in range(PARTS + 1)]
        futures: list[Future[_Result]] = [
            self._processes.submit(run, *arguments, range(low, high))
            for low, high in itertools.pairwise(cuts)
        ]
        return lambda: [future.result() for future in futures]

    def share(self, runs: int, run: Callable[..., int], *arguments: object) -> Callable[[], float]:
        wait = self.over(runs, run, *arguments)
        return lambda: sum(wait()) / runs


def measure(runs: int, progress: Callable[[str], None]) -> Figures:
    """Run everything: so many runs for each claim, shared out among its cases."""
    with ProcessPoolExecutor() as processes:
        pool = _Pool(processes)
        aborts = _aborts(pool, runs)
        exposures, rules = _exposures(pool, runs), _rule_exposures(pool, runs)
        late = _late(pool, runs)
        promotions = {rate: pool.over(runs, errors.false_promotions, rate) for rate in PROMOTED}
        silent = pool.over(runs // 8, silence.promoted)
        alarms, looks = _alarms(pool, runs), _looks(pool, runs)
        half = (drifts.normal(0), drifts.normal(0.5))
        power = {m: pool.share(runs // 2, drifts.alarms, m, 200, half) for m in drifts.METRICS}
        shifted = _shifted(pool, runs)
        progress("healthy rollouts")
        stopped = aborts()
        progress("rollouts that fail")
        exposed, by_rule = exposures(), rules()
        progress("promotions")
        promoted = {rate: _promoted(wait(), runs) for rate, wait in promotions.items()}
        asked = silent()
        progress("drift")
        return Figures(
            runs=runs,
            false_aborts={kind: _shares(by) for kind, by in stopped.items()},
            aborted_by_look=_by_look(stopped.values()),
            rule_aborts=_rule_aborts(pool, runs)(),
            exposures=exposed,
            late=late(),
            rule_exposures=by_rule,
            false_promotions=promoted,
            promoted_without_data=sum(passed for passed, _ in asked),
            asked_without_data=sum(count for _, count in asked),
            drift_alarms=alarms(),
            drift_looks={name: wait() for name, wait in looks.items()},
            drift_power={metric: wait() for metric, wait in power.items()},
            power_by_shift=shifted(),
        )


def _aborts(pool: _Pool, runs: int) -> Callable[[], Mapping[str, Mapping[str, list[int]]]]:
    """By kind and judge, the looks at which rollouts were taken back."""
    asked = {
        kind: pool.over(runs // len(errors.HEALTHY), errors.false_aborts, kind)
        for kind in errors.HEALTHY
    }

    def joined(parts: Sequence[list[list[int]]]) -> Mapping[str, list[int]]:
        return {
            judge: list(itertools.chain.from_iterable(part[number] for part in parts))
            for number, judge in enumerate(errors.JUDGES)
        }

    return lambda: {kind: joined(wait()) for kind, wait in asked.items()}


def _shares(stopped: Mapping[str, Sequence[int]]) -> Mapping[str, float]:
    return {judge: sum(map(bool, looks)) / len(looks) for judge, looks in stopped.items()}


def _by_look(stopped: Iterable[Mapping[str, Sequence[int]]]) -> list[Curve]:
    """Over all kinds, the share that was taken back up to each look."""
    kinds, looks = list(stopped), range(0, errors.LOOKS + 1, 5)
    found = []
    for judge in errors.JUDGES:
        at = list(itertools.chain.from_iterable(kind[judge] for kind in kinds))
        shares = [sum(0 < one <= look for one in at) / len(at) for look in looks]
        found.append(Curve(judge, [float(look) for look in looks], shares))
    return found


def _rule_aborts(
    pool: _Pool, runs: int
) -> Callable[[], Mapping[tuple[float, int], Mapping[str, float]]]:
    asked = {
        (rate, requests): pool.over(runs, errors.rule_aborts, rate, requests)
        for rate in HEALTHY_RATES
        for requests in IN_A_LOOK
    }

    def by_rule(parts: Sequence[list[int]]) -> Mapping[str, float]:
        sums = zip(*parts, strict=True)
        return {rule.name: sum(s) / runs for rule, s in zip(errors.OWN_LOOKS, sums, strict=True)}

    return lambda: {case: by_rule(wait()) for case, wait in asked.items()}


def _exposures(pool: _Pool, runs: int) -> Callable[[], list[Exposure]]:
    asked = {
        (rate, beside): pool.over(-(-runs // STABLES), errors.exposures, rate, beside)
        for rate in RATES
        for beside in BESIDE
    }

    def exposure(rate: float, beside: float | None) -> Exposure:
        requests, failed = zip(*itertools.chain(*asked[rate, beside]()), strict=True)
        return Exposure(rate, beside, Spread.of(requests), Spread.of(failed))

    return lambda: [exposure(*key) for key in asked]


def _late(pool: _Pool, runs: int) -> Callable[[], list[Late]]:
    """The last of these take hundreds of errors each, so there are fewer runs."""
    asked = {
        (rate, before, traffic): pool.over(runs // 50, errors.late_errors, rate, traffic, before)
        for rate in LATE_RATES
        for before in BEFORE
        for traffic in (Traffic.WEIGHT, Traffic.FULL)
    }

    def spread(rate: float, before: int, traffic: Traffic) -> Spread:
        return Spread.of(list(itertools.chain(*asked[rate, before, traffic]())))

    return lambda: [
        Late(rate, n, spread(rate, n, Traffic.WEIGHT), spread(rate, n, Traffic.FULL))
        for rate in LATE_RATES
        for n in BEFORE
    ]


def _rule_exposures(pool: _Pool, runs: int) -> Callable[[], Mapping[float, Mapping[str, Spread]]]:
    asked = {rate: pool.over(runs // len(RATES), errors.rule_exposures, rate) for rate in RATES}

    def by_rule(parts: Sequence[list[tuple[int, ...]]]) -> Mapping[str, Spread]:
        columns = zip(*itertools.chain(*parts), strict=True)
        return {rule.name: Spread.of(c) for rule, c in zip(RULES, columns, strict=True)}

    return lambda: {rate: by_rule(wait()) for rate, wait in asked.items()}


def _promoted(parts: Sequence[list[int]], runs: int) -> Mapping[str, float]:
    sums = [sum(column) / runs for column in zip(*parts, strict=True)]
    return dict(zip(("gate", *(rule.name for rule in RULES)), sums, strict=True))


def _alarms(pool: _Pool, runs: int) -> Callable[[], list[Curve]]:
    same = (drifts.normal(0), drifts.normal(0))
    labels = (drifts.LABELS, drifts.LABELS)
    asked = {
        name: [pool.share(runs // len(SIZES), drifts.alarms, who, size, shares) for size in SIZES]
        for name, who, shares in (
            ("gate", "psi", same),
            ("gate, four labels", "psi", labels),
            *((f"gate, metric {m}", m, same) for m in drifts.METRICS[1:]),
            *((rule, rule, same) for rule in drifts.RULES),
        )
    }
    sizes = [float(size) for size in SIZES]
    return lambda: [Curve(name, sizes, [w() for w in waits]) for name, waits in asked.items()]


def _looks(pool: _Pool, runs: int) -> Mapping[str, Callable[[], float]]:
    """The rules are so far off that fewer runs tell."""
    asked = [("gate", "psi", runs), *((rule, rule, runs // 10) for rule in drifts.RULES)]
    return {
        name: pool.share(count, drifts.looked_at, who, LOOKS, PER_LOOK)
        for name, who, count in asked
    }


def _shifted(pool: _Pool, runs: int) -> Callable[[], list[Curve]]:
    asked = {
        size: [
            pool.share(
                runs // 20, drifts.alarms, "psi", size, (drifts.normal(0), drifts.normal(shift))
            )
            for shift in SHIFTS
        ]
        for size in (200, 1000, 10_000)
    }
    return lambda: [
        Curve(f"{size:,} of each", SHIFTS, [wait() for wait in waits])
        for size, waits in asked.items()
    ]
