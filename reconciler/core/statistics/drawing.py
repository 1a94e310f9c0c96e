"""Drawing: counts that chance makes, from uniform numbers that the caller makes.

Separate from the tests, which judge counts. The invariant: the same numbers give the same counts
with every version of Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Chance: TypeAlias = Callable[[], float]
"""Gives numbers that are uniform from 0 to 1, without 1."""


def binomial(chance: Chance, count: int, probability: float) -> int:
    """How many of `count` happen: by inversion, from the likeliest number outwards; exact."""
    if not 0 < probability < 1 or not count:
        return count if probability >= 1 else 0
    middle = int((count + 1) * probability)
    log_mass = math.lgamma(count + 1) - math.lgamma(middle + 1) - math.lgamma(count - middle + 1)
    log_mass += middle * math.log(probability) + (count - middle) * math.log1p(-probability)
    odds = probability / (1 - probability)
    low = high = middle
    low_mass = high_mass = math.exp(log_mass)
    rest = chance() - low_mass
    while rest > 0 and (low > 0 or high < count):
        if high < count:
            high_mass *= (count - high) / (high + 1) * odds
            high += 1
            rest -= high_mass
            if rest <= 0:
                return high
        if low > 0:
            low_mass *= low / ((count - low + 1) * odds)
            low -= 1
            rest -= low_mass
            if rest <= 0:
                return low
    return middle
