"""Noise between runs: each figure against a number that was reached by another way."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from velro_gate.analysis.rows.noise import (
    DEFAULT_PRIOR_SD,
    LEAST_SD,
    MEDIAN_OF_SQUARED_DIFFERENCES,
    from_scale,
    margin,
    noise_of,
    on_scale,
    t_above,
    t_quantile,
)
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy

P95 = METRICS["p95"]
HIT_RATE = METRICS["hit_rate"]
POLICY = Policy()
VALUES = st.floats(-10.0, 10.0).map(lambda x: round(x, 6))


def t_density(x: float, df: float) -> float:
    """Student's t from its textbook formula, so that no statistics library checks itself."""
    return (
        math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2))
        / math.sqrt(df * math.pi)
        * (1 + x * x / df) ** (-(df + 1) / 2)
    )


def test_the_constant_is_the_median_of_squared_differences_of_a_standard_normal() -> None:
    # D = x - y of two standard normals has variance 2; the median of Z^2 is the square of the upper quartile of Z.
    assert pytest.approx(2.0 * NormalDist().inv_cdf(0.75) ** 2, abs=1e-4) == MEDIAN_OF_SQUARED_DIFFERENCES


def test_the_level_is_the_median_of_the_last_ten() -> None:
    values = [100.0] * 20 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert noise_of(values, P95, POLICY).level == 5.5


def test_ten_of_thirty_by_hand() -> None:
    """K = 10, H = 30: a saw of 0 and .02 with one outlier, worked out on paper."""
    values = [0.0, 0.02] * 15
    values[25] = 0.10  # among the last ten: 0, .02, 0, .02, 0, .10, 0, .02, 0, .02
    noise = noise_of(values, P95, POLICY)
    # 27 of the 29 squared differences are .0004, so their median is: sqrt(.0004 / .9099) = .02097.
    jumps = math.sqrt(0.0004 / 0.9099)
    # The level is .01, so the outlier lies .09 off it and counts as 2.5 x .02097 = .0524.
    drawn_in = 2.5 * jumps
    mean = (5 * -0.01 + 4 * 0.01 + drawn_in) / 10
    spread = math.sqrt((5 * (-0.01 - mean) ** 2 + 4 * (0.01 - mean) ** 2 + (drawn_in - mean) ** 2) / 9)
    assert noise.sd == pytest.approx(max(spread, jumps))
    assert noise.sd < 0.0305, "what it would be with the outlier where it is"
    assert noise.df == 9 + 29 // 3 == 18
    assert noise.k == 10


def test_differences_count_when_the_recent_runs_happen_to_agree() -> None:
    values = [0.0, 0.1] * 10 + [0.05] * 9
    assert noise_of(values, P95, POLICY).sd == pytest.approx(math.sqrt(0.01 / 0.9099))


def test_only_the_last_h_runs_make_the_differences() -> None:
    wild = [0.0, 5.0] * 20
    assert noise_of(wild + [0.1] * 30, P95, POLICY).sd == LEAST_SD


def test_equal_values_prove_no_precision_below_half_a_percent() -> None:
    noise = noise_of([1.0] * 10, P95, POLICY)
    assert noise.sd == LEAST_SD
    assert noise.df == 9 + 3


def test_one_baseline_has_the_noise_of_the_prior() -> None:
    noise = noise_of([0.4], P95, POLICY)
    assert (noise.level, noise.sd, noise.df, noise.k) == (0.4, P95.prior_sd, 4, 1)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_few_baselines_share_the_noise_with_the_prior(k: int) -> None:
    values = [0.0, 0.01, 0.03, 0.02][:k]
    mine = float(np.var(values, ddof=1))
    noise = noise_of(values, P95, POLICY)
    assert noise.sd == pytest.approx(math.sqrt((4 * 0.06**2 + (k - 1) * mine) / (k + 3)))
    assert noise.df == k + 3


def test_a_metric_without_a_prior_gets_a_wide_one() -> None:
    assert noise_of([0.0], METRICS["service_p95"], POLICY).sd == DEFAULT_PRIOR_SD


def test_no_value_has_no_noise() -> None:
    with pytest.raises(ValueError, match="unknown"):
        noise_of([], P95, POLICY)


