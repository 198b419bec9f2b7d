"""Reduced samples over time: the windows of charts, rates, and how the cache warmed up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from velro_gate.analysis.summaries.reduced.counted import Rates
from velro_gate.analysis.summaries.reduced.histograms import binned_quantiles, windows_of_cells
from velro_gate.analysis.summaries.reduced.tables import BEFORE, Entries, Kind, Reduced
from velro_gate.analysis.summaries.windows import (
    CHART_RANKS,
    LATENESS_RANKS,
    PEAK_SECONDS,
    SUSTAINED_SECONDS,
    Grid,
    WindowCounts,
    kinds_by_window,
)
from velro_gate.arrays import Floats, Ints
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER

_WARM_UP_WINDOWS = 60


def chart_grid_of(tables: Reduced, seconds: float) -> Grid:
    """The windows of charts: of the length that fits the planned stretch, also where less of it was measured."""
    return Grid(seconds=seconds, width=tables.frame.window)


def window_counts(tables: Reduced, grid: Grid) -> WindowCounts:
    """What happened in each window."""
    errors = error_counts(tables, grid)
    return WindowCounts(
        sent=_in_windows(tables, tables.of(Kind.SENT), grid),
        ok=_in_windows(tables, tables.of(Kind.ANSWERED), grid),
        failed=sum(errors.values(), np.zeros(grid.count, np.int64)),
        latency=binned_quantiles(tables, Kind.RESPONSE, grid, CHART_RANKS),
        lateness=binned_quantiles(tables, Kind.LATENESS, grid, LATENESS_RANKS),
        cache=_cache(tables, grid),
        cache_p50={
            code: [median for (median,) in binned_quantiles(tables, Kind.CACHED, grid, (0.50,), code)]
            for code in np.unique(tables.of(Kind.CACHED).first).tolist()
        },
        errors=errors,
    )


def error_counts(tables: Reduced, grid: Grid) -> Mapping[str, Ints]:
    """Failed requests of each kind in each window, the most frequent kind first."""
    broken = tables.of(Kind.BROKEN)
    return kinds_by_window(broken.first, _windows_of_parts(tables, broken, grid), broken.count, grid.count)


def rates(tables: Reduced, seconds: float) -> Rates:
    """Successful responses a second, as ``phase`` has them from the samples themselves."""
    grid = chart_grid_of(tables, seconds)
    answered = tables.of(Kind.ANSWERED)
    tens, ones = (Grid(seconds=seconds, width=width) for width in (SUSTAINED_SECONDS, PEAK_SECONDS))
    return Rates(
        due=_by_cell(tables, tables.of(Kind.RESPONSE), grid),
        asked=_by_cell(tables, tables.of(Kind.LATENESS), grid),
        tens=_by_step(tables, answered, _windows_of_parts(tables, answered, tens), tens),
        ones=_by_step(tables, answered, _windows_of_parts(tables, answered, ones), ones),
    )


def counted_warm_up(tables: Reduced, run: PhaseRun) -> tuple[tuple[float, float], ...]:
    """As of ``caches``: its windows begin where a second of the measured stretch does."""
    asked = tables.of(Kind.ASKED)
    if not len(asked.count):
        return ()
    event, before = tables.frame.event, run.measured_from - run.started
    width = max(int((run.measured_until - run.started) / _WARM_UP_WINDOWS / event), 1, round(1.0 / event))
    window = (asked.second - BEFORE + int(np.ceil(before / event))) // width
    hit = asked.first >= FIRST_CACHE_LAYER
    cached = asked.first >= CACHE_MISS
    first = int(window.min())
    n = np.bincount(window - first, weights=asked.count * cached)
    hits = np.bincount(window - first, weights=asked.count * hit)
    ends = (np.arange(len(n)) + first + 1) * width * event
    last = run.measured_until - run.started
    return tuple(
        (min(end, last), good / of) for end, good, of in zip(ends.tolist(), hits.tolist(), n.tolist(), strict=True) if of
    )


def _windows_of_parts(tables: Reduced, found: Entries, grid: Grid) -> Ints:
    """The window in which each count of an event lies: never outside the stretch, which is all that is counted."""
    # In whole parts of an event: a part never lies across two windows.
    parts = max(round(grid.width / tables.frame.event), 1)
    return np.clip((found.second - BEFORE) // parts, 0, grid.count - 1)


def _in_windows(tables: Reduced, found: Entries, grid: Grid) -> Ints:
    return np.bincount(_windows_of_parts(tables, found, grid), weights=found.count, minlength=grid.count).astype(np.int64)


def _cache(tables: Reduced, grid: Grid) -> dict[int, Ints]:
    asked = tables.of(Kind.ASKED)
    asked = asked.where(asked.second >= BEFORE)
    return {code: _in_windows(tables, asked.where(asked.first == code), grid) for code in np.unique(asked.first).tolist()}


def _by_cell(tables: Reduced, found: Entries, grid: Grid) -> Floats:
    return _by_step(tables, found, windows_of_cells(tables, found, grid), grid)


def _by_step(tables: Reduced, found: Entries, window: Ints, grid: Grid) -> Floats:
    """Events a second of each step in each whole window; the last row is all steps."""
    steps = tables.frame.steps
    flat = np.bincount(found.first * grid.count + window, weights=found.count, minlength=steps * grid.count)
    counts = flat.reshape(steps, grid.count)
    whole: Floats = (np.vstack([counts, counts.sum(axis=0)]) / np.diff(grid.edges))[:, grid.whole]
    return whole
