"""How gates write numbers, and when counts cannot be.

Separate so that all gates speak alike. The invariant: every text is finite and every number that a
verdict holds can be written as JSON.
"""

from __future__ import annotations

import math

MOST = 10**10
"""Counts above are taken for a broken counter."""

_LARGEST_LOG = 700.0


def e_value(log_e: float) -> float:
    """An e-value from its logarithm, at most e^700, so that it is a finite number."""
    return math.exp(min(log_e, _LARGEST_LOG))


def percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def number(value: float) -> str:
    """In at most four digits: 0.0123, 3.4, 12,345, 1.2e+09."""
    if abs(value) >= 1e6:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def counted(count: int, what: str) -> str:
    """1 request, 2 requests."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def possible(part: int, whole: int) -> bool:
    """Whether `part` of `whole` is a count."""
    return 0 <= part <= whole <= MOST