def test_a_policy_can_shorten_the_memory() -> None:
    values = [9.0] * 20 + [1.0] * 6
    noise = noise_of(values, P95, Policy(max_baselines=6, history=6))
    assert (noise.level, noise.sd, noise.k, noise.df) == (1.0, LEAST_SD, 6, 5 + 5 // 3)


def test_the_error_of_one_run_against_a_median_of_ten() -> None:
    """Brute force: the sd of (a normal - the median of ten normals) is what the formula says, within its approximation."""
    random = np.random.default_rng(3)
    draws = random.normal(size=(40_000, 11))
    seen = float(np.std(draws[:, 0] - np.median(draws[:, 1:], axis=1)))
    noise = noise_of([0.0] * 10, P95, POLICY)
    assert noise.error() / noise.sd == pytest.approx(seen, rel=0.02)


@given(st.lists(VALUES, min_size=1, max_size=40), VALUES)
def test_a_shift_of_all_values_moves_the_level_and_no_noise(values: list[float], by: float) -> None:
    before, after = noise_of(values, P95, POLICY), noise_of([value + by for value in values], P95, POLICY)
    assert after.level == pytest.approx(before.level + by, abs=1e-9)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)
    assert (after.df, after.k) == (before.df, before.k)


@given(st.lists(VALUES, min_size=1, max_size=40))
def test_noise_is_never_less_than_the_floor_and_grows_by_the_error_of_the_level(values: list[float]) -> None:
    noise = noise_of(values, P95, POLICY)
    assert noise.sd >= LEAST_SD
    assert noise.error() > noise.sd


@given(st.lists(VALUES, min_size=5, max_size=40))
def test_the_order_of_time_matters_to_the_differences_only_and_backwards_is_as_good(values: list[float]) -> None:
    policy = Policy(max_baselines=40, history=40)
    assert noise_of(values, P95, policy).sd == pytest.approx(noise_of(values[::-1], P95, policy).sd)


@pytest.mark.parametrize(("k", "least"), [(1, 0.25), (2, 0.15), (4, 0.15), (5, 0.05), (10, 0.05)])
def test_fewer_baselines_confirm_only_larger_changes(k: int, least: float) -> None:
    assert margin(k, POLICY) == least


def test_a_wider_margin_of_the_policy_is_never_made_narrower() -> None:
    assert margin(3, Policy(margin=0.3, unchanged_below=0.4)) == 0.3


@pytest.mark.parametrize("df", [3, 4, 12, 18])
@pytest.mark.parametrize("t", [0.0, 0.7, 2.5, 6.0])
def test_tails_of_student_match_the_integral_of_the_density(t: float, df: int) -> None:
    by_integral = integrate.quad(t_density, t, math.inf, args=(df,))[0]
    assert t_above(t, df) == pytest.approx(by_integral, rel=1e-7)


@pytest.mark.parametrize(("df", "share", "table"), [(4, 0.975, 2.776), (18, 0.975, 2.101), (9, 0.95, 1.833), (5, 0.95, 2.015)])
def test_quantiles_of_student_match_the_printed_tables(df: int, share: float, table: float) -> None:
    assert t_quantile(share, df) == pytest.approx(table, abs=5e-4)


@given(st.floats(1e-6, 1e3))
def test_a_time_survives_the_way_to_its_scale_and_back(seconds: float) -> None:
    y = on_scale(Estimate.exact(seconds, n=100), P95)
    assert y is not None
    assert from_scale(y, P95) == pytest.approx(seconds)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_a_share_is_smoothed_so_that_all_and_nothing_are_finite(hits: int, more: int) -> None:
    n = hits + more
    y = on_scale(Estimate.exact(hits / n, n=n), HIT_RATE)
    assert y is not None
    assert from_scale(y, HIT_RATE) == pytest.approx((hits + 0.5) / (n + 1))


def test_no_time_has_no_logarithm() -> None:
    assert on_scale(Estimate.exact(0.0, n=5), P95) is None


def test_a_linear_figure_is_its_own_scale() -> None:
    held = METRICS["users_held"]
    assert on_scale(Estimate.exact(500.0, n=1), held) == from_scale(500.0, held) == 500.0


def test_one_odd_run_among_ten_does_not_blind_a_long_history() -> None:
    steady = np.random.default_rng(3).normal(0.0, 0.02, 30)
    odd = steady.copy()
    odd[-4] = 0.4
    gc_pause, blurred = (noise_of(values.tolist(), METRICS["p95"], Policy()) for values in (steady, odd))
    assert gc_pause.sd <= blurred.sd < 1.8 * gc_pause.sd
    # A short history has no say: ten differences may be small by chance.
    assert noise_of(odd[-11:].tolist(), METRICS["p95"], Policy()).sd > 0.1


def test_a_level_that_has_moved_still_counts_as_noise() -> None:
    values = np.random.default_rng(3).normal(0.0, 0.01, 30)
    values[-5:] += 0.1
    assert noise_of(values.tolist(), METRICS["p95"], Policy()).sd > 0.015


def test_runs_of_one_job_are_hardly_steadier_than_one() -> None:
    noise = noise_of([0.01 * i for i in range(10)], METRICS["p95"], Policy())
    assert noise.error(3) == pytest.approx(noise.sd * math.sqrt(0.8 + 0.2 / 3 + math.pi / 20))
    assert 0.9 * noise.error() < noise.error(3) < noise.error()
