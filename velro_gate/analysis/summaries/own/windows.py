"""The metrics that a scenario defines itself, over time: their values in each window of a measured stretch.

A counter is read at the edges of a window by interpolating between two readings; a window that the readings do not cover has no
value, and neither has a counter that falls anywhere in the stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from velro_gate.analysis.summaries.own.figures import bucket_names, bucket_quantile, gauge_figure, passes_of, response_figure
from velro_gate.analysis.summaries.resources import ResourceSeries
from velro_gate.analysis.summaries.windows import Grid
from velro_gate.arrays import Floats
from velro_gate.model.metric.own import BOUND, OWN, MetricOrigin, OwnMetric, OwnValue, SeriesType
from velro_gate.model.record import Estimate
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import Samples

_Values = list[float | None]
_Figure = Callable[[Floats, float], Estimate | None]
"""Of the values in a window, and its seconds."""


def own_by_window(
    metrics: Sequence[OwnMetric], series: ResourceSeries, run: PhaseRun, rows: Samples, steps: Sequence[str], grid: Grid
) -> list[dict[str, float]]:
    """For each window of the grid the metrics that were measured in it, by their names in the registry, in base units.

    rows: the samples of the measured stretch.
    """
    found: list[dict[str, float]] = [{} for _ in range(grid.count)]
    for metric in metrics:
        for window, value in zip(found, _values(metric, series, run, rows, steps, grid), strict=True):
            if value is not None:
                window[metric.metric] = value * metric.factor
    return found


def _values(
    metric: OwnMetric, series: ResourceSeries, run: PhaseRun, rows: Samples, steps: Sequence[str], grid: Grid
) -> _Values:
    if metric.origin is MetricOrigin.STEPS:
        group = [steps.index(step) for step in metric.steps if step in steps]
        at, times = passes_of(rows, group) if len(group) == len(metric.steps) else (np.empty(0), np.empty(0))
        return _each(at - run.measured_from, times, grid, lambda part, _: response_figure(metric.value, part, 1.0))
    if metric.series is SeriesType.HISTOGRAM:
        return _of_buckets(metric, series, run, grid)
    at, value = series.get((OWN, metric.name), (np.empty(0), np.empty(0)))
    if metric.origin.of_responses:
        return _each(at - run.measured_from, value, grid, lambda part, seconds: response_figure(metric.value, part, seconds))
    if metric.series is SeriesType.COUNTER:
        rises, widths = _rises((at, value), run, grid), np.diff(grid.edges)
        shown = rises / widths if metric.value is OwnValue.RATE else rises
        return [None if np.isnan(one) else float(one) for one in shown]
    return _each(at - run.measured_from, value, grid, lambda part, _: gauge_figure(metric.value, part))


def _each(at: Floats, value: Floats, grid: Grid, figure: _Figure) -> _Values:
    """What is made of the values in each window."""
    index = grid.index(at)
    inside = index >= 0
    order = np.argsort(index[inside], kind="stable")
    parts = np.split(value[inside][order], np.cumsum(np.bincount(index[inside], minlength=grid.count))[:-1])
    made = [figure(part, float(width)) for part, width in zip(parts, np.diff(grid.edges), strict=True)]
    return [None if one is None else one.value for one in made]


def _rises(of: tuple[Floats, Floats], run: PhaseRun, grid: Grid) -> Floats:
    """By how much a counter rose in each window; NaN where the readings cover less than half of it. of: the whole series."""
    at, value = of[0] - run.measured_from, of[1]
    inside = (at >= 0.0) & (at < grid.seconds)
    if int(inside.sum()) < 2 or bool((np.diff(value[inside]) < 0.0).any()):
        return np.full(grid.count, np.nan)
    edges = np.clip(grid.edges, at[0], at[-1])
    covered, widths = np.diff(edges), np.diff(grid.edges)
    known = covered >= widths / 2.0
    rises: Floats = np.where(known, np.diff(np.interp(edges, at, value)) * widths / np.where(known, covered, 1.0), np.nan)
    # A counter that began again before or after the stretch.
    return np.where(rises >= 0.0, rises, np.nan)


def _of_buckets(metric: OwnMetric, series: ResourceSeries, run: PhaseRun, grid: Grid) -> _Values:
    rises: Mapping[float, Floats] = {
        bound: _rises(series[OWN, name], run, grid) for bound, name in bucket_names(series, metric.name + BOUND).items()
    }
    found: _Values = []
    for window in range(grid.count):
        here = {bound: float(rise[window]) for bound, rise in rises.items()}
        made = None if any(np.isnan(rise) for rise in here.values()) else bucket_quantile(metric.value, here)
        found.append(None if made is None else made.value)
    return found
