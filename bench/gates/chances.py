"""Seeded chance: counts of things that happen with a probability.

Separate so that every simulation draws alike. The invariant: the same seed gives the same draws
with every version of Python, for they are made of `random.random` alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from reconciler.core.statistics.drawing import binomial


def chance(*seed: object) -> random.Random:
    """A source of its own for each run, so that runs can be made in any order."""
    return random.Random(":".join(map(str, seed)))  # noqa: S311 - a simulation


def few(source: random.Random, count: int, probability: float) -> int:
    """How many of `count` happen, one by one."""
    return sum(source.random() < probability for _ in range(count))


def many(source: random.Random, count: int, probability: float) -> int:
    """The same for large counts, by one draw."""
    return binomial(source.random, count, probability)


def spread(source: random.Random, count: int, shares: Sequence[float]) -> tuple[int, ...]:
    """`count` things over cells with these shares, which add up to 1."""
    counts, left, whole = [], count, 1.0
    for share in shares[:-1]:
        here = many(source, left, min(1.0, share / whole)) if whole > 0 else 0
        counts.append(here)
        left, whole = left - here, whole - share
    return (*counts, left)
