"""What must hold of the statistics for all arguments, beside the oracles."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.statistics.combining import (
    e_mean,
    e_of_p,
    highest_product,
    log_e_decisive,
    smaller_p,
)
from reconciler.core.statistics.divergence import (
    binned_js,
    binned_ks,
    binned_psi,
    binned_wasserstein,
    js_distance,
    psi_noise,
    wasserstein,
)
from reconciler.core.statistics.homogeneity import (
    chi_square_p,
    ks_p,
    mann_whitney_exact,
    rank_p,
)
from reconciler.core.statistics.paired import mcnemar_one_sided, mcnemar_two_sided
from reconciler.core.statistics.quantiles import quantile_bounds, split_at
from reconciler.core.statistics.sequential import (
    Arrivals,
    clean_requests_needed,
    log_e_bernoulli,
    log_e_ratio,
    log_e_share,
    lower_bound,
    upper_bound,
)
from reconciler.core.statistics.special import log_beta_tail
from tests.gates.builders import histogram

COUNT = st.integers(0, 2000)
SHARE = st.floats(0.001, 0.999)
BINS = st.lists(st.integers(0, 500), min_size=5, max_size=5)
ARRIVALS = st.lists(st.builds(Arrivals, COUNT, COUNT, SHARE), max_size=5)


def binomial(count: int, of: int, probability: float) -> float:
    return math.comb(of, count) * probability**count * (1 - probability) ** (of - count)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("trials", [1, 7, 60])
def test_an_e_value_is_one_on_average_at_its_limit(limit: float, trials: int) -> None:
    """[exact] Over all outcomes, weighted by their probability: what Ville's inequality needs."""
    outcomes = range(trials + 1)
    bernoulli = share = ratio = 0.0
    for c in outcomes:
        chance = binomial(c, trials, limit)
        bernoulli += chance * math.exp(log_e_bernoulli(c, trials - c, limit))
        share += chance * math.exp(log_e_share(c, trials - c, limit))
        # An error comes from the candidate with its share of the requests, when it is no worse.
        ratio += chance * math.exp(log_e_ratio([Arrivals(c, trials - c, limit)], 1.0))
    assert (bernoulli, share, ratio) == pytest.approx((1, 1, 1), rel=1e-9)


@given(st.floats(0.001, 0.99), st.floats(0, 1))
def test_an_e_value_falls_below_its_limit(limit: float, part: float) -> None:
    rate = limit * part
    mean = sum(
        binomial(c, 20, rate) * math.exp(log_e_bernoulli(c, 20 - c, limit)) for c in range(21)
    )
    assert mean <= 1 + 1e-9


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 40), (25, 4)])
@pytest.mark.parametrize("x", [Fraction(1, 100), Fraction(1, 3), Fraction(19, 20)])
def test_the_beta_tail_is_a_sum_of_binomials(a: int, b: int, x: Fraction) -> None:
    """[exact] 1 - I_x(a, b) = P(fewer than a of a+b-1) (DLMF 8.17.5)."""
    n = a + b - 1
    exact = sum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a))
    assert math.exp(log_beta_tail(float(x), a, b)) == pytest.approx(float(exact), rel=1e-11)


@given(COUNT, COUNT, SHARE)
def test_evidence_grows_with_errors_and_falls_with_clean_requests(
    c: int, s: int, limit: float
) -> None:
    here = log_e_bernoulli(c, s, limit)
    assert log_e_bernoulli(c + 1, s, limit) >= here - 1e-9
    assert log_e_bernoulli(c, s + 1, limit) <= here + 1e-9


@given(ARRIVALS, COUNT, COUNT, SHARE, st.floats(0.2, 5))
def test_relative_evidence_grows_with_the_candidates_errors(
    others: list[Arrivals], c: int, s: int, share: float, ratio: float
) -> None:
    here = log_e_ratio([*others, Arrivals(c, s, share)], ratio)
    assert log_e_ratio([*others, Arrivals(c + 1, s, share)], ratio) >= here
    assert log_e_ratio([*others, Arrivals(c, s + 1, share)], ratio) <= here


@given(ARRIVALS, st.randoms(use_true_random=False))
def test_the_order_of_exposures_changes_not_one_bit(
    arrivals: list[Arrivals], random: object
) -> None:
    shuffled = list(arrivals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert log_e_ratio(shuffled, 1.0) == log_e_ratio(arrivals, 1.0)


@given(COUNT, COUNT, SHARE)
def test_the_share_test_does_not_care_which_version_is_which(a: int, b: int, share: float) -> None:
    here = log_e_share(a, b, share)
    assert log_e_share(b, a, 1 - share) == pytest.approx(here, rel=1e-9, abs=1e-6)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_symmetric(worse: int, better: int) -> None:
    assert mcnemar_two_sided(worse, better) == mcnemar_two_sided(better, worse)
    assert mcnemar_one_sided(worse + 1, better) <= mcnemar_one_sided(worse, better)


@given(BINS, BINS)
def test_distances_and_p_values_are_symmetric_and_in_range(
    one: list[int], other: list[int]
) -> None:
    a, b = histogram(*one), histogram(*other)
    for distance in (binned_psi, binned_js, binned_ks, psi_noise):
        assert 0 <= distance(a, b) == pytest.approx(distance(b, a), rel=1e-9, abs=1e-12)
        assert distance(a, a) == 0 or distance is psi_noise
    for p in (chi_square_p, ks_p, rank_p):
        assert 0 <= p(a, b) <= 1
        assert p(a, b) == pytest.approx(p(b, a), rel=1e-9)
        assert p(a, a) == 1
    assert binned_wasserstein(a, b) >= 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(-1e3, 1e3))
