"""Simulated services whose capacity is known, and searches on them."""

from __future__ import annotations

import numpy as np
import pytest

from velro_gate.evaluation.results import Amount
from velro_gate.evaluation.simulated.queues import (
    Queue,
    Searched,
    capacity_figures,
    response_times,
    search,
    stretch,
    true_capacity,
)
from velro_gate.model.record import Estimate

SMALL = Queue(workers=2, service=0.02, limit=0.1, constant=True)


def test_requests_wait_for_the_first_worker_that_is_free() -> None:
    times = response_times(np.array([0.0, 0.1, 0.2]), np.array([1.0, 1.0, 1.0]), 2)
    assert times.tolist() == pytest.approx([1.0, 1.0, 1.8])


def test_the_simulated_queue_has_the_known_times_of_one_worker() -> None:
    # M/M/1 at rho = .5: the response time is exponential with mean 1 / (mu - lambda), so p95 = 3 / (mu - lambda).
    random = np.random.default_rng(3)
    due = np.cumsum(random.exponential(1.0 / 50.0, 200_000))
    times = response_times(due, random.exponential(0.01, 200_000), 1)
    assert float(np.quantile(times, 0.95)) == pytest.approx(-np.log(0.05) / 50.0, rel=0.05)


def test_a_stretch_is_scored_by_the_limit_of_its_service() -> None:
    random = np.random.default_rng(1)
    assert stretch(SMALL, 30.0, 10.0, random).score < 0.0
    assert stretch(SMALL, 120.0, 10.0, random).score > 0.0


@pytest.mark.slow
def test_a_search_comes_near_the_known_capacity_within_its_time() -> None:
    truth = true_capacity(SMALL, seconds=400.0)
    assert 0.8 * SMALL.saturation < truth < SMALL.saturation
    found = search(SMALL, 5)
    assert found.capacity is not None
    assert found.capacity.value == pytest.approx(truth, rel=0.1)
    assert found.minutes <= 10.5


def test_searches_count_as_near_within_five_percent() -> None:
    made = [Searched(capacity=Estimate(value=v, low=90.0, high=v, n=9), minutes=4.0, trials=9) for v in (96.0, 104.0, 94.0)]
    near, held, minutes = capacity_figures("name", [*made, Searched(capacity=None, minutes=4.0, trials=3)], 100.0)
    assert not isinstance(near, Amount)
    assert not isinstance(held, Amount)
    assert (near.hits, near.count, near.reached) == (2, 4, False)
    assert held.hits == 1
    assert isinstance(minutes, Amount)
    assert minutes.value == pytest.approx(4.0)
