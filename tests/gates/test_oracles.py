"""Numbers that others published, or that were computed by other means, beside ours.

Each test names its source. [exact] is arithmetic that anybody can repeat by hand or in fractions.
"""

from __future__ import annotations

import bisect
import math
from fractions import Fraction

import pytest

from reconciler.core.samples import Distribution
from reconciler.core.statistics.divergence import (
    hellinger,
    js_distance,
    psi,
    psi_critical,
    wasserstein,
)
from reconciler.core.statistics.homogeneity import mann_whitney_exact, pearson_p, rank_p
from reconciler.core.statistics.paired import (
    fisher_two_sided,
    log_e_mcnemar,
    mcnemar_one_sided,
    mcnemar_two_sided,
)
from reconciler.core.statistics.quantiles import quantile_of
from reconciler.core.statistics.sequential import (
    clean_requests_needed,
    log_e_bernoulli,
    log_e_mean,
    upper_bound,
)
from reconciler.core.statistics.special import (
    chi_square_quantile,
    chi_square_tail,
    kolmogorov_tail,
    log_beta_tail,
    normal_tail,
)

EVIDENTLY = ([16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8])
"""evidentlyai/evidently, tests/stattests/test_stattests.py, test_freq_obs_eq_freq_exp."""

# spinnaker/kayenta, ClassifierSuite.scala: thirty points each, here to three decimals, which
# changes no rank.
KAYENTA_PASSING = [
    9.777,
    10.587,
    7.838,
    9.324,
    8.377,
    8.936,
    8.271,
    9.748,
    11.624,
    9.275,
    8.154,
    10.562,
    13.498,
    11.054,
    6.954,
    12.521,
    9.022,
    4.923,
    11.251,
    11.598,
    8.435,
    11.11,
    10.701,
    8.921,
    10.086,
    11.421,
    9.379,
    7.798,
    10.623,
    11.91,
]
KAYENTA_CONTROL = [
    11.145,
    9.962,
    7.069,
    7.301,
    9.794,
    9.604,
    6.187,
    12.346,
    10.372,
    8.609,
    9.913,
    10.361,
    14.207,
    10.946,
    10.216,
    11.74,
    10.908,
    12.823,
    8.102,
    8.498,
    12.113,
    13.272,
    10.115,
    6.946,
    6.211,
    10.16,
    8.346,
    8.384,
    7.002,
    10.756,
]
KAYENTA_HIGH = [
    20.878,
    21.786,
    19.708,
    15.86,
    19.51,
    19.392,
    22.927,
    17.157,
    18.655,
    23.423,
    24.056,
    22.627,
    21.979,
    21.659,
    20.068,
    22.12,
    16.44,
    21.56,
    21.0,
    17.779,
    17.806,
    18.537,
    20.556,
    19.553,
    21.771,
    21.81,
    20.962,
    20.978,
    19.106,
    16.977,
]


def histograms(one: list[float], other: list[float]) -> tuple[Distribution, Distribution]:
    """Each different value in a bucket of its own, so that ranks are kept."""
    edges = [*sorted({*one, *other})[:-1], math.inf]

    def counted(values: list[float]) -> Distribution:
        places = [bisect.bisect_left(edges, value) for value in values]
        return Distribution(tuple(edges), tuple(map(places.count, range(len(edges)))))

    return counted(one), counted(other)


@pytest.mark.parametrize(
    ("candidate", "stable", "ratio", "expected"),
    [
        (2, 0, 1.0, 140.3333),
        (3, 0, 1.0, 2105.25),
        (10, 50, 1.0, 30.4539),
        (10, 50, 1.2, 9.0188),
    ],
)
def test_mixture_e_value_of_lindon_and_malek(
    candidate: int, stable: int, ratio: float, expected: float
) -> None:
    """The design's research, by numerical integration; w = 5 %."""
    share = 0.05
    limit = ratio * share / (ratio * share + 1 - share)
    assert math.exp(log_e_bernoulli(candidate, stable, limit)) == pytest.approx(expected, rel=1e-5)


