"""Special functions that the tests need: incomplete beta and gamma, in logarithms if they vanish.

Separate because they know nothing of gates. The invariant: the same arguments give the same bits on
every machine with IEEE 754 doubles.

Source of the continued fractions: W. H. Press et al., Numerical Recipes, 3rd ed., chapter 6
(evaluated by Lentz's method); DLMF 8.17.22 and 8.9.2.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_PRECISION = 1e-15
_MOST_TERMS = 100_000


def log_beta(a: float, b: float) -> float:
    """ln B(a, b) for positive a, b."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def log_beta_tail(x: float, a: float, b: float) -> float:
    """ln of 1 - I_x(a, b): the upper tail of a Beta(a, b) distribution above x, 0 <= x < 1."""
    if x <= 0:
        return 0.0
    head = _log_front(x, a, b)
    if x > (a + 1) / (a + b + 2):
        return head + math.log(_beta_fraction(1 - x, b, a) / b)
    below = math.exp(head) * _beta_fraction(x, a, b) / a
    return math.log1p(-min(below, 1 - 2**-53))


def _log_front(x: float, a: float, b: float) -> float:
    return a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, _away_from_zero(1 - (a + b) * x / (a + 1))
    d = 1 / d
    result = d
    for m in range(1, _MOST_TERMS):
        twice = a + 2 * m
        for numerator in (
            m * (b - m) * x / ((twice - 1) * twice),
            -(a + m) * (a + b + m) * x / (twice * (twice + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            result *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def chi_square_tail(x: float, freedom: float) -> float:
    """P(X > x) of a chi-square distribution."""
    if x <= 0:
        return 1.0
    return _gamma_tail(freedom / 2, x / 2)


def _gamma_tail(a: float, x: float) -> float:
    """Q(a, x), the regularised upper incomplete gamma function."""
    log_front = a * math.log(x) - x - math.lgamma(a)
    if x < a + 1:
        term = total = 1 / a
        n = a
        for _ in range(_MOST_TERMS):
            n += 1
            term *= x / n
            total += term
            if term < total * _PRECISION:
                break
        return max(0.0, 1 - total * math.exp(log_front))
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    result = d
    for i in range(1, _MOST_TERMS):
        numerator = -i * (i - a)
        b += 2
        d = 1 / _away_from_zero(numerator * d + b)
        c = _away_from_zero(b + numerator / c)
        result *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return result * math.exp(log_front)


def chi_square_quantile(tail: float, freedom: float) -> float:
    """The x with P(X > x) = `tail`, by bisection."""
    low, high = 0.0, freedom + 10.0
    while chi_square_tail(high, freedom) > tail:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if chi_square_tail(middle, freedom) > tail:
            low = middle
        else:
            high = middle
    return high


def log_mean_exp(values: list[float]) -> float:
    """ln of the mean of exp(value)."""
    top = max(values)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(value - top) for value in values) / len(values))


def normal_tail(z: float) -> float:
    """P(Z > z) of a standard normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def kolmogorov_tail(x: float) -> float:
    """P(K > x) of Kolmogorov's limiting distribution, 2 Σ (-1)^(k-1) exp(-2 k² x²).

    For small x by the other series, which converges there (DLMF 20.7.32 relates them).
    """
    if x <= 0:
        return 1.0
    if x < 1:
        odd = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * x * x)) for k in range(1, 20))
        return max(0.0, 1 - math.sqrt(2 * math.pi) / x * math.fsum(odd))
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 20))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))
