"""A scenario's own metrics over time: each window has the figure of what lies in it, and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import STEPS, run_of, samples
from velro_gate.analysis.summaries.own.windows import own_by_window
from velro_gate.analysis.summaries.resources import ResourceSeries
from velro_gate.analysis.summaries.windows import Grid
from velro_gate.model.metric.own import BOUND, OWN, MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType

GRID = Grid(seconds=60.0, width=10.0)
SECONDS = np.arange(5.0, 76.0)
"""Readings of a run in which ten seconds of ramp come before the measured minute."""


def metric(origin: MetricOrigin = MetricOrigin.PROMETHEUS, value: OwnValue = OwnValue.MEAN, **rest: object) -> OwnMetric:
    return OwnMetric(name="m", origin=origin, value=value, unit=OwnUnit.COUNT, **rest)  # type: ignore[arg-type]


def over_time(wanted: OwnMetric, series: ResourceSeries, response: float = 0.02) -> list[float | None]:
    rows = samples(np.sort(np.concatenate([np.arange(10.0, 70.0), np.arange(10.1, 70.0)])), response, step=np.tile([0, 1], 60))
    found = own_by_window([wanted], series, run_of(rows), rows, STEPS, GRID)
    assert len(found) == GRID.count
    return [window.get(wanted.metric) for window in found]


def test_a_gauge_has_the_figure_of_the_readings_in_each_window_in_base_units() -> None:
    series = {(OWN, "m"): (SECONDS, np.floor((SECONDS - 10.0) / 10.0))}
    assert over_time(metric(factor=0.5), series) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


@given(st.lists(st.floats(0.0, 100.0), min_size=len(SECONDS), max_size=len(SECONDS)))
def test_the_rises_of_a_counter_add_up_to_its_rise_over_the_stretch(steps: list[float]) -> None:
    value = np.cumsum(steps)
    found = over_time(metric(value=OwnValue.SUM, series=SeriesType.COUNTER), {(OWN, "m"): (SECONDS, value)})
    whole = np.interp(70.0, SECONDS, value) - np.interp(10.0, SECONDS, value)
    assert sum(one or 0.0 for one in found) == pytest.approx(float(whole), abs=1e-6)


def test_a_counter_that_falls_or_is_not_read_has_no_rate() -> None:
    counter = metric(value=OwnValue.RATE, series=SeriesType.COUNTER)
    assert over_time(counter, {(OWN, "m"): (SECONDS, 3.0 * SECONDS)}) == pytest.approx([3.0] * 6)
    assert over_time(counter, {(OWN, "m"): (SECONDS, np.where(SECONDS == 30.0, 0.0, SECONDS))}) == [None] * 6
    half = SECONDS < 40.0
    assert over_time(counter, {(OWN, "m"): (SECONDS[half], 3.0 * SECONDS[half])})[3:] == [None] * 3
    assert over_time(counter, {}) == [None] * 6


def test_a_histogram_has_the_quantile_of_what_came_into_its_buckets_in_each_window() -> None:
    late = np.maximum(SECONDS - 40.0, 0.0)
    series = {
        (OWN, f"m{BOUND}0.1"): (SECONDS, 10.0 * (SECONDS - late)),
        (OWN, f"m{BOUND}1"): (SECONDS, 10.0 * SECONDS),
        (OWN, f"m{BOUND}+Inf"): (SECONDS, 10.0 * SECONDS),
    }
    found = over_time(metric(value=OwnValue.P50, series=SeriesType.HISTOGRAM), series)
    assert found == pytest.approx([0.05] * 3 + [0.55] * 3)


def test_values_of_responses_are_counted_where_their_requests_fell_due() -> None:
    at = np.arange(10.0, 40.0, 0.5)
    share = metric(MetricOrigin.HEADER, OwnValue.SHARE, equals="HIT")
    found = over_time(share, {(OWN, "m"): (at, (at < 20.0).astype(float))})
    assert (found[0], found[3:]) == (1.0, [None] * 3)
    assert over_time(metric(MetricOrigin.JSON, OwnValue.RATE), {(OWN, "m"): (at, np.full(len(at), 2.0))})[0] == 4.0


def test_the_time_of_a_group_of_steps_belongs_to_the_window_in_which_the_pass_began() -> None:
    group = metric(MetricOrigin.STEPS, OwnValue.P95, steps=STEPS[:2])
    assert over_time(group, {}) == pytest.approx([0.04] * 6)
