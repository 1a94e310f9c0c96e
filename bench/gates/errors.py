"""Rollouts in simulation, for the gate on failed requests.

Separate because here requests fail; outputs drift elsewhere. The invariant: the gate and the rules
in common use judge the same requests.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.gates.chances import chance, few, many
from bench.gates.peers import RULES, STRICT
from reconciler.core.gates.errors import LEAST_ERRORS, find_harm
from reconciler.core.kinds.gate import ErrorRate
from reconciler.core.samples import Exposure, Traffic
from reconciler.core.statistics.sequential import clean_requests_needed

GATE = ErrorRate.model_validate({"atMost": "1%"})
LIMIT, CONFIDENCE = 0.01, 0.99
PER_LOOK = 30
STEPS = (
    (Traffic.COHORT, 1.0, 20),
    (Traffic.MIRROR, 0.1, 20),
    (Traffic.WEIGHT, 0.05, 60),
    (Traffic.WEIGHT, 0.25, 40),
    (Traffic.WEIGHT, 0.5, 40),
    (Traffic.FULL, 1.0, 60),
)
"""Way of the traffic, share of the candidate, and looks."""

LOOKS = sum(looks for _, _, looks in STEPS)
Z_TEST = "z-test, p < 0.05"
JUDGES = ("gate", *(rule.name for rule in RULES), Z_TEST)

HEALTHY: Mapping[str, Callable[[int, Traffic], float]] = {
    "1 % errors, all the time": lambda _look, _traffic: 0.01,
    "0.1 % errors, all the time": lambda _look, _traffic: 0.001,
    "waves between 0 % and 1 %": lambda look, _: 0.005 + 0.005 * math.sin(look / 9),
    "an outage of both versions: 30 % for 20 looks": lambda look, traffic: (
        0.3 if traffic is Traffic.WEIGHT and 60 <= look < 80 else 0.005
    ),
}
"""Error rate of both versions, by look: no worse than each other, and within the limit wherever
only the limit is there to compare with."""

OWN_LOOKS = (*RULES, STRICT)
"""Rules that are also tried with looks of their own."""

SHARE = 0.05
GOOD = 0.005
MOST = 20_000
"""Requests to the candidate after which a run ends."""


@dataclass(slots=True)
class _Counts:
    """What was counted in one step: requests and errors of each version."""

    traffic: Traffic
    share: float
    stable: list[int] = field(default_factory=lambda: [0, 0])
    candidate: list[int] = field(default_factory=lambda: [0, 0])

    def exposure(self) -> Exposure:
        return Exposure(self.traffic, self.share, *self.stable, *self.candidate)


def false_aborts(kind: str, seeds: range) -> list[list[int]]:
    """By judge, the look at which each rollout was taken back; 0 when never."""
    found: list[list[int]] = [[] for _ in JUDGES]
    for seed in seeds:
        stopped, failures = [0] * len(JUDGES), [0] * len(RULES)
        for look, steps, last in _rollout(chance("abort", kind, seed), HEALTHY[kind]):
            failures = [n + rule.fails(*last) for n, rule in zip(failures, RULES, strict=True)]
            stops = (
                not stopped[0] and _gate_fails(steps),
                *(n >= rule.failures for n, rule in zip(failures, RULES, strict=True)),
                not stopped[-1] and _z_test_fails(steps),
            )
            for judge, stop in enumerate(stops):
                stopped[judge] = stopped[judge] or (look if stop else 0)
        for judge, look in enumerate(stopped):
            found[judge].append(look)
    return found


def _rollout(
    source: random.Random, rate: Callable[[int, Traffic], float]
) -> Iterator[tuple[int, Sequence[_Counts], tuple[int, int]]]:
    """Every look: its number, the steps so far, and the candidate's requests and errors in it."""
    steps: list[_Counts] = []
    look = 0
    for traffic, share, looks in STEPS:
        here = _Counts(traffic, share)
        steps.append(here)
        for _ in range(looks):
            look += 1
            candidate = PER_LOOK if share == 1 else few(source, PER_LOOK, share)
            stable = PER_LOOK if traffic is Traffic.MIRROR else PER_LOOK - candidate
            failing = rate(look, traffic)
            last = (candidate, few(source, candidate, failing))
            for counts, requests, errors in (
                (here.candidate, *last),
                (here.stable, stable, few(source, stable, failing)),
            ):
                counts[0] += requests
                counts[1] += errors
            yield look, steps, last


def _gate_fails(steps: Sequence[_Counts]) -> bool:
    """What makes the gate's verdict FAIL, without the words and numbers of a verdict."""
    if sum(step.candidate[1] for step in steps) < LEAST_ERRORS:
        return False
    return any(harm.proven for harm in find_harm(GATE, [step.exposure() for step in steps]))


