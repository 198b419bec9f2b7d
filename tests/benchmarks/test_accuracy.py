from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accuracy import paired, stopped_quantile
from benchmarks.truth import Log
from velro_gate.model.samples import COLUMNS, Samples

pytestmark = pytest.mark.slow

RATE, PERIOD, BEGAN = 1_000.0, 60.0, 20.0


def simulated(delay: float, stop: float, drained: float) -> np.ndarray:
    """Response times of evenly spaced requests to a server that is stopped once, request by request."""
    due = (np.arange(int(RATE * PERIOD)) + 0.5) / RATE
    resumed = BEGAN + stop
    response = np.full(len(due), delay)
    in_flight = (due > BEGAN - delay) & (due < BEGAN)
    response[in_flight] = np.maximum(resumed - due[in_flight], delay)
    free = resumed
    for index in np.flatnonzero(due >= BEGAN):
        read = max(free, due[index])
        # The backlog is gone: whatever comes later is read at once.
        if read == due[index]:
            break
        response[index] = read + delay - due[index]
        free = read + 1.0 / drained
    return response


@given(
    delay=st.floats(min_value=0.001, max_value=0.2),
    stop=st.floats(min_value=2.9, max_value=3.1),
    drained=st.floats(min_value=1_500.0, max_value=100_000.0),
    rank=st.sampled_from([0.96, 0.97, 0.98, 0.99]),
)
def test_the_analytic_quantile_is_the_simulated_one(delay: float, stop: float, drained: float, rank: float) -> None:
    analytic = stopped_quantile(rank, delay=delay, stop=stop, period=PERIOD, backlog_share=RATE / drained)
    assert analytic == pytest.approx(np.quantile(simulated(delay, stop, drained), rank), rel=0.01, abs=0.005)


def test_at_the_95th_percentile_of_a_stop_of_a_twentieth_two_delays_and_the_backlog_remain() -> None:
    found = stopped_quantile(0.95, delay=0.075, stop=3.0, period=60.0, backlog_share=0.04)
    assert found == pytest.approx(2 * 0.075 + 0.04 * (3.0 - 0.075))
    assert found == pytest.approx(np.quantile(simulated(0.075, 3.0, 25_000.0), 0.95), rel=0.02)


def test_a_rank_that_the_stop_does_not_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="held up"):
        stopped_quantile(0.5, delay=0.01, stop=3.0, period=60.0, backlog_share=0.04)


def samples(user: list[int], sent: list[float]) -> Samples:
    columns = {name: np.zeros(len(user), kind) for name, kind in COLUMNS.items()}
    times = np.array(sent)
    return Samples(**{**columns, "user": np.array(user, np.uint32), "due": times, "sent": times, "done": times + 1.0})


def log(user: list[int], arrived: list[float]) -> Log:
    times = np.array(arrived)
    return Log(arrived=times, answered=times + 0.5, injected=np.full(len(user), 0.5), user=np.array(user, np.uint32))


def test_requests_are_paired_by_user_and_order_whatever_order_they_were_kept_in() -> None:
    ours, theirs = samples([1, 2, 1], [1.0, 2.0, 3.0]), log([2, 1, 1], [2.1, 1.1, 3.1])
    left, right = paired(ours, theirs)
    assert np.allclose(theirs.arrived[right] - ours.sent[left], 0.1)


@pytest.mark.parametrize("users", [[1, 1], [1, 1, 1], [1, 2, 3]])
def test_two_sides_that_do_not_hold_the_same_requests_are_not_paired(users: list[int]) -> None:
    with pytest.raises(ValueError, match="same requests"):
        paired(samples([1, 1, 2], [1.0, 2.0, 3.0]), log(users, [1.1, 2.1, 3.1][: len(users)]))
