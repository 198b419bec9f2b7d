"""Quantiles of a stretch: exact values, and intervals that cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from velro_gate.analysis.summaries.quantiles import SLICES, Observations, sample_quantile, slices_of, step_quantiles
from velro_gate.arrays import Floats
from velro_gate.model.record import Estimate
from velro_gate.report.text.figures import detail

RANKS = (0.50, 0.90, 0.95, 0.99, 0.999)


def observed(values: Floats, *, step: object = 0, at: Floats | None = None) -> Observations:
    """Values spread evenly over the stretch, all of step 0 unless said otherwise."""
    moments = np.linspace(0.0, 1.0, len(values), endpoint=False) if at is None else at
    steps = np.broadcast_to(np.asarray(step, np.uint16), len(values))
    return Observations(values=values, step=steps, slices=slices_of(moments, 1.0))


def estimate(values: Floats, p: float, at: Floats | None = None) -> Estimate:
    """One quantile of one step."""
    return step_quantiles(observed(values, at=at), 1, (p,))[0][0]


@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(1e-6, 100.0)), st.floats(0.0, 1.0))
def test_the_value_is_numpys_quantile(values: Floats, p: float) -> None:
    assert sample_quantile(np.sort(values), p) == pytest.approx(float(np.quantile(values, p)), rel=1e-12)


@pytest.mark.slow
@settings(deadline=None)
@given(
    arrays(np.float64, st.integers(1, 200), elements=st.floats(0.0, 100.0)),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_quantiles_are_monotone_and_inside_their_intervals_for_any_sample(values: Floats, steps: int, random: object) -> None:
    step = np.array([random.randrange(steps) for _ in values])  # type: ignore[attr-defined]
    for group in step_quantiles(observed(values, step=step), steps, RANKS):
        figures = [found.value for found in group]
        assert figures == sorted(figures)
        assert all(values.min() <= found.low <= found.value for found in group if found.n < 40)


def test_groups_are_the_steps_and_then_all_of_them() -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4])
    first, second, third, together = step_quantiles(observed(values, step=np.array([0, 0, 2, 2])), 3, (0.5,))
    assert first[0].value == pytest.approx(0.15)
    assert second == ()
    assert third[0].value == pytest.approx(0.35)
    assert together[0].value == pytest.approx(0.25)
    assert [group[0].n for group in (first, third, together)] == [2, 2, 4]


def test_without_observations_there_is_no_quantile() -> None:
    assert step_quantiles(observed(np.empty(0)), 2, RANKS) == [(), (), ()]


def test_the_same_samples_give_the_same_interval() -> None:
    values = np.random.default_rng(1).lognormal(-4, 0.5, 5000)
    assert estimate(values, 0.95) == estimate(values, 0.95)


def test_a_constant_has_an_interval_without_width() -> None:
    found = estimate(np.full(5000, 0.02), 0.95)
    assert (found.value, found.low, found.high) == (0.02, 0.02, 0.02)


def test_times_of_zero_are_allowed() -> None:
    found = estimate(np.zeros(5000), 0.99)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.floats(1e-2, 1e2), st.integers(0, 2**31))
def test_scaling_all_times_scales_value_and_interval(factor: float, seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(-3, 0.5, 2000)
    one, other = estimate(values, 0.9), estimate(values * factor, 0.9)
    assert other.value == pytest.approx(one.value * factor, rel=1e-9)
    # Rounding may move a value over the edge of a bin, so the interval's ends are equal to within a part of a bin.
    assert other.low == pytest.approx(one.low * factor, rel=2e-3)
    assert other.high == pytest.approx(one.high * factor, rel=2e-3)


def test_few_observations_beyond_a_quantile_are_said_and_give_a_wide_interval() -> None:
    values = np.random.default_rng(2).lognormal(-4, 0.5, 200)
    found = estimate(values, 0.99)
    assert detail("p99", found) == "only 2 of 200 responses lie beyond it"
    assert found.high == values.max()
    assert detail("p99", estimate(np.random.default_rng(2).lognormal(-4, 0.5, 20_000), 0.99)) == ""


def test_one_observation_is_its_own_interval() -> None:
    found = estimate(np.array([0.3]), 0.95)
    assert (found.value, found.low, found.high, found.n) == (0.3, 0.3, 0.3, 1)


def test_more_observations_give_a_narrower_interval() -> None:
    widths = []
    for n in (500, 5000, 50_000):
        found = estimate(np.random.default_rng(3).lognormal(-4, 0.5, n), 0.95)
        widths.append((found.high - found.low) / found.value)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_a_slow_minute_widens_the_interval_that_shuffled_times_would_not() -> None:
    random = np.random.default_rng(4)
    values = random.lognormal(-4, 0.3, 20_000)
    values[8000:10_000] *= 2.0
    together, shuffled = estimate(values, 0.95), estimate(random.permutation(values), 0.95)
    assert together.value == shuffled.value
    assert together.high - together.low > 3 * (shuffled.high - shuffled.low)


def test_the_interval_for_independent_data_is_that_of_the_order_statistics() -> None:
    values = np.sort(np.random.default_rng(5).lognormal(-4, 0.5, 40_000))
    found = estimate(np.random.default_rng(6).permutation(values), 0.95)
    ranks = stats.binom.ppf((0.025, 0.975), len(values), 0.95).astype(int)
    assert found.high - found.low == pytest.approx(values[ranks[1]] - values[ranks[0]], rel=0.2)


def coverage(draw: object, truth: float, p: float, repetitions: int) -> float:
    """How often the interval holds the true quantile."""
    covered = 0
    for seed in range(repetitions):
        found = estimate(draw(np.random.default_rng(seed)), p)  # type: ignore[operator]
        covered += found.low <= truth <= found.high
    return covered / repetitions


@pytest.mark.slow
@pytest.mark.parametrize(("p", "n"), [(0.5, 1000), (0.95, 1000), (0.95, 300), (0.99, 5000)])
def test_intervals_cover_independent_lognormal_times_in_about_95_percent(p: float, n: int) -> None:
    truth = float(np.exp(0.5 * stats.norm.ppf(p)))
    assert 0.91 <= coverage(lambda random: random.lognormal(0.0, 0.5, n), truth, p, 100) <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize(("p", "rho", "least"), [(0.5, 0.9, 0.88), (0.95, 0.5, 0.88), (0.95, 0.9, 0.86), (0.95, 0.97, 0.78)])
def test_intervals_cover_times_with_a_memory_in_about_95_percent(p: float, rho: float, least: float) -> None:
    """Each slice of time has a level of its own, an AR(1) over the slices: what a naive interval covers in 30 to 60 %."""
    per_slice = 20

    def draw(random: np.random.Generator) -> Floats:
        shocks = random.normal(0.0, np.sqrt(1.0 - rho * rho), SLICES)
        level = np.empty(SLICES)
        level[0] = random.normal()
        for i in range(1, SLICES):
            level[i] = rho * level[i - 1] + shocks[i]
        noise = random.normal(0.0, 0.4, SLICES * per_slice)
        return np.exp(np.repeat(0.3 * level, per_slice) + noise)

    # Level and noise are independent normals: the marginal is lognormal with sd hypot(0.3, 0.4) = 0.5.
    truth = float(np.exp(0.5 * stats.norm.ppf(p)))
    # With rho = 0.97 the stretch holds six independent moments: no method knows its own error well from so few.
    assert least <= coverage(draw, truth, p, 75) <= 0.995