def test_a_shift_is_as_far_as_it_shifts(values: list[float], by: float) -> None:
    assert wasserstein(values, [x + by for x in values]) == pytest.approx(abs(by), abs=1e-6)
    assert wasserstein(values, values[::-1]) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(0, 99), min_size=2, max_size=12, unique=True), st.integers(1, 11))
def test_mann_whitney_is_symmetric(values: list[int], cut: int) -> None:
    one, other = values[: cut % len(values) or 1], values[cut % len(values) or 1 :]
    (u, p), (v, q) = mann_whitney_exact(one, other), mann_whitney_exact(other, one)
    assert (u + v, p) == (len(one) * len(other), q)


@given(st.integers(0, 200), st.integers(1, 5000), st.sampled_from([0.9, 0.95, 0.99, 0.999]))
def test_bounds_enclose_the_observed_rate(errors: int, clean: int, confidence: float) -> None:
    requests = errors + clean
    low = lower_bound(errors, requests, confidence)
    high = upper_bound(errors, requests, confidence)
    assert 0 <= low <= errors / requests < high <= 1
    assert upper_bound(errors + 1, requests + 1, confidence) >= high - 1e-9
    assert upper_bound(errors, requests + 1, confidence) <= high + 1e-9


@given(st.integers(0, 20), st.integers(0, 3000), st.sampled_from([0.005, 0.01, 0.2]))
def test_as_many_clean_requests_as_said_are_needed(errors: int, clean: int, limit: float) -> None:
    requests = errors + clean
    more = clean_requests_needed(errors, requests, limit, 0.99)
    assert upper_bound(errors, requests + more, 0.99) <= limit + 1e-7
    if more > 0:
        assert upper_bound(errors, requests + more - 1, 0.99) > limit - 1e-7


def test_nothing_proves_a_limit_of_zero_and_one_success_refutes_it() -> None:
    assert log_e_bernoulli(1, 10, 0.0) == math.inf
    assert log_e_bernoulli(10, 0, 1.0) == 0
    assert clean_requests_needed(0, 100, 0.0, 0.99) == -1
    assert upper_bound(0, 0, 0.99) == 1


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.001])
def test_calibrators_are_one_on_average(alpha: float) -> None:
    """[exact] The mean over uniform p, by the midpoint rule in √p, where both are smooth."""
    n = 200_000
    ps = [((k + 0.5) / n) ** 2 for k in range(n)]
    weights = [2 * (k + 0.5) / n / n for k in range(n)]
    for calibrator in (e_of_p, lambda p: math.exp(log_e_decisive(p, alpha))):
        mean = math.fsum(w * calibrator(p) for p, w in zip(ps, weights, strict=True))
        assert mean == pytest.approx(1, abs=2e-3)


def test_one_decisive_batch_is_enough() -> None:
    assert log_e_decisive(0.005, 0.01) >= math.log(100)
    assert log_e_decisive(0.0051, 0.01) < math.log(100)


def test_a_product_that_was_high_refutes_for_good() -> None:
    assert highest_product([1.0, 5.0, -20.0]) == 6.0
    assert highest_product([-1.0]) == highest_product([]) == 0.0


def test_signals_are_put_together() -> None:
    assert e_mean([math.log(1), math.log(3)]) == pytest.approx(math.log(2))
    assert smaller_p(0.02, 0.5) == 0.04
    assert smaller_p(0.9, 0.8) == 1.0


def test_js_distance_is_at_most_the_root_of_ln_two() -> None:
    assert js_distance([1.0, 0.0], [0.0, 1.0]) == pytest.approx(math.sqrt(math.log(2)))


def test_a_bucket_that_the_limit_cuts_counts_for_neither_side() -> None:
    assert split_at(histogram(10, 20, 30), 1.5) == (10, 30)
    assert split_at(histogram(10, 20, 30), 2.0) == (30, 30)
    assert split_at(histogram(), 2.0) == (0, 0)


def test_quantiles_are_bounded_by_buckets() -> None:
    assert quantile_bounds(histogram(1000, 8000, 1000), 0.5, 0.99) == (1.0, 2.0)
    assert quantile_bounds(histogram(0, 0, 0), 0.5, 0.99) == (-math.inf, math.inf)
    assert quantile_bounds(histogram(9000, 500, 500), 0.99, 0.99) == (2.0, math.inf)
