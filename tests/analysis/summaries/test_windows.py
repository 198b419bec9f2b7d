"""Windows: where each second of a stretch goes, for charts and for "sustained"."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import run_of, samples, window
from velro_gate.analysis.summaries.windows import Grid, chart_grid, chart_windows, connected_in, rates_by_step, sustained_rates
from velro_gate.model.run import Tick
from velro_gate.model.samples import Outcome, Samples


@given(st.floats(0.01, 4000.0), st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_the_windows_of_a_grid_cover_the_stretch_without_a_gap(seconds: float, width: float) -> None:
    edges = Grid(seconds=seconds, width=width).edges
    assert edges[0] == 0.0
    assert edges[-1] == seconds
    assert (np.diff(edges) > 0.0).all()
    assert np.diff(edges).max() <= width + 0.1 + 1e-9


@given(st.floats(0.01, 4000.0), st.sampled_from([0.5, 1.0, 2.0, 10.0]), st.floats(0.0, 1.0, exclude_max=True))
def test_each_time_lies_between_the_edges_of_its_window(seconds: float, width: float, share: float) -> None:
    grid = Grid(seconds=seconds, width=width)
    time = share * seconds
    index = int(grid.index(np.array([time]))[0])
    if time < seconds:
        assert grid.edges[index] - 1e-9 <= time <= grid.edges[index + 1]


def test_times_outside_the_stretch_have_no_window() -> None:
    found = Grid(seconds=20.0, width=10.0).index(np.array([-0.001, 0.0, 9.999, 10.0, 19.999, 20.0]))
    assert found.tolist() == [-1, 0, 0, 1, 1, -1]


def test_a_stretch_that_ends_a_little_late_or_early_keeps_its_number_of_windows() -> None:
    assert [Grid(seconds=s, width=10.0).count for s in (59.95, 60.0, 60.05)] == [6, 6, 6]
    assert Grid(seconds=59.95, width=10.0).whole.all()


def test_a_rest_at_the_end_is_a_window_but_no_whole_one() -> None:
    grid = Grid(seconds=65.0, width=10.0)
    assert grid.count == 7
    assert grid.whole.tolist() == [True] * 6 + [False]


def test_the_only_window_counts_as_whole() -> None:
    assert Grid(seconds=3.0, width=10.0).whole.tolist() == [True]


@pytest.mark.parametrize(("seconds", "width"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0)])
def test_a_grid_without_length_is_refused(seconds: float, width: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Grid(seconds=seconds, width=width)


@pytest.mark.parametrize(
    ("seconds", "width"), [(3.0, 0.5), (8.0, 1.0), (12.0, 1.0), (30.0, 2.0), (60.0, 10.0), (600.0, 10.0), (1800.0, 10.0)]
)
def test_charts_have_windows_of_10_s_or_shorter_ones_so_that_there_are_enough(seconds: float, width: float) -> None:
    grid = chart_grid(seconds)
    assert grid.width == width
    assert 6 <= grid.count <= 180


def test_rates_are_counted_by_step_and_together() -> None:
    times = np.array([0.0, 1.0, 11.0, 12.0, 13.0, 25.0, -1.0])
    step = np.array([0, 1, 0, 0, 1, 1, 0], np.uint16)
    rates = rates_by_step(times, step, 2, Grid(seconds=30.0, width=10.0))
    assert (rates * 10.0).round().tolist() == [[1, 2, 0], [1, 1, 1], [2, 3, 1]]


@given(st.lists(st.floats(0.0, 39.999), max_size=200), st.integers(1, 3))
def test_the_rates_of_the_steps_add_up_to_that_of_all(times: list[float], steps: int) -> None:
    step = np.array([i % steps for i in range(len(times))], np.uint16)
    rates = rates_by_step(np.array(times, np.float64), step, steps, Grid(seconds=40.0, width=10.0))
    assert rates[:-1].sum(axis=0) == pytest.approx(rates[-1])
    assert rates[-1].sum() * 10.0 == pytest.approx(len(times))


def test_sustained_rates_are_those_of_whole_10_s_stretches() -> None:
    tens = [window(0.0, 1000), window(10.0, 900), window(20.0, 400, seconds=5.0)]
    assert sustained_rates(tens) == (100.0, 90.0)


def test_sustained_rates_are_put_together_from_shorter_windows() -> None:
    twos = [window(2.0 * i, 100 + i, seconds=2.0) for i in range(11)]
    assert sustained_rates(twos) == (51.0, 53.5)


def test_a_stretch_under_10_s_has_one_sustained_rate() -> None:
    assert sustained_rates([window(float(i), 100, seconds=1.0) for i in range(8)]) == (100.0,)


def test_without_windows_there_is_no_sustained_rate() -> None:
    assert sustained_rates([]) == ()


def test_good_answers_count_in_the_window_in_which_they_come_and_latencies_where_they_fell_due() -> None:
    """A request that falls due in one window and is answered in the next."""
    measured = samples([10.5, 12.9], [0.1, 0.4])
    found = chart_windows(measured, run_of(measured, seconds=8.0))
    assert [w.ok for w in found[:4]] == [1, 0, 0, 1]
    assert [w.sent for w in found[:4]] == [1, 0, 1, 0]
    assert found[2].p50 == pytest.approx(0.4)
    assert found[3].p50 is None


def test_answers_to_requests_of_the_ramp_count_when_they_come_later() -> None:
    measured = samples([9.8], [0.5])
    assert chart_windows(measured, run_of(measured, seconds=8.0))[0].ok == 1


def test_failures_are_counted_and_cancelled_requests_are_neither_ok_nor_failed() -> None:
    measured = samples([10.1, 10.2, 10.3, 10.4], outcome=[Outcome.OK, Outcome.TIMEOUT, Outcome.STATUS, Outcome.CANCELLED])
    first = chart_windows(measured, run_of(measured, seconds=8.0))[0]
    assert (first.sent, first.ok, first.failed) == (4, 1, 2)


def test_a_window_without_requests_has_no_latency_rather_than_latency_0() -> None:
    first = chart_windows(Samples.empty(), run_of(Samples.empty(), seconds=8.0))[0]
    assert (first.p50, first.p95, first.p99, first.hit_rate, first.lateness_p99) == (None,) * 5
    assert (first.sent, first.ok, first.rate) == (0, 0, 0.0)


def test_hits_of_each_layer_and_misses_have_their_median_times_of_the_good_answers() -> None:
    measured = samples([10.1, 10.2, 10.3, 10.4, 10.5], cache=[0, 1, 2, 3, 2], outcome=[0, 0, 0, 0, 1])
    first = chart_windows(measured, run_of(measured, seconds=8.0), ["memory", "redis"])[0]
    assert set(first.cache_p50) == {"miss", "memory", "redis"}
    assert first.cache_p50["memory"] == pytest.approx(measured.response_time[2])


def test_the_hit_rate_counts_only_answers_that_name_the_cache() -> None:
    measured = samples([10.1, 10.2, 10.3, 10.4, 10.5], cache=[0, 1, 2, 3, 2])
    assert chart_windows(measured, run_of(measured, seconds=8.0))[0].hit_rate == 0.75


def test_an_unmeasured_phase_has_no_windows() -> None:
    assert chart_windows(samples([9.0]), run_of(samples([9.0]), seconds=0.0)) == ()


def test_latencies_of_each_window_are_numpys_quantiles() -> None:
    random = np.random.default_rng(1)
    due = random.uniform(10.0, 70.0, 3000)
    response = random.lognormal(-4, 0.5, 3000)
    measured = samples(due, response)
    for found in chart_windows(measured, run_of(measured)):
        inside = (due - 10.0 >= found.start) & (due - 10.0 < found.start + found.seconds)
        reference = np.quantile(measured.response_time[inside], [0.5, 0.95, 0.99])
        assert [found.p50, found.p95, found.p99] == pytest.approx(reference.tolist())


def tick(at: float, connected: int) -> Tick:
    return Tick(at=at, connected=connected, in_flight=0, sent=0, ok=0, failed=0)


def test_connected_users_are_the_least_in_each_window_and_carried_over_a_silent_one() -> None:
    ticks = [tick(9.0, 40), tick(10.0, 50), tick(11.0, 45), tick(25.0, 50)]
    assert connected_in(ticks, np.array([10.0, 20.0, 22.0, 30.0])) == [45, 45, 50]
    assert connected_in([], np.array([0.0, 1.0])) == [0]