def test_mixture_e_value_in_fractions() -> None:
    """[exact] ∫ p² dp from 1/20 to 1, over 19/20, over 1/400."""
    integral = (1 - Fraction(1, 20) ** 3) / 3
    expected = integral / Fraction(19, 20) / Fraction(1, 20) ** 2
    assert math.exp(log_e_bernoulli(2, 0, 0.05)) == pytest.approx(float(expected), rel=1e-13)


@pytest.mark.parametrize(("confidence", "requests"), [(0.95, 449), (0.99, 644)])
def test_clean_requests_that_prove_one_percent(confidence: float, requests: int) -> None:
    """The design's research, beside 299 of a test of one look at 95 %."""
    assert clean_requests_needed(0, 0, 0.01, confidence) == requests
    assert upper_bound(0, requests, confidence) <= 0.01 < upper_bound(0, requests - 1, confidence)


def test_clean_requests_in_closed_form() -> None:
    """[exact] Without an error, E = (1 - q^(n+1)) / ((n+1) (1-q) q^n) with q = 99 %."""
    q = Fraction(99, 100)
    e = [(1 - q ** (n + 1)) / ((n + 1) * (1 - q) * q**n) for n in (448, 449)]
    assert e[0] < 20 <= e[1]


def test_msprt_of_johari() -> None:
    """arXiv 1512.04922, equation 5, at x̄ = 0.2, n = 200, σ = 1, τ = 0.5."""
    assert math.exp(log_e_mean(0.2, 200, 1.0, 0.5)) == pytest.approx(7.06855, abs=1e-5)


def test_exact_mcnemar() -> None:
    """[exact] 8 against 1: ten of 512 one-sided."""
    assert mcnemar_one_sided(8, 1) == 10 / 512
    assert mcnemar_two_sided(8, 1) == 0.0390625


def test_mcnemar_e_value_in_fractions() -> None:
    """[exact] Eight of eight worse: 2 ∫ p^8 dp from 1/2 to 1, over 2^-8."""
    expected = 2 * (1 - Fraction(1, 2) ** 9) / 9 * 2**8
    assert math.exp(log_e_mcnemar(8, 0)) == pytest.approx(float(expected), rel=1e-13)


def test_exact_mann_whitney_of_scipy() -> None:
    """scipy.stats.mannwhitneyu, its example of ages at diagnosis: U = 17, exact p = 0.1111."""
    u, p = mann_whitney_exact([19, 22, 16, 29, 24], [20, 11, 17, 12])
    assert (u, p) == (17.0, pytest.approx(1 / 9))


def test_mann_whitney_with_ties_of_evidently() -> None:
    """test_mann_whitney there gives 0.481 with a continuity correction, and one side: the p of
    "less". Ours is two-sided, without it."""
    values = [
        [float(n + 1) for n, c in enumerate(counts) for _ in range(c)] for counts in EVIDENTLY
    ]
    assert rank_p(*histograms(*values)) == pytest.approx(2 * 0.481, abs=0.02)


def test_wasserstein_of_scipy() -> None:
    """scipy.stats.wasserstein_distance, its first example."""
    assert wasserstein([0, 1, 3], [5, 6, 8]) == 5.0


