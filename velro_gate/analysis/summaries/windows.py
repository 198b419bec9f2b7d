"""A measured stretch cut into windows: for charts, for "sustained" and for the peak.

Successful responses are counted when they arrive, not when they were asked for: a service that stalls for a second and then
catches up has a bad second. Latencies belong to the window in which the request fell due.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from velro_gate.arrays import Floats, Ints
from velro_gate.model.record import MISS, OTHER_FAILURES, Window
from velro_gate.model.run import PhaseRun, Tick
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples

SUSTAINED_SECONDS = 10.0
"""The length of the windows of which every one must reach a sustained rate."""
PEAK_SECONDS = 1.0
"""The length of the window in which the peak rate is sought."""
MOST_KINDS = 7
"""Kinds of failure that are counted apart; the rarer ones are counted together."""
CHART_RANKS, LATENESS_RANKS = (0.50, 0.95, 0.99), (0.99,)
_SLACK = 0.1
"""Seconds by which a window may be short or long, because a phase never ends on the dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Windows of ``width`` seconds that cover [0, seconds); the last one may be shorter, or longer by a little slack."""

    seconds: float
    width: float

    def __post_init__(self) -> None:
        if not (self.seconds > 0.0 and self.width > 0.0):
            raise ValueError(f"a grid needs a positive length and width, not {self.seconds} and {self.width}")

    @property
    def count(self) -> int:
        """How many windows there are, at least one."""
        return max(math.ceil((self.seconds - _SLACK) / self.width), 1)

    @property
    def edges(self) -> Floats:
        """count + 1 times, from 0 to the end of the stretch."""
        edges: Floats = np.arange(self.count + 1, dtype=np.float64) * self.width
        edges[-1] = self.seconds
        return edges

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Which windows have their full length; when there is only one, it counts as whole."""
        return (np.diff(self.edges) >= self.width - _SLACK) | (self.count == 1)

    def index(self, times: Floats) -> Ints:
        """The window of each time; -1 for times outside the stretch."""
        index = np.minimum(np.floor_divide(times, self.width), self.count - 1).astype(np.int64)
        index[(times < 0.0) | (times >= self.seconds)] = -1
        return index


def chart_grid(seconds: float) -> Grid:
    """The windows that a stretch is shown in: 10 s, or shorter ones where there would be fewer than six."""
    width = next((w for least, w in ((60.0, SUSTAINED_SECONDS), (20.0, 2.0), (6.0, 1.0)) if seconds >= least), 0.5)
    return Grid(seconds=seconds, width=width)


def rates_by_step(times: Floats, step: npt.NDArray[np.uint16], steps: int, grid: Grid) -> Floats:
    """Events per second of every step in every whole window; the last row is all steps. Shape (steps + 1, windows)."""
    index = grid.index(times)
    inside = index >= 0
    flat = step[inside].astype(np.int64) * grid.count + index[inside]
    counts = np.bincount(flat, minlength=steps * grid.count).reshape(steps, grid.count)
    rates = np.vstack([counts, counts.sum(axis=0)]) / np.diff(grid.edges)
    whole: Floats = rates[:, grid.whole]
    return whole


