"""The metrics that a scenario defines itself, from the readings and the samples of a measured stretch.

A figure that the readings do not give is absent: a counter that fell began again or is several workers' in turn, so nothing is
made of it, and readings over less than half of the stretch show no rise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.statistics.intervals import Z, rank_range, wilson
from velro_gate.analysis.summaries.quantiles import sample_quantile
from velro_gate.analysis.summaries.resources import ResourceSeries
from velro_gate.arrays import Floats
from velro_gate.model.metric.own import BOUND, OWN, MetricOrigin, OwnMetric, OwnValue, SeriesType
from velro_gate.model.readings import plausible
from velro_gate.model.record import Estimate
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import Samples

_MOST_COUNTED = 10**15
"""Observations of a histogram whose count a float still holds exactly: a service may report any number."""


def own_measurements(
    metrics: Sequence[OwnMetric], series: ResourceSeries, run: PhaseRun, rows: Samples, steps: Sequence[str]
) -> dict[str, Estimate]:
    """Each of them that was measured, by its name in the registry. rows: the samples of the measured stretch."""
    found = {metric: _measured(metric, series, run, rows, steps) for metric in metrics}
    return {metric.metric: _scaled(estimate, metric.factor) for metric, estimate in found.items() if estimate is not None}


def _scaled(found: Estimate, factor: float) -> Estimate:
    if factor == 1.0:
        return found
    return replace(found, value=found.value * factor, low=found.low * factor, high=found.high * factor)


def _measured(metric: OwnMetric, series: ResourceSeries, run: PhaseRun, rows: Samples, steps: Sequence[str]) -> Estimate | None:
    if metric.origin is MetricOrigin.STEPS:
        group = [steps.index(step) for step in metric.steps if step in steps]
        times = group_times(rows, group) if len(group) == len(metric.steps) else np.empty(0)
        return _of_times(metric.value, times)
    if metric.series is SeriesType.HISTOGRAM:
        return _of_buckets(metric, series, run)
    at, value = _inside(series, metric.name, run)
    if metric.origin.of_responses:
        return response_figure(metric.value, value, run.measured_until - run.measured_from)
    if metric.series is SeriesType.COUNTER:
        return _of_counter(metric.value, at, value, run)
    return gauge_figure(metric.value, value)


def _inside(series: ResourceSeries, name: str, run: PhaseRun) -> tuple[Floats, Floats]:
    at, value = series.get((OWN, name), (np.empty(0), np.empty(0)))
    inside = (at >= run.measured_from) & (at < run.measured_until)
    return at[inside], value[inside]


def response_figure(wanted: OwnValue, value: Floats, seconds: float) -> Estimate | None:
    """What is made of the values of responses within as many seconds."""
    n = len(value)
    if not n:
        return None
    match wanted:
        case OwnValue.SHARE:
            return wilson(int(value.sum()), n)
        case OwnValue.SUM:
            return Estimate.exact(float(value.sum()), n=n)
        case OwnValue.RATE:
            return Estimate.exact(float(value.sum()) / seconds, n=n)
        case _:
            return _of_times(wanted, value)


def gauge_figure(wanted: OwnValue, value: Floats) -> Estimate | None:
    """What is made of the values of a gauge."""
    if not len(value):
        return None
    match wanted:
        case OwnValue.MIN:
            figure = float(value.min())
        case OwnValue.MAX:
            figure = float(value.max())
        case OwnValue.MEAN:
            figure = float(value.mean())
        case _:
            figure = sample_quantile(np.sort(value), wanted.rank or 0.5)
    return Estimate.exact(figure, n=len(value))


def _of_counter(wanted: OwnValue, at: Floats, value: Floats, run: PhaseRun) -> Estimate | None:
    seconds = run.measured_until - run.measured_from
    if len(at) < 2 or at[-1] - at[0] < seconds / 2.0 or bool((np.diff(value) < 0.0).any()):
        return None
    rate = float((value[-1] - value[0]) / (at[-1] - at[0]))
    return Estimate.exact(rate if wanted is OwnValue.RATE else rate * seconds, n=len(at))


def _of_buckets(metric: OwnMetric, series: ResourceSeries, run: PhaseRun) -> Estimate | None:
    rises: dict[float, float] = {}
    for bound, name in bucket_names(series, metric.name + BOUND).items():
        _, value = _inside(series, name, run)
        if len(value) < 2 or bool((np.diff(value) < 0.0).any()):
            return None
        rises[bound] = float(value[-1] - value[0])
    return bucket_quantile(metric.value, rises)


def bucket_names(series: ResourceSeries, prefix: str) -> dict[float, str]:
    """The upper bound of each bucket of a histogram with the name of its readings."""
    bounds = {name: _bound(name, prefix) for source, name in series if source == OWN}
    return {bound: name for name, bound in bounds.items() if bound is not None}


def bucket_quantile(wanted: OwnValue, rises: Mapping[float, float]) -> Estimate | None:
    """A quantile as Prometheus computes it: as if the values inside of a bucket were spread evenly. rises: by upper bound."""
    bounds = sorted(rises)
    if not bounds or math.isfinite(bounds[-1]) or rises[bounds[-1]] <= 0.0:
        return None
    n = rises[bounds[-1]]
    rank, counted = (wanted.rank or 0.5) * n, round(min(n, _MOST_COUNTED))
    index = next(place for place, bound in enumerate(bounds) if rises[bound] >= rank)
    upper = bounds[index]
    if not math.isfinite(upper):
        # Beyond the last bound nothing is known but that it is more.
        return Estimate.exact(bounds[-2], n=counted) if len(bounds) > 1 else None
    lower, below = (bounds[index - 1], rises[bounds[index - 1]]) if index else (min(0.0, upper), 0.0)
    within = (rank - below) / (rises[upper] - below) if rises[upper] > below else 1.0
    return Estimate.exact(lower + (upper - lower) * within, n=counted)


def _bound(name: str, prefix: str) -> float | None:
    """The upper bound of a bucket in the name of its reading; None for any other name."""
    try:
        bound = float(name.removeprefix(prefix)) if name.startswith(prefix) else math.nan
    except ValueError:
        return None
    return bound if bound == math.inf else plausible(bound)


def group_times(rows: Samples, group: Sequence[int]) -> Floats:
    """The time of a group of steps in each pass of a user through it, see ``passes_of``."""
    return passes_of(rows, group)[1]


def passes_of(rows: Samples, group: Sequence[int]) -> tuple[Floats, Floats]:
    """When each pass of a user through a group of steps began, and its time: the sum of its response times, pauses left out.

    group: indices of the steps, in the order of a journey. Only a pass in which each of them was taken and succeeded counts.
    """
    nothing = np.empty(0), np.empty(0)
    if len(group) < 1:
        return nothing
    position = np.full(int(rows.step.max(initial=max(group))) + 1, -1)
    position[list(group)] = np.arange(len(group))
    members = rows.where(position[rows.step] >= 0)
    if not len(members):
        return nothing
    order = np.lexsort((members.due, members.user))
    place, user = position[members.step][order], members.user[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (user[1:] != user[:-1]) | (place[1:] <= place[:-1])
    starts: npt.NDArray[np.intp] = np.flatnonzero(begins)
    taken = np.diff(np.append(starts, len(order)))
    whole = np.add.reduceat(members.response_time[order], starts)
    good = np.minimum.reduceat(members.ok[order].astype(np.int8), starts) > 0
    kept = (taken == len(group)) & good
    return members.due[order][starts][kept], whole[kept]


def _of_times(wanted: OwnValue, times: Floats) -> Estimate | None:
    n = len(times)
    if not n:
        return None
    if wanted.rank is not None:
        ordered = np.sort(times)
        value = sample_quantile(ordered, wanted.rank)
        first, last = rank_range(n, wanted.rank)
        return Estimate(value=value, low=min(float(ordered[first]), value), high=max(float(ordered[last]), value), n=n)
    if wanted is OwnValue.MEAN:
        mean = float(times.mean())
        reach = Z * float(times.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
        return Estimate(value=mean, low=mean - reach, high=mean + reach, n=n)
    return Estimate.exact(float(times.min() if wanted is OwnValue.MIN else times.max()), n=n)
