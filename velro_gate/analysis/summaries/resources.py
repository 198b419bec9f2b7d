"""What the monitor read over a measured stretch: summaries of each watched value, and the figures that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from velro_gate.analysis.summaries.growth import growth, relative_growth
from velro_gate.arrays import Floats
from velro_gate.model.metric.own import BOUND, OWN
from velro_gate.model.metrics import METRICS
from velro_gate.model.readings import is_counter
from velro_gate.model.record import Estimate, ResourceSummary
from velro_gate.model.run import PhaseRun, Reading

ResourceSeries = Mapping[tuple[str, str], tuple[Floats, Floats]]
"""(source, name) -> times and values, sorted by time; finite values only."""


def series_of(readings: Sequence[Reading]) -> ResourceSeries:
    """The readings as one series for each watched value."""
    grouped: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for reading in readings:
        grouped.setdefault((reading.source, reading.name), []).append((reading.at, reading.value))
    series = {}
    for key, pairs in sorted(grouped.items()):
        table = np.array(sorted(pairs), np.float64)
        table = table[np.isfinite(table).all(axis=1)]
        if len(table):
            series[key] = (table[:, 0], table[:, 1])
    return series


def resource_summaries(series: ResourceSeries, run: PhaseRun) -> tuple[ResourceSummary, ...]:
    """Least, median and most of each watched value over the measured stretch, and of a counter its rate; what was never read in
    it is left out, and so are the buckets of histograms.
    """
    found = []
    for (source, name), (at, value) in series.items():
        measured = (at >= run.measured_from) & (at < run.measured_until)
        inside = value[measured]
        if len(inside) and not (source == OWN and BOUND in name):
            counter = is_counter(source, name)
            found.append(
                ResourceSummary(
                    source=source,
                    name=name,
                    least=float(inside.min()),
                    median=float(np.median(inside)),
                    most=float(inside.max()),
                    n=len(inside),
                    rate=_rate(at[measured], inside) if counter else None,
                    falls=int((np.diff(inside) < 0.0).sum()) if counter else 0,
                )
            )
    return tuple(found)


def _rate(at: Floats, value: Floats) -> float | None:
    """What a counter rose by in a second; None with fewer than two readings, or when it fell, since it started again then."""
    if len(value) < 2 or bool((np.diff(value) < 0.0).any()):
        return None
    return float((value[-1] - value[0]) / (at[-1] - at[0])) if at[-1] > at[0] else None


def resource_measurements(
    series: ResourceSeries, resources: Sequence[ResourceSummary], run: PhaseRun, ok: int
) -> dict[str, Estimate]:
    """The metrics that are made of readings, as far as they were read: the median of their series by default.

    ok: successful responses of the measured stretch.
    """
    median = {(r.source, r.name): Estimate.exact(r.median, n=r.n) for r in resources}
    made = {
        "rss_growth": _memory_growth(series, run),
        "rss_growth_share": _relative_growth(series, "rss", run),
        "descriptor_growth_share": _relative_growth(series, "descriptors", run),
        "cpu_per_1000": _cpu_per_1000(series, run, ok),
    }
    found: dict[str, Estimate | None] = {}
    for metric in METRICS.values():
        if metric.readings:
            medians = (replace(median[each.key], origin=each.origin) for each in metric.readings if each.key in median)
            found[metric.name] = made[metric.name] if metric.name in made else next(medians, None)
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _memory_growth(series: ResourceSeries, run: PhaseRun) -> Estimate | None:
    """The slope of the service's resident memory; None when the readings cover less than half of the stretch."""
    at, value = series.get(("service", "rss"), (np.empty(0), np.empty(0)))
    inside = (at >= run.measured_from) & (at < run.measured_until)
    at, value = at[inside], value[inside]
    if len(at) < 2 or at[-1] - at[0] < (run.measured_until - run.measured_from) / 2.0:
        return None
    return growth(at, value)


def _relative_growth(series: ResourceSeries, name: str, run: PhaseRun) -> Estimate | None:
    at, value = series.get(("service", name), (np.empty(0), np.empty(0)))
    return relative_growth(at, value, begin=run.measured_from, end=run.measured_until)


def _cpu_per_1000(series: ResourceSeries, run: PhaseRun, ok: int) -> Estimate | None:
    """CPU-seconds of the service for 1,000 successful responses, from a cumulative counter.

    None when the readings cover less than half of the stretch, or when the counter fell: then the service was restarted and
    its figure means nothing.
    """
    at, used = series.get(("service", "cpu_seconds"), (np.empty(0), np.empty(0)))
    seconds = run.measured_until - run.measured_from
    if len(at) < 2 or not ok or seconds <= 0.0:
        return None
    first, last = max(run.measured_from, float(at[0])), min(run.measured_until, float(at[-1]))
    if last - first < seconds / 2.0 or bool((np.diff(used) < 0.0).any()):
        return None
    # Between two readings the counter is taken to rise evenly, and outside of them as fast as within.
    begin, end = np.interp((first, last), at, used).tolist()
    return Estimate.exact((end - begin) / (last - first) * seconds / ok * 1000.0, n=ok)
