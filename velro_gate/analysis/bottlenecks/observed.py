"""One phase as its rules see it: the samples and the monitor's readings of its measured stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from velro_gate.analysis.summaries.resources import ResourceSeries, series_of
from velro_gate.arrays import Bools, Floats
from velro_gate.model.record import PhaseSummary
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """One phase as the rules see it. Instants in ``rows`` and ``series`` are as they were measured; ``since`` makes them
    seconds of the measured stretch.
    """

    phase: Phase
    """As planned."""
    steps: tuple[str, ...]
    run: PhaseRun
    """As it came out."""
    summary: PhaseSummary
    rows: Samples
    """Samples that fell due in the measured stretch."""
    series: ResourceSeries
    """Readings in it."""
    quick: float | None = None
    """Seconds that the quickest responses of the phase took, its ramp included; None: none succeeded."""

    @property
    def seconds(self) -> float:
        """Length of the measured stretch."""
        return self.run.measured_until - self.run.measured_from

    def since(self, at: float) -> float:
        """A time as seconds since the measured stretch began, within it."""
        return min(max(at - self.run.measured_from, 0.0), self.seconds)

    def gauge(self, source: str, name: str) -> tuple[Floats, Floats]:
        """Times (seconds) and values (base units) of a series, (n,) each; empty where it was not read."""
        return self.series.get((source, name), (_NONE, _NONE))

    def rate(self, source: str, name: str) -> tuple[Floats, Floats]:
        """Times and rates (per second) of a counter, (n,) each: between two readings, at the later one, without restarts."""
        at, value = self.gauge(source, name)
        if len(at) < 2:
            return _NONE, _NONE
        rise, apart = np.diff(value), np.diff(at)
        # A counter that falls was set back by a restart: what it rose by meanwhile is not known.
        good = (rise >= 0.0) & (apart > 0.0)
        return at[1:][good], rise[good] / apart[good]


_NONE: Floats = np.empty(0)
_QUICKEST = 0.02
"""The share of responses that are the quickest: a single one may be one that did nothing."""


def observe(
    phase: Phase,
    steps: Sequence[str],
    run: PhaseRun,
    summary: PhaseSummary,
    samples: Samples,
    readings: Sequence[Reading],
) -> Observed:
    """What the rules look at. samples: all of the phase. readings: of any time."""
    inside = (samples.due >= run.measured_from) & (samples.due < run.measured_until) & (samples.step < len(steps))
    good = samples.service_time[samples.ok]
    kept = [reading for reading in readings if run.measured_from <= reading.at < run.measured_until]
    return Observed(
        phase=phase,
        steps=tuple(steps),
        run=run,
        summary=summary,
        rows=samples.where(inside),
        series=series_of(kept),
        quick=float(np.quantile(good, _QUICKEST)) if len(good) else None,
    )


def apart_from(seen: Observed, stretches: Sequence[tuple[float, float]]) -> Observed:
    """The same without what fell due, or was read, in these stretches, in seconds since the measured stretch began."""
    if not stretches:
        return seen
    return replace(
        seen,
        rows=seen.rows.where(_outside(seen.rows.due - seen.run.measured_from, stretches)),
        series={name: _kept(*line, seen.run.measured_from, stretches) for name, line in seen.series.items()},
    )


def _outside(at: Floats, stretches: Sequence[tuple[float, float]]) -> Bools:
    outside = np.ones(len(at), bool)
    for start, end in stretches:
        outside &= (at < start) | (at > end)
    return outside


def _kept(at: Floats, values: Floats, origin: float, stretches: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    outside = _outside(at - origin, stretches)
    return at[outside], values[outside]


def longest_run(at: Floats, holds: Bools) -> tuple[float, float, int] | None:
    """First and last time of the longest unbroken row of readings for which something holds, and how many these are.

    None: it holds for none of them. at: seconds, rising, (n,). holds: (n,).
    """
    best: tuple[int, int] | None = None
    first: int | None = None
    # The last element ends a row that reaches to the last reading.
    for i, one in enumerate([*holds.tolist(), False]):
        if one and first is None:
            first = i
        elif not one and first is not None:
            if best is None or i - first > best[1] - best[0]:
                best = (first, i)
            first = None
    return None if best is None else (float(at[best[0]]), float(at[best[1] - 1]), best[1] - best[0])
