"""Intervals: reference numbers from scipy and from theory, coverage by simulation, invariants by hypothesis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from velro_gate.analysis.statistics import intervals


def ar1(length: int, rho: float, seed: int) -> intervals.Floats:
    """A stationary AR(1) series with unit variance."""
    random = np.random.default_rng(seed)
    series = np.empty(length)
    series[0] = random.normal()
    for i, shock in enumerate(random.normal(0.0, math.sqrt(1.0 - rho * rho), length - 1), start=1):
        series[i] = rho * series[i - 1] + shock
    return series


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 2000), (1999, 2000), (0, 1)])
def test_wilson_agrees_with_scipy(hits: int, n: int) -> None:
    reference = stats.binomtest(hits, n).proportion_ci(method="wilson")
    found = intervals.wilson(hits, n)
    assert found.value == hits / n
    assert found.low == pytest.approx(reference.low, abs=1e-12)
    assert found.high == pytest.approx(reference.high, abs=1e-12)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_and_its_interval_stay_between_0_and_1(case: tuple[int, int]) -> None:
    found = intervals.wilson(*case)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_counting_hits_or_misses_gives_mirrored_intervals(case: tuple[int, int]) -> None:
    hits, n = case
    one, other = intervals.wilson(hits, n), intervals.wilson(n - hits, n)
    assert one.low == pytest.approx(1.0 - other.high, abs=1e-9)
    assert one.high == pytest.approx(1.0 - other.low, abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        intervals.wilson(hits, n)


def test_student_is_scipys_and_never_below_one_degree_of_freedom() -> None:
    assert intervals.student(9.0) == pytest.approx(float(stats.t.ppf(0.975, 9)))
    assert intervals.student(0.2) == pytest.approx(float(stats.t.ppf(0.975, 1)))


def test_the_memory_of_independent_values_is_about_one() -> None:
    found = [intervals.autocorrelation_time(np.random.default_rng(seed).normal(size=400)) for seed in range(50)]
    assert 0.95 < np.mean(found) < 1.3


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_the_memory_of_an_ar1_is_that_of_theory(rho: float) -> None:
    found = np.mean([intervals.autocorrelation_time(ar1(2000, rho, seed)) for seed in range(30)])
    assert found == pytest.approx((1.0 + rho) / (1.0 - rho), rel=0.15)


@given(st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_the_memory_of_any_series_is_between_one_and_a_quarter_of_it(values: list[float]) -> None:
    found = intervals.autocorrelation_time(np.array(values, np.float64))
    assert 1.0 <= found <= max(len(values) / 4.0, 1.0)


def test_a_constant_series_has_no_memory() -> None:
    assert intervals.autocorrelation_time(np.full(100, 3.7)) == 1.0


def test_blocks_are_single_elements_for_independent_values_and_grow_with_the_memory() -> None:
    lengths = [intervals.block_length(memory, 400) for memory in (1.0, 2.0, 5.0, 10.0, 20.0)]
    assert lengths[0] == 1
    assert lengths == sorted(lengths)


def test_block_length_is_that_of_patton_politis_and_white_for_an_ar1() -> None:
    # rho = 0.8: G / g(0) = 2 rho / (1 - rho^2), b = (1.5 (G/g)^2 N)^(1/3).
    g = 2 * 0.8 / (1 - 0.64)
    assert intervals.block_length(9.0, 400) == math.ceil((1.5 * g * g * 400) ** (1 / 3))


@given(st.floats(1.0, 1e4), st.integers(1, 1000))
def test_a_block_never_exceeds_a_sixth_of_the_series(memory: float, length: int) -> None:
    assert 1 <= intervals.block_length(memory, length) <= max(length // 6, 1)


@given(st.integers(1, 60), st.integers(1, 20))
def test_every_replicate_draws_as_many_elements_as_there_are(length: int, block: int) -> None:
    weights = intervals.block_weights(length, min(block, length), 7, seed=1)
    assert weights.shape == (7, length)
    assert (weights.sum(axis=1) == length).all()


def test_every_element_is_drawn_equally_often_on_average() -> None:
    weights = intervals.block_weights(50, 7, 20_000, seed=3)
    assert np.abs(weights.mean(axis=0) - 1.0).max() < 0.05


def test_weights_of_neighbours_are_alike_inside_blocks_and_reproducible() -> None:
    weights = intervals.block_weights(100, 10, 2000, seed=5)
    assert np.corrcoef(weights[:, 3], weights[:, 4])[0, 1] > 0.8
    assert (weights == intervals.block_weights(100, 10, 2000, seed=5)).all()
    assert (weights != intervals.block_weights(100, 10, 2000, seed=6)).any()


def test_blocks_of_independent_values_lose_nothing_and_short_blocks_of_a_long_memory_much() -> None:
    assert intervals.block_shortfall(1.0, 1) == 1.0
    assert intervals.block_shortfall(19.0, 1) == pytest.approx(math.sqrt(19.0))
    assert 1.0 < intervals.block_shortfall(19.0, 400) < intervals.block_shortfall(19.0, 40) < 1.3


def test_what_short_blocks_miss_is_counted_out_of_the_covariances() -> None:
    """Brute force: b times the variance of the mean of b values of an AR(1) with rho = .8, against its memory, 9."""
    for block in (1, 4, 10, 50):
        covariance = 0.8 ** np.abs(np.subtract.outer(np.arange(block), np.arange(block)))
        assert intervals.block_shortfall(9.0, block) == pytest.approx(math.sqrt(9.0 / (covariance.sum() / block)))


def test_the_expansion_by_the_printed_table_of_student() -> None:
    """Recipe: t(.975, n - 1) / 1.959964 * sqrt(n / (n - 1)), with t = 2.776 (4), 2.262 (9), 2.045 (29) from a printed table."""
    for n, t in ((5.0, 2.776), (10.0, 2.262), (30.0, 2.045)):
        assert intervals.expansion(n) == pytest.approx(t / 1.959964 * math.sqrt(n / (n - 1.0)), abs=5e-4)


def test_few_blocks_widen_the_interval_many_do_not() -> None:
    assert intervals.expansion(5.0) > 1.5
    assert intervals.expansion(400.0) == pytest.approx(1.0, abs=0.01)


@given(st.integers(1, 5000), st.floats(0.01, 0.999), st.floats(1.0, 50.0))
def test_order_statistics_are_ranks_of_the_sample(n: int, p: float, effect: float) -> None:
    low, high = intervals.rank_range(n, p, effect)
    assert 0 <= low <= high <= n - 1


@given(st.integers(10, 3000), st.floats(0.05, 0.95))
def test_order_statistics_cover_with_at_least_95_percent_where_there_are_enough(n: int, p: float) -> None:
    low, high = intervals.rank_range(n, p)
    # Zero-based ranks low and high enclose the quantile when low + 1 <= Binomial(n, p) <= high.
    covered = stats.binom.cdf(high, n, p) - stats.binom.cdf(low, n, p)
    if low > 0 and high < n - 1:
        assert covered >= 0.949


def test_too_few_observations_reach_to_the_greatest_one() -> None:
    assert intervals.rank_range(10, 0.99) == (8, 9)
    assert intervals.rank_range(1, 0.5) == (0, 0)


def test_dependent_observations_have_wider_ranks() -> None:
    low, high = intervals.rank_range(1000, 0.9)
    wide_low, wide_high = intervals.rank_range(1000, 0.9, design_effect=9.0)
    assert wide_low < low < high < wide_high
    assert (wide_high - wide_low) / (high - low) == pytest.approx(3.0, rel=0.25)


def test_a_rate_without_variation_is_exact() -> None:
    found = intervals.mean_rate(np.full(6, 100.0), 6000, 60.0)
    assert (found.value, found.low, found.high, found.n) == (100.0, 100.0, 100.0, 6000)


def test_a_rate_from_fewer_than_four_windows_is_taken_as_poisson() -> None:
    found = intervals.mean_rate(np.array([100.0]), 100, 1.0)
    assert found.high - found.value == pytest.approx(1.96 * 10.0, abs=0.1)


def test_a_rate_of_nothing_is_zero_and_not_negative() -> None:
    found = intervals.mean_rate(np.array([0.0]), 0, 5.0)
    assert found.value == found.low == 0.0 < found.high


def test_the_interval_of_a_mean_rate_covers_in_about_95_percent() -> None:
    random = np.random.default_rng(11)
    covered = 0
    for _ in range(600):
        counts = random.poisson(50.0, 60)
        found = intervals.mean_rate(counts.astype(np.float64), int(counts.sum()), 60.0)
        covered += found.low <= 50.0 <= found.high
    assert 0.91 <= covered / 600 <= 0.985