def _z_test_fails(steps: Sequence[_Counts]) -> bool:
    """The pooled z-test of two shares, two-sided at 5 %, where both versions have traffic."""
    beside = [step for step in steps if step.traffic.random]
    n, c = (sum(step.candidate[i] for step in beside) for i in range(2))
    m, s = (sum(step.stable[i] for step in beside) for i in range(2))
    if not n or not m or not 0 < c + s < n + m:
        return False
    pooled = (c + s) / (n + m)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return c / n - s / m > 1.959964 * deviation


def exposures(rate: float, beside: float | None, seeds: range) -> list[tuple[int, int]]:
    """Requests to a candidate with this error rate, and their errors, before each FAIL.

    It has 5 % of the requests beside a stable version with an error rate of `beside`; or, without
    one, the requests of a cohort.
    """
    traffic = Traffic.COHORT if beside is None else Traffic.WEIGHT
    found = []
    for seed in seeds:
        source = chance("exposure", rate, beside, seed)
        counts = _Counts(traffic, 1.0 if beside is None else SHARE)
        _go_on([counts], source, rate, beside or 0.0)
        found.append((counts.candidate[0], counts.candidate[1]))
    return found


def late_errors(rate: float, traffic: Traffic, before: int, seeds: range) -> list[int]:
    """Failed requests to a candidate that goes bad after `before` requests, till FAIL.

    Until then it fails no more often than the stable version, and that is 0.5 %. The daemon parts
    what it counts (core/rollouts/gathering.py), and the last part is somewhere on its way.
    """
    found = []
    share = 1.0 if traffic is Traffic.FULL else SHARE
    for seed in seeds:
        source = chance("late", rate, traffic, before, seed)
        opened = round(before * source.random() / 32)
        parts = [_Counts(traffic, share), _Counts(traffic, share)]
        for part, requests in zip(parts, (before - opened, opened), strict=True):
            beside = round(requests * (1 - share) / share)
            part.candidate[:] = requests, many(source, requests, GOOD)
            part.stable[:] = beside, many(source, beside, GOOD)
        good = parts[-1].candidate[1]
        _go_on(parts, source, rate, GOOD)
        found.append(parts[-1].candidate[1] - good)
    return found


def _go_on(parts: Sequence[_Counts], source: random.Random, rate: float, beside: float) -> None:
    """One request after the other, until the gate fails or `MOST` more reached the candidate.

    The gate looks after each of them that failed. They are counted in the last part.
    """
    counts = parts[-1]
    mine, stable, share = counts.candidate, counts.stable, counts.share
    end = mine[0] + MOST
    while mine[0] < end:
        if source.random() < share:
            failed = source.random() < rate
            mine[0] += 1
            mine[1] += failed
            if failed and _gate_fails(parts):
                return
        else:
            stable[0] += 1
            stable[1] += source.random() < beside


def rule_exposures(rate: float, seeds: range) -> list[tuple[int, ...]]:
    """The same by each rule in common use."""
    found = []
    for seed in seeds:
        source = chance("rule", rate, seed)
        found.append(tuple(rule.exposure(source, rate, most=MOST) for rule in RULES))
    return found


def rule_aborts(rate: float, per_look: int, seeds: range) -> list[int]:
    """How many rollouts of a canary with this error rate each rule takes back, with looks of its
    own and so many requests to the canary in each."""
    stopped = [0] * len(OWN_LOOKS)
    for seed in seeds:
        source = chance("rule aborts", rate, per_look, seed)
        for number, rule in enumerate(OWN_LOOKS):
            stopped[number] += not rule.promotes(source, rate, per_look=per_look)
    return stopped


def false_promotions(rate: float, seeds: range) -> list[int]:
    """How many rollouts of a canary with this error rate are promoted, by the gate and each rule.

    By the gate's proof at any of the first 5,000 requests. That the gate would have taken most of
    them back before is left out of account. The rules look at 50 requests at a time.
    """
    promoted = [0] * (1 + len(RULES))
    for seed in seeds:
        source = chance("promote", rate, seed)
        promoted[0] += _is_ever_proven(source, rate, requests=5000)
        for number, rule in enumerate(RULES, start=1):
            promoted[number] += rule.promotes(source, rate, per_look=50)
    return promoted


def _is_ever_proven(source: random.Random, rate: float, *, requests: int) -> bool:
    errors = at = 0
    while at < requests:
        # Requests up to and with the next error; the proof lacks nothing but clean ones till then.
        following = at + 1 + int(math.log1p(-source.random()) / math.log1p(-rate))
        if needed(errors) < min(following, requests + 1):
            return True
        at, errors = following, errors + 1
    return False


@functools.cache
def needed(errors: int) -> int:
    """Requests at which the gate passes with so many errors among them, and not before."""
    return errors + clean_requests_needed(errors, errors, LIMIT, CONFIDENCE)
