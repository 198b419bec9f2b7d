"""From scores at several loads to the load at which they cross zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.analysis.capacity.estimate import BETWEEN, by_load, capacity_of, crossing_of, monotone
from velro_gate.model.capacity import Trial


def trial(load: float, score: float, *, error: float = 0.05, seconds: float = 10.0, drowned: bool = False) -> Trial:
    return Trial(load=load, score=score, error=error, seconds=seconds, throughput=load, drowned=drowned)


def line(capacity: float, noise: float = 0.0, *, slope: float = 5.0, seed: int = 1) -> list[Trial]:
    """Trials about a capacity whose scores rise with the logarithm of the load."""
    random = np.random.default_rng(seed)
    loads = [capacity * factor for factor in (0.5, 0.9, 0.94, 0.97, 1.0, 1.03, 1.06, 1.5)]
    return [trial(load, slope * math.log(load / capacity) + noise * random.normal()) for load in loads]


@given(st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=12), st.integers(0, 10))
def test_monotone_values_rise_and_keep_the_weighted_mean(values: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 3.0, len(values))
    made = monotone(np.array(values), weights)
    assert bool((np.diff(made) >= -1e-12).all())
    assert float(weights @ made) == pytest.approx(float(weights @ np.array(values)), abs=1e-9)


def test_values_that_rise_stay_as_they_are() -> None:
    assert monotone(np.array([-1.0, 0.0, 2.0]), np.ones(3)).tolist() == [-1.0, 0.0, 2.0]


def test_the_capacity_is_where_the_scores_cross_zero() -> None:
    found = capacity_of(line(400.0))
    assert found is not None
    assert found.value == pytest.approx(400.0, rel=0.005)
    assert found.low < 400.0 < found.high


def test_trials_that_lie_on_a_line_exactly_still_leave_what_whole_searches_differ_by() -> None:
    for capacity in (3.0, 400.0, 90_000.0):
        found, crossing = capacity_of(line(capacity)), crossing_of(line(capacity))
        assert found is not None
        assert crossing is not None
        assert found.value == crossing.value
        assert found.low <= min(crossing.low, found.value * math.exp(-1.96 * BETWEEN))
        assert found.high >= max(crossing.high, found.value * math.exp(1.96 * BETWEEN))


def test_the_interval_holds_the_capacity_in_most_of_many_noisy_searches() -> None:
    held = 0
    for seed in range(60):
        found = capacity_of(line(400.0, 0.15, seed=seed))
        assert found is not None
        held += found.low <= 400.0 <= found.high
    assert held >= 50


@pytest.mark.parametrize("score", [-0.5, 0.5])
def test_there_is_no_capacity_where_all_loads_lie_on_one_side(score: float) -> None:
    assert capacity_of([trial(100.0, score), trial(200.0, score)]) is None


def test_one_load_shows_no_capacity() -> None:
    assert capacity_of([trial(100.0, -0.5), trial(100.0, 0.5)]) is None


def test_a_drowned_service_counts_as_missed_and_no_more() -> None:
    wild = [*line(400.0)[:-1], trial(600.0, 9.0, drowned=True)]
    tame = [*line(400.0)[:-1], trial(600.0, 1.0)]
    assert capacity_of(wild) == capacity_of(tame)


def test_short_trials_next_to_long_ones_do_not_move_the_estimate() -> None:
    long = [trial(400.0 * f, 5.0 * math.log(f), seconds=30.0) for f in (0.95, 0.98, 1.02, 1.05)]
    # Short ones see fewer slow moments, so they look better than the service is.
    short = [trial(400.0 * f, 5.0 * math.log(f) - 0.3, seconds=8.0) for f in (0.93, 0.96, 1.01, 1.1)]
    found = capacity_of([*long, *short])
    assert found is not None
    assert found.value == pytest.approx(400.0, rel=0.01)


def test_two_trials_of_one_load_are_more_certain_than_one_unless_they_disagree() -> None:
    (one,) = by_load([trial(100.0, 0.1)])
    (agreed,) = by_load([trial(100.0, 0.1), trial(100.0, 0.1)])
    (torn,) = by_load([trial(100.0, -0.6), trial(100.0, 0.6)])
    assert agreed.error < one.error < torn.error
    assert agreed.certain
    assert not torn.certain