def sustained_rates(windows: Sequence[Window]) -> tuple[float, ...]:
    """Successful responses per second in each whole 10 s stretch, put together from the windows of a phase summary.

    A shorter rest at the end is left out, unless it is all there is. Empty when there are no windows.
    """
    ok: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for window in windows:
        key = int((window.start + 1e-6) // SUSTAINED_SECONDS)
        ok[key] = ok.get(key, 0) + window.ok
        seconds[key] = seconds.get(key, 0.0) + window.seconds
    whole = [key for key in seconds if seconds[key] >= SUSTAINED_SECONDS - _SLACK] or list(seconds)
    return tuple(ok[key] / seconds[key] for key in whole)


def chart_windows(samples: Samples, run: PhaseRun, layers: Sequence[str] = ()) -> tuple[Window, ...]:
    """The windows of a phase, from all of its samples (ramp included). Empty when nothing was measured.

    layers: the names of the cache layers, in the order of their codes.
    """
    seconds = run.measured_until - run.measured_from
    if seconds <= 0.0:
        return ()
    grid = chart_grid(seconds)
    # Throughput belongs to the window in which a response came, its latency to the one in which it fell due: a stall shows from
    # its beginning, and not in the moment in which it ends.
    ended = grid.index(samples.done - run.measured_from)
    good = samples.ok
    bad = ~good & (samples.outcome != Outcome.CANCELLED)
    due = grid.index(samples.due - run.measured_from)
    return windows_of(
        grid,
        run,
        WindowCounts(
            sent=_counts(grid.index(samples.sent - run.measured_from), grid),
            ok=_counts(ended[good], grid),
            failed=_counts(ended[bad], grid),
            latency=quantiles_by_window(samples.response_time[good], due[good], grid, CHART_RANKS),
            lateness=quantiles_by_window(samples.lateness, due, grid, LATENESS_RANKS),
            cache={code: _counts(due[samples.cache == code], grid) for code in np.unique(samples.cache).tolist()},
            cache_p50=_cache_medians(samples, due, grid),
            errors=failures_by_window(samples, ended, grid.count),
        ),
        layers,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowCounts:
    """What happened in each window: columns of one length, one number a window."""

    sent: Ints
    ok: Ints
    failed: Ints
    latency: Sequence[tuple[float | None, ...]]
    """Quantiles of response times, by ``CHART_RANKS``; and of the generator's delays, by ``LATENESS_RANKS``."""
    lateness: Sequence[tuple[float | None, ...]]
    cache: Mapping[int, Ints]
    """Requests by cache code."""
    cache_p50: Mapping[int, Sequence[float | None]]
    """Medians of the response times of successful responses by cache code."""
    errors: Mapping[str, Ints]
    """Failures by kind, the most frequent first."""


def windows_of(grid: Grid, run: PhaseRun, seen: WindowCounts, layers: Sequence[str]) -> tuple[Window, ...]:
    """The windows of a phase from what happened in each. layers: as above."""
    medians = _named_medians(seen.cache_p50, grid, layers)
    hits, cache = _hit_rates(seen.cache, grid), _cache_counts(seen.cache, grid, layers)
    connected = connected_in(run.ticks, run.measured_from + grid.edges)
    return tuple(
        Window(
            start=start,
            seconds=end - start,
            sent=int(seen.sent[i]),
            ok=int(seen.ok[i]),
            failed=int(seen.failed[i]),
            connected=connected[i],
            p50=seen.latency[i][0],
            p95=seen.latency[i][1],
            p99=seen.latency[i][2],
            hit_rate=hits[i],
            lateness_p99=seen.lateness[i][0],
            cache=cache[i],
            cache_p50=medians[i],
            errors={kind: int(counts[i]) for kind, counts in seen.errors.items() if counts[i]},
        )
        for i, (start, end) in enumerate(zip(grid.edges[:-1].tolist(), grid.edges[1:].tolist(), strict=True))
    )


def connected_in(ticks: Sequence[Tick], edges: Floats) -> list[int]:
    """The least number of connected users between each two edges; where no tick fell, the number last known."""
    known, position = 0, 0
    least: list[int] = []
    ordered = sorted(ticks, key=lambda tick: tick.at)
    for end in edges[1:].tolist():
        seen = []
        while position < len(ordered) and ordered[position].at < end:
            tick = ordered[position]
            known = tick.connected
            if tick.at >= edges[len(least)]:
                seen.append(known)
            position += 1
        least.append(min(seen, default=known))
    return least


def _counts(index: Ints, grid: Grid) -> Ints:
    return np.bincount(index[index >= 0], minlength=grid.count)


def quantiles_by_window(values: Floats, index: Ints, grid: Grid, ranks: tuple[float, ...]) -> list[tuple[float | None, ...]]:
    """For each window the quantiles of its values; None for a window without any."""
    inside = index >= 0
    # A stable sort of 16-bit keys is a radix sort, far faster than one of 64-bit keys.
    order = np.argsort(index[inside].astype(np.uint16), kind="stable")
    ordered = values[inside][order]
    ends = np.cumsum(_counts(index, grid))
    rows: list[tuple[float | None, ...]] = []
    for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        part = ordered[begin:end]
        rows.append(tuple(np.quantile(part, ranks).tolist()) if end > begin else (None,) * len(ranks))
    return rows


def failures_by_window(samples: Samples, window: Ints, count: int) -> dict[str, Ints]:
    """Kind of failure -> failed requests in each of ``count`` windows, the most frequent kind first.

    window: that of each sample, -1 for none. A kind is an HTTP status where that is what was wrong, else an Outcome's name.
    """
    failed = (window >= 0) & ~samples.ok & (samples.outcome != Outcome.CANCELLED)
    # One key for a kind: no status is as small as an outcome.
    keys = np.where(samples.outcome == Outcome.STATUS, samples.status, samples.outcome)[failed]
    return kinds_by_window(keys, window[failed], np.ones(len(keys), np.int64), count)


def kinds_by_window(keys: npt.NDArray[Any], window: Ints, failed: Ints, count: int) -> dict[str, Ints]:
    """``failures_by_window`` from counts. keys: the status or outcome of each; failed: how many failed so in its window."""
    kinds, which = np.unique(keys, return_inverse=True)
    totals = np.bincount(which, weights=failed, minlength=len(kinds))
    order = np.argsort(-totals, kind="stable").tolist()

    def counted(mask: npt.NDArray[np.bool_]) -> Ints:
        """The failures of these kinds in each window."""
        return np.bincount(window[mask], weights=failed[mask], minlength=count).astype(np.int64)

    found = {_kind(int(kinds[place])): counted(which == place) for place in order[:MOST_KINDS]}
    if order[MOST_KINDS:]:
        found[OTHER_FAILURES] = counted(np.isin(which, order[MOST_KINDS:]))
    return found


def _kind(key: int) -> str:
    return str(key) if key > max(Outcome) else Outcome(key).name


def _hit_rates(cache: Mapping[int, Ints], grid: Grid) -> list[float | None]:
    seen, hits = np.zeros(grid.count, np.int64), np.zeros(grid.count, np.int64)
    for code, counts in cache.items():
        seen += counts if code != NO_CACHE_HEADER else 0
        hits += counts if code > CACHE_MISS else 0
    return [hit / n if n else None for hit, n in zip(hits.tolist(), seen.tolist(), strict=True)]


def _cache_medians(samples: Samples, index: Ints, grid: Grid) -> dict[int, list[float | None]]:
    found = {}
    for code in np.unique(samples.cache).tolist():
        mine = samples.ok & (samples.cache == code)
        found[code] = [median for (median,) in quantiles_by_window(samples.response_time[mine], index[mine], grid, (0.50,))]
    return found


def _named_medians(medians: Mapping[int, Sequence[float | None]], grid: Grid, layers: Sequence[str]) -> list[dict[str, float]]:
    names, found = _cache_names(layers), [dict[str, float]() for _ in range(grid.count)]
    for code in (code for code in names if code in medians):
        for window, median in zip(found, medians[code], strict=True):
            if median is not None:
                window[names[code]] = median
    return found


def _cache_names(layers: Sequence[str]) -> dict[int, str]:
    return {CACHE_MISS: MISS} | dict(enumerate(layers, start=FIRST_CACHE_LAYER))


def _cache_counts(cache: Mapping[int, Ints], grid: Grid, layers: Sequence[str]) -> list[dict[str, int]]:
    names = _cache_names(layers)
    found: list[dict[str, int]] = [{} for _ in range(grid.count)]
    for code, counts in cache.items():
        if code in names:
            for window, count in zip(found, counts.tolist(), strict=True):
                if count:
                    window[names[code]] = count
    return found
