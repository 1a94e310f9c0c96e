"""Putting evidence together: over disjoint batches, over signals, and from p-values.

Separate from the tests that make the evidence. The invariant: what comes out is an e-value, or a
level, whenever what goes in is.

Source: V. Vovk, R. Wang, E-values: calibration, combination and applications, Annals of Statistics
49 (2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from reconciler.core.statistics.special import log_mean_exp

LEAST_P = 1e-300


def e_of_p(p: float, kappa: float = 0.5) -> float:
    """κ p^(κ-1), an e-value for every κ between 0 and 1."""
    value: float = kappa * max(p, LEAST_P) ** (kappa - 1)
    return value


def log_e_decisive(p: float, alpha: float, kappa: float = 0.5) -> float:
    """ln of an e-value that half of the chance `alpha` makes decisive alone: p ≤ α/2 gives 1/α.

    The mean of two calibrators, "2/α if p ≤ α/2, else 0" and κ p^(κ-1). Two e-values have a mean
    that is one.
    """
    at_once = 2 / alpha if alpha > 0 and p <= alpha / 2 else 0.0
    return math.log((at_once + e_of_p(p, kappa)) / 2)


def highest_product(log_es: Iterable[float]) -> float:
    """ln of the highest product of the first e-values of disjoint batches, 0 of none.

    A product that was ever above 1/α refutes for good (Ville's inequality).
    """
    product = highest = 0.0
    for log_e in log_es:
        product += log_e
        highest = max(highest, product)
    return highest


def e_mean(log_es: Sequence[float]) -> float:
    """ln of the mean of e-values of signals that may depend on each other; 0 of none."""
    return log_mean_exp(list(log_es)) if log_es else 0.0


def bonferroni(alpha: float, signals: int) -> float:
    """The level for each of so many signals, however they depend on each other."""
    return alpha / max(1, signals)


def smaller_p(*ps: float) -> float:
    """p of the best of several tests of the same batch, which it was allowed to choose."""
    return min(1.0, len(ps) * min(ps, default=1.0))
