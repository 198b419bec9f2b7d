"""Sign flips and signed ranks against plain enumeration and published tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from velro_gate.analysis.statistics.sign_flip import (
    SAMPLED_VECTORS,
    bound_rank,
    bounds,
    family_p,
    middle,
    scaled,
    sign_vectors,
    single_p,
    student_of,
    walsh_averages,
)

DIFFERENCES = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.lists(st.floats(-10.0, 10.0, allow_nan=False), min_size=n, max_size=n), min_size=1, max_size=3).map(
        lambda rows: np.array(rows).T
    )
)


def by_enumeration(d: np.ndarray) -> list[float]:
    """p of each metric: plain Student's T under every sign vector, in loops, ties within 1e-9 of r counted as equal."""

    def statistic(column: np.ndarray) -> float:
        q = float((column**2).sum())
        return float(column.sum()) / np.sqrt(len(column) * q) if q else 0.0

    observed = [statistic(d[:, j]) for j in range(d.shape[1])]
    largest = [
        max(statistic(np.array(signs) * d[:, j]) for j in range(d.shape[1]))
        for signs in itertools.product((1.0, -1.0), repeat=len(d))
    ]
    return [sum(value >= mine - 1e-9 for value in largest) / len(largest) for mine in observed]


@given(DIFFERENCES)
def test_the_family_wise_p_counts_all_sign_vectors(d: np.ndarray) -> None:
    d = np.round(d, 3)
    grew, shrank = family_p(d, 1)
    assert grew == pytest.approx(by_enumeration(d))
    assert shrank == pytest.approx(by_enumeration(-d))


def test_one_metric_is_fishers_own_test_of_darwins_maize() -> None:
    """Fisher (1935), section 21: Darwin's 15 pairs; 863 of 2^15 sign vectors reach the observed sum of 314 or more.

    With 15 pairs the vectors are drawn, so the share lies near 863 / 32,768 = .0263 and not at it.
    """
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    every = np.array(list(itertools.product((1.0, -1.0), repeat=15)))
    assert (every @ darwin >= 314).sum() == 863
    grew, _ = family_p(darwin[:, None], 1)
    assert grew[0] == pytest.approx(863 / 2**15, abs=0.01)


def test_the_correlation_is_students_t_in_another_dress() -> None:
    d = np.random.default_rng(3).normal(0.5, 1.0, (9, 4))
    assert student_of(scaled(d).sum(axis=0), 9) == pytest.approx(stats.ttest_1samp(d, 0.0).statistic)


def test_equal_differences_are_as_significant_as_so_many_pairs_can_be() -> None:
    grew, shrank = family_p(np.full((10, 1), 0.2), 1)
    assert grew[0] == 2.0**-10
    assert shrank[0] == 1.0


def test_no_difference_at_all_says_nothing() -> None:
    grew, shrank = family_p(np.zeros((10, 3)), 1)
    assert set(grew) | set(shrank) == {1.0}


def test_differences_too_small_to_be_squared_still_count() -> None:
    grew, _ = family_p(np.full((10, 1), 1e-200), 1)
    assert grew[0] == 2.0**-10


def test_many_jobs_at_once_are_each_job_alone() -> None:
    d = np.random.default_rng(5).normal(size=(7, 12, 3))
    together = family_p(d, 4)
    for job in range(7):
        assert np.array_equal(together[0][job], family_p(d[job], 4)[0])
        assert np.array_equal(together[1][job], family_p(d[job], 4)[1])


def test_more_than_eleven_pairs_are_judged_by_a_recorded_sample() -> None:
    assert sign_vectors(11, 1).shape == (2**11, 11)
    drawn = sign_vectors(16, 1)
    assert drawn.shape == (SAMPLED_VECTORS + 1, 16)
    assert (drawn[0] == 1.0).all()
    assert np.array_equal(drawn, sign_vectors(16, 1))
    assert not np.array_equal(drawn, sign_vectors(16, 2))


@given(DIFFERENCES)
def test_a_larger_family_never_makes_a_metric_more_significant(d: np.ndarray) -> None:
    assert (family_p(d, 1)[0] >= single_p(d, 1)[0] - 1e-12).all()


@given(DIFFERENCES, st.floats(0.1, 10.0))
def test_the_unit_of_a_metric_does_not_matter(d: np.ndarray, k: float) -> None:
    d = np.round(d, 3)
    assert family_p(d * k, 1)[0] == pytest.approx(family_p(d, 1)[0])


def test_the_estimate_is_the_median_of_all_means_of_two() -> None:
    # By hand: 1, 2, 6 give 1, 1.5, 2, 3.5, 4, 6; the middle of 2 and 3.5 is 2.75.
    assert middle(walsh_averages(np.array([[1.0], [6.0], [2.0]])))[0] == 2.75


@pytest.mark.parametrize(
    ("n", "tail", "outside"), [(6, 0.025, 0), (8, 0.025, 3), (10, 0.025, 8), (16, 0.025, 29), (10, 0.05, 10), (16, 0.05, 35)]
)
def test_bounds_follow_the_table_of_the_signed_rank(n: int, tail: float, outside: int) -> None:
    """Critical values of Wilcoxon's signed-rank test (Hollander, Wolfe and Chicken 2014, table A.4)."""
    assert bound_rank(n, tail) == outside


@given(st.integers(1, 9), st.sampled_from([0.025, 0.05]))
def test_bounds_leave_out_no_more_than_the_tail(n: int, tail: float) -> None:
    sums = [sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in itertools.product((0, 1), repeat=n)]
    outside = bound_rank(n, tail)
    if outside is None:
        assert sums.count(0) / 2**n > tail
    else:
        assert sum(w <= outside for w in sums) / 2**n <= tail < sum(w <= outside + 1 for w in sums) / 2**n


def test_too_few_pairs_have_no_bounds() -> None:
    low, high = bounds(walsh_averages(np.array([[0.1], [0.2], [0.3]])), 3, 0.025)
    assert (low[0], high[0]) == (-np.inf, np.inf)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    d = np.random.default_rng(11).standard_t(3, (4000, 10, 1)) + 1.0
    low, high = bounds(walsh_averages(d), 10, 0.025)
    inside = float(((low <= 1.0) & (high >= 1.0)).mean())
    assert 0.94 < inside < 0.965
