"""The move of one figure against its baselines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from velro_gate.analysis.rows.shifts import Shift, scaled_shift
from velro_gate.model.metrics import METRICS, Metric
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy

P95, THROUGHPUT, HIT_RATE = METRICS["p95"], METRICS["throughput"], METRICS["hit_rate"]
TIME = st.floats(1e-4, 10.0)


def shift(current: float, before: list[float], metric: Metric = P95, policy: Policy | None = None, n: int = 5000) -> Shift:
    found = scaled_shift(
        [Estimate.exact(current, n=n)], [Estimate.exact(value, n=n) for value in before], metric, policy or Policy()
    )
    assert found is not None
    return found


def test_the_whole_test_by_a_recipe_of_its_own() -> None:
    """K = 10 of H = 12 run-to-run values, worked through with numpy and scipy.stats, step by step as the design writes it."""
    before = [10.0, 10.4, 9.9, 10.1, 10.2, 9.7, 10.0, 10.3, 9.8, 10.1, 10.0, 10.2]
    y = np.log(before)
    level = np.median(y[-10:])
    s = max(np.std(y[-10:], ddof=1), math.sqrt(np.median(np.diff(y) ** 2) / 0.9099), 0.005)
    df = 10 - 1 + (12 - 1) // 3
    error = s * math.sqrt(1 + math.pi / 20)
    d = math.log(11.5) - level
    found = shift(11.5, before)
    assert found.worse == pytest.approx(d)
    assert found.noise == pytest.approx(s)
    assert found.df == df == 12
    assert found.p == pytest.approx(stats.t.sf(d / error, df))
    assert found.p_better == pytest.approx(stats.t.cdf(d / error, df))
    assert found.upper == pytest.approx(d + stats.t.ppf(0.95, df) * error)
    reach = stats.t.ppf(0.975, df) * error
    assert (found.change, found.change_low, found.change_high) == pytest.approx(
        (math.exp(d) - 1, math.exp(d - reach) - 1, math.exp(d + reach) - 1)
    )
    assert found.baseline == pytest.approx(math.exp(level))
    assert found.least == pytest.approx(math.log(1.05))
    assert found.bound == pytest.approx(math.log(1.10))


def test_the_least_visible_change_by_the_formula_of_the_design() -> None:
    before = [10.0, 11.0, 9.0, 10.5, 9.5, 10.8, 9.2, 10.1, 9.9, 10.0]
    found = shift(10.0, before)
    y = np.log(before)
    s = max(np.std(y, ddof=1), math.sqrt(np.median(np.diff(y) ** 2) / 0.9099))
    df = 9 + 9 // 3
    chance = (1.645 + stats.t.ppf(0.95, df)) / 2
    three = s * math.sqrt(0.8 + 0.2 / 3 + math.pi / 20)
    formula = (stats.t.ppf(1 - 0.005 / 8, df) + chance) * three
    assert found.detectable(8, Policy(), repeated=True) == pytest.approx(formula, rel=1e-4)
    alone = formula * math.sqrt(1 + math.pi / 20) * s / three
    assert found.detectable(8, Policy(), repeated=False) == pytest.approx(alone, rel=1e-4)


def test_nothing_below_the_margin_is_promised_to_be_seen_however_calm_the_runner() -> None:
    found = shift(10.0, [10.0] * 30)
    chance = stats.t.ppf(0.95, 18) * 0.005 * math.sqrt(1 + math.pi / 20)
    assert found.detectable(8, Policy(), repeated=True) == pytest.approx(math.log(1.05) + chance)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_baselines_of_unknown_noise_cannot_fail_so_there_is_no_change_that_would(k: int) -> None:
    assert shift(10.0, [10.0] * k).detectable(8, Policy(), repeated=True) is None


def test_less_throughput_is_worse() -> None:
    found = shift(90.0, [100.0] * 10, THROUGHPUT)
    assert found.worse == pytest.approx(-math.log(0.9))
    assert found.change == pytest.approx(-0.1)
    assert found.p < 0.001 < 0.999 < found.p_better


def test_a_worsening_of_throughput_is_a_share_that_is_lost() -> None:
    found = shift(100.0, [100.0] * 10, THROUGHPUT)
    assert found.relative_worsening(-math.log(0.8)) == pytest.approx(0.2)


def test_a_worsening_of_a_time_is_a_share_that_is_added() -> None:
    assert shift(1.0, [1.0] * 10).relative_worsening(math.log(1.3)) == pytest.approx(0.3)


def test_a_hit_rate_moves_on_the_logit_scale_and_is_reported_as_a_share() -> None:
    found = shift(0.90, [0.95] * 10, HIT_RATE, n=100_000)
    assert found.worse == pytest.approx(math.log(0.95 / 0.05) - math.log(0.90 / 0.10), rel=1e-3)
    assert found.change == pytest.approx(0.90 / 0.95 - 1, rel=1e-3)
    assert found.relative_worsening(found.worse) == pytest.approx(1 - 0.90 / 0.95, rel=1e-3)


def test_a_full_hit_rate_can_be_compared() -> None:
    assert math.isfinite(shift(1.0, [1.0] * 5, HIT_RATE, n=1000).worse)


def test_what_has_no_logarithm_has_no_move() -> None:
    one, nothing = Estimate.exact(1.0, n=10), Estimate.exact(0.0, n=10)
    assert scaled_shift([nothing], [one], P95, Policy()) is None
    assert scaled_shift([one], [nothing], P95, Policy()) is None
    assert scaled_shift([one], [], P95, Policy()) is None


def test_a_baseline_that_is_nothing_is_left_out_alone() -> None:
    assert shift(1.0, [1.0, 0.0, 1.0]).k == 2


@given(TIME, st.lists(TIME, min_size=1, max_size=12), st.floats(1e-3, 1e3))
def test_scaling_all_times_changes_nothing_relative(current: float, before: list[float], factor: float) -> None:
    one, other = shift(current, before), shift(current * factor, [value * factor for value in before])
    assert other.worse == pytest.approx(one.worse, abs=1e-9)
    assert (other.p, other.change, other.change_low, other.change_high, other.noise) == pytest.approx(
        (one.p, one.change, one.change_low, one.change_high, one.noise), rel=1e-6, abs=1e-9
    )
    assert other.baseline == pytest.approx(one.baseline * factor)


@given(TIME, TIME)
def test_swapping_one_run_with_one_baseline_mirrors_the_move(a: float, b: float) -> None:
    forth, back = shift(a, [b]), shift(b, [a])
    assert forth.worse == pytest.approx(-back.worse)
    assert forth.p == pytest.approx(back.p_better)
    assert forth.p_better == pytest.approx(back.p)


@given(TIME, st.lists(TIME, min_size=1, max_size=12))
def test_the_interval_holds_the_change_and_the_two_p_make_one(current: float, before: list[float]) -> None:
    found = shift(current, before)
    assert found.change is not None
    assert found.change_low is not None
    assert found.change_high is not None
    assert found.change_low <= found.change <= found.change_high
    assert found.p + found.p_better == pytest.approx(1.0)
    assert found.upper > found.worse


@given(st.lists(TIME, min_size=1, max_size=12), TIME, TIME)
def test_a_slower_run_never_looks_less_suspicious(before: list[float], one: float, other: float) -> None:
    faster, slower = sorted((one, other))
    assert shift(slower, before).p <= shift(faster, before).p + 1e-12


@given(TIME, st.lists(TIME, min_size=5, max_size=12), st.integers(1, 40))
def test_a_larger_family_sees_no_smaller_changes(current: float, before: list[float], family: int) -> None:
    found = shift(current, before)
    smaller, larger = (found.detectable(m, Policy(), repeated=True) for m in (family, family + 1))
    assert smaller is not None
    assert larger is not None
    assert larger >= smaller