def test_jensen_shannon_of_scipy() -> None:
    """scipy.spatial.distance.jensenshannon, its second example."""
    assert js_distance([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.46450140402, abs=1e-11)


def test_population_stability_index() -> None:
    """[exact] ½·ln … : quarters against 0.2, 0.3, 0.3, 0.2 are 0.1 ln 1.5."""
    found = psi([0.25] * 4, [0.2, 0.3, 0.3, 0.2])
    assert found == pytest.approx(0.1 * math.log(1.5), rel=1e-12)
    assert found == pytest.approx(0.0405465108, abs=1e-10)


@pytest.mark.parametrize(
    ("line", "size", "chance"), [(0.1, 200, 0.3505), (0.1, 100, 0.83), (0.25, 100, 0.19)]
)
def test_false_alarms_of_a_fixed_index(line: float, size: int, chance: float) -> None:
    """The index of equal versions is χ²(9)·(1/n + 1/m) with ten bins (Yurdakul and Naranjo)."""
    assert chi_square_tail(line / (2 / size), 9) == pytest.approx(chance, abs=0.005)
    assert psi_critical(10, size, size, chi_square_tail(line / (2 / size), 9)) == pytest.approx(
        line
    )


def test_chi_square_of_evidently() -> None:
    reference, current = EVIDENTLY
    statistic = sum((b - a) ** 2 / a for a, b in zip(reference, current, strict=True))
    assert chi_square_tail(statistic, 5) == pytest.approx(0.67309, abs=1e-5)


def test_hellinger_of_evidently() -> None:
    shares = [[count / 88 for count in counts] for counts in EVIDENTLY]
    assert hellinger(*shares) == pytest.approx(0.06812, abs=1e-5)


@pytest.mark.parametrize(
    ("table", "expected"),
    [((45, 45, 30, 60), 0.033), ((3, 3, 6, 0), 0.181), ((6, 0, 0, 6), 0.0021)],
)
def test_fisher_of_evidently(table: tuple[int, int, int, int], expected: float) -> None:
    """test_pvalue_fisher_exact there."""
    assert fisher_two_sided(*table) == pytest.approx(expected, abs=1e-3)


def test_student_of_evidently() -> None:
    """test_t_test there, by the incomplete beta function: p = I of ν/(ν + t²) at (ν/2, ½)."""
    one = [38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0]
    other = [39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8]
    means = [sum(values) / 8 for values in (one, other)]
    squares = [
        sum((x - mean) ** 2 for x in values) / 7
        for values, mean in zip((one, other), means, strict=True)
    ]
    t_squared = (means[0] - means[1]) ** 2 / (sum(squares) / 8)
    p = 1 - math.exp(log_beta_tail(14 / (14 + t_squared), 7, 0.5))
    assert p == pytest.approx(0.084, abs=1e-3)


def test_metrics_of_kayenta_get_its_classes() -> None:
    """ClassifierSuite.scala: Pass, High and, the other way round, Low."""
    assert rank_p(*histograms(KAYENTA_CONTROL, KAYENTA_PASSING)) > 0.05
    for pair in ((KAYENTA_CONTROL, KAYENTA_HIGH), (KAYENTA_HIGH, KAYENTA_CONTROL)):
        assert rank_p(*histograms(*pair)) < 1e-9


def test_the_split_that_kayenta_passes_is_seen() -> None:
    """spinnaker#6278: seven hundreds and three ones against ten ones. [exact] 120 of 77520."""
    assert fisher_two_sided(7, 3, 0, 10) == pytest.approx(2 * 120 / 77520)
    assert rank_p(*histograms([1.0] * 10, [100.0] * 7 + [1.0] * 3)) < 0.01


def test_ninetieth_percentile_of_nist() -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.6.2; the value is Kayenta's."""
    values = [95.1772, 95.1567, 95.1937, 95.1959, 95.1442, 95.0610]
    values += [95.1591, 95.1195, 95.1065, 95.0925, 95.1990, 95.1682]
    assert quantile_of(values, 0.9) == pytest.approx(95.19568, abs=1e-9)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (chi_square_quantile(0.01, 9), 21.665994),
        (chi_square_quantile(0.05, 1), 3.841459),
        (chi_square_tail(40.0, 9), 7.6e-6),
        (kolmogorov_tail(1.3580986), 0.05),
        (kolmogorov_tail(1.6276236), 0.01),
        (kolmogorov_tail(0.5), 0.963945),
        (normal_tail(1.959963985), 0.025),
        (pearson_p([(10, 20), (20, 10)]), 0.00982327),
    ],
)
def test_tables_of_distributions(found: float, expected: float) -> None:
    """Quantiles and tails as every table of them has."""
    assert found == pytest.approx(expected, rel=2e-3 if expected < 1e-3 else 1e-5)
