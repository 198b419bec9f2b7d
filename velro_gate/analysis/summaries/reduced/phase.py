"""One phase, summarised from reduced samples: the figures that the samples themselves would have given, to a stated error.

Counts, rates, sums and the slowest response are exact. A quantile is known to ``bins.ERROR`` of itself, by which its interval
is wider. Experiments, and the times of whole groups of steps, need the samples: such a plan is not reduced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from velro_gate.analysis.summaries import caches, windows
from velro_gate.analysis.summaries.averages import SLICES, mean_and_most
from velro_gate.analysis.summaries.own.figures import own_measurements
from velro_gate.analysis.summaries.own.windows import own_by_window
from velro_gate.analysis.summaries.quantiles import estimates_of
from velro_gate.analysis.summaries.reduced.bins import ERROR, bins_of
from velro_gate.analysis.summaries.reduced.counted import (
    Measurements,
    Tallies,
    books_of,
    cache_hits,
    merged,
    phase_summary,
    shares,
    step_summaries,
    throughputs,
    users_held,
)
from velro_gate.analysis.summaries.reduced.histograms import Histogram, bins_in, ranked, slices_of_cells
from velro_gate.analysis.summaries.reduced.over_time import chart_grid_of, counted_warm_up, rates, window_counts
from velro_gate.analysis.summaries.reduced.ranked import Ranked
from velro_gate.analysis.summaries.reduced.tables import Entries, Kind, Reduced
from velro_gate.analysis.summaries.reduced.undelayed import undelayed_at_best
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.arrays import Ints
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.metrics import Times, quantiles_of
from velro_gate.model.record import CacheLayer, Estimate, PhaseSummary, Window
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome, Samples
from velro_gate.model.scenario import Phase


def summarise_reduced(
    phase: Phase,
    steps: Sequence[str],
    run: PhaseRun,
    tables: Reduced,
    readings: Sequence[Reading],
    layers: Sequence[str],
    own: Sequence[OwnMetric] = (),
) -> PhaseSummary:
    """``phase.summarise`` from reduced samples.

    Raises:
        BrokenError: the engine's counts do not balance: an arrival is neither sent nor accounted for.
    """
    seconds = run.measured_until - run.measured_from
    series = series_of(readings)
    tallies = _tallies(tables, layers)
    books = books_of(run, tuple(steps), tallies.outcomes)
    charts: tuple[Window, ...] = ()
    measured = merged(shares(books), _latencies(tables, seconds), cache_hits(tallies.cache), _cache_figures(tables))
    if seconds > 0.0:
        grid = chart_grid_of(tables, seconds)
        charts = windows.windows_of(grid, run, window_counts(tables, grid), layers)
        planned = phase.offered_rate is not None
        measured = merged(measured, throughputs(rates(tables, seconds), books, charts, seconds, planned=planned))
        found_in = own_by_window(own, series, run, Samples.empty(), tuple(steps), grid) if own else [{}] * len(charts)
        charts = tuple(replace(window, own=each) for window, each in zip(charts, found_in, strict=True))
    best = undelayed_at_best(tables, run, books, measured)
    resources = resource_summaries(series, run)
    measured[-1].update(users_held(run), **resource_measurements(series, resources, run, books[-1].ok))
    measured[-1].update(own_measurements(own, series, run, Samples.empty(), tuple(steps)))
    return phase_summary(
        phase,
        run,
        series,
        steps=step_summaries(steps, books, measured, best, tallies, layers),
        charts=charts,
        warm_up=counted_warm_up(tables, run),
        reduced=ERROR,
    )


def _tallies(tables: Reduced, layers: Sequence[str]) -> Tallies:
    found, steps = tables.of(Kind.BOOKS), tables.frame.steps

    def tally(column: Ints, size: int) -> Ints:
        """How often each value of a column came, a row for each step and one for all, ``size`` columns."""
        flat = np.bincount(found.first * size + column, weights=found.count, minlength=steps * size)
        counts = flat.astype(np.int64).reshape(steps, size)
        return np.vstack([counts, counts.sum(axis=0)])

    received = np.bincount(tables.of(Kind.BYTES).first, weights=tables.of(Kind.BYTES).count, minlength=steps)
    return Tallies(
        statuses=tally(found.third, int(found.third.max(initial=0)) + 1),
        outcomes=tally(found.second >> 8, max(Outcome) + 1),
        cache=tally(found.second & 0xFF, 256),
        received=np.append(received, received.sum()),
        layers=[
            tuple(_wider_layer(layer) for layer in caches.layers_of(times, layers)) if times else ()
            for times in _times_by_code(tables)
        ],
    )


def _times_by_code(tables: Reduced) -> list[Mapping[int, Ranked]]:
    """Response times by cache code, of each group."""
    every = tables.of(Kind.CACHE)
    found: list[Mapping[int, Ranked]] = []
    for group in (*range(tables.frame.steps), None):
        some = every if group is None else every.where(every.first == group)
        found.append({code: ranked(some.where(some.second == code)) for code in np.unique(some.second).tolist()})
    return found


def _cache_figures(tables: Reduced) -> list[Measurements]:
    every = tables.of(Kind.CACHE)
    measured: list[Measurements] = []
    for group in (*range(tables.frame.steps), None):
        some = every if group is None else every.where(every.first == group)
        hits, misses = some.where(some.second >= FIRST_CACHE_LAYER), some.where(some.second == CACHE_MISS)
        figures = caches.figures_of_caches(ranked(hits), ranked(misses), ranked(some))
        share = figures.pop("p95_from_misses", None)
        measured.append({name: _wider(one) for name, one in figures.items()})
        if share is not None:
            # One less the ratio of two times.
            low, high = max(share.value - 2.0 * ERROR, 0.0), min(share.value + 2.0 * ERROR, 1.0)
            measured[-1]["p95_from_misses"] = replace(share, low=low, high=high)
    return measured


def _wider(found: Estimate) -> Estimate:
    """With an interval that holds the error of the bins as well."""
    return replace(found, low=found.low * (1.0 - ERROR), high=found.high * (1.0 + ERROR))


def _wider_layer(layer: CacheLayer) -> CacheLayer:
    p50, p95 = (None if found is None else _wider(found) for found in (layer.p50, layer.p95))
    return replace(layer, p50=p50, p95=p95)


def _latencies(tables: Reduced, seconds: float) -> list[Measurements]:
    """Response and service times of the successful responses, response times with failures, and the generator's lateness."""
    each, count = slices_of_cells(tables, seconds)
    response, service, lateness = (tables.of(kind) for kind in (Kind.RESPONSE, Kind.SERVICE, Kind.LATENESS))
    if seconds <= 0.0 or not len(lateness.count):
        return [{} for _ in range(tables.frame.steps + 1)]

    def quantiles(found: Sequence[Entries], times: Times) -> list[Measurements]:
        """The quantiles of these times, in seconds, for each step and for all."""
        ranks = quantiles_of(times)
        bins = bins_in(*found)

        def histogram(step: int) -> Histogram:
            """The counts of one step, a row for each part of the stretch."""
            mine = [one.where(one.first == step) for one in found]
            parts = [Histogram.of(one, np.minimum(one.second // each, count - 1), count, bins) for one in mine]
            return sum(parts[1:], parts[0])

        together = Histogram(counts=np.zeros((count, bins[1] - bins[0]), np.int64), least=bins[0])
        measured = []
        for step in range(tables.frame.steps):
            one = histogram(step)
            together += one
            measured.append(_estimates(one, ranks))
        return [*measured, _estimates(together, ranks)]

    answered = quantiles([response], Times.RESPONSE)
    with_failures = quantiles([response, tables.of(Kind.TIMEOUT), _failed(tables)], Times.WITH_FAILURES)
    # Where no request succeeded there is no latency, and the time that an error took is not one.
    with_failures = [new if old else {} for new, old in zip(with_failures, answered, strict=True)]
    means = _averages(tables, response, each, count)
    return merged(answered, means, with_failures, quantiles([service], Times.SERVICE), quantiles([lateness], Times.LATENESS))


def _failed(tables: Reduced) -> Entries:
    """Failures that were no timeouts, each as slow as the slowest request of its step."""
    found = tables.of(Kind.FAILED)
    return replace(found, third=bins_of(tables.slowest[1])[found.first])


def _estimates(histogram: Histogram, ranks: Mapping[str, float]) -> Measurements:
    found = estimates_of(histogram.ranked(), histogram.single, tuple(ranks.values()))
    return {name: _wider(one) for name, one in zip(ranks, found, strict=False)}


def _averages(tables: Reduced, response: Entries, each: int, count: int) -> list[Measurements]:
    """Means and slowest responses, exact."""
    steps = tables.frame.steps
    spent = tables.of(Kind.NANOSECONDS)

    def by_slice(found: Entries) -> Ints:
        """The sums of the entries, a row for each step, a column for each part of the stretch."""
        slices = np.minimum(np.minimum(found.second // each, count - 1) * SLICES // count, SLICES - 1)
        flat = np.bincount(found.first * SLICES + slices, weights=found.count, minlength=steps * SLICES)
        return flat.astype(np.int64).reshape(steps, SLICES)

    counts, sums, most = by_slice(response), by_slice(spent) / 1e9, tables.slowest[0]
    found = [mean_and_most(counts[step], sums[step], float(most[step])) for step in range(steps)]
    return [*found, mean_and_most(counts.sum(axis=0), sums.sum(axis=0), float(most.max(initial=0.0)))]
