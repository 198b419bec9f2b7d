"""The timeline of a run: latencies step by step, failures by kind, users, watched values, distributions of response times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from velro_gate.analysis.summaries.quantiles import sample_quantile
from velro_gate.analysis.summaries.reduced.histograms import binned_quantiles, ranked
from velro_gate.analysis.summaries.reduced.over_time import chart_grid_of, error_counts
from velro_gate.analysis.summaries.reduced.tables import Kind, Reduced
from velro_gate.analysis.summaries.resources import series_of
from velro_gate.analysis.summaries.windows import Grid, chart_grid, failures_by_window, quantiles_by_window
from velro_gate.arrays import Floats, Ints
from velro_gate.model.charts.timeline import CHARTED, RANKS, PhaseTimeline, StepLatency, TimeLine, Timeline
from velro_gate.model.readings import is_counter
from velro_gate.model.run import PhaseRun, RunFacts
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import ALL_STEPS

_LEVELS = (0.50, 0.95, 0.99)
"""Quantiles that are drawn over time."""
_NONE_REDUCED: Mapping[str, Reduced] = MappingProxyType({})


def timeline(
    facts: RunFacts,
    steps: Sequence[str],
    samples: Mapping[str, Samples],
    reduced: Mapping[str, Reduced] = _NONE_REDUCED,
) -> Timeline:
    """The timeline of what was measured; a phase without a measured stretch is left out. steps: of the plan, in its order;
    reduced: the phases whose samples were.
    """
    ticks = sorted((tick for ran in facts.phases for tick in ran.ticks), key=lambda tick: tick.at)
    return Timeline(
        phases=tuple(
            _reduced_phase(ran, steps, reduced[ran.name])
            if ran.name in reduced
            else _phase(ran, steps, samples.get(ran.name, Samples.empty()))
            for ran in facts.phases
            if ran.measured_until > ran.measured_from
        ),
        connected=TimeLine(
            at=tuple(tick.at for tick in ticks),
            value=tuple(float(tick.connected) for tick in ticks),
        ),
        readings={
            key: _counted(at, value) if is_counter(*key) else _line(at, value)
            for key, (at, value) in series_of([one for one in facts.readings if (one.source, one.name) in CHARTED]).items()
        },
    )


def _line(at: Floats, value: Floats) -> TimeLine:
    return TimeLine(at=tuple(at.tolist()), value=tuple(value.tolist()))


def _counted(at: Floats, value: Floats) -> TimeLine:
    """What a counter rose by in a second since the reading before; None where it fell, since it started again then."""
    passed, risen = np.diff(at), np.diff(value)
    rates = [rise / gap if gap > 0.0 and rise >= 0.0 else None for gap, rise in zip(passed, risen, strict=True)]
    return TimeLine(at=tuple(at[1:].tolist()), value=tuple(None if rate is None else float(rate) for rate in rates))


def _phase(ran: PhaseRun, steps: Sequence[str], samples: Samples) -> PhaseTimeline:
    grid = chart_grid(ran.measured_until - ran.measured_from)
    due, good = grid.index(samples.due - ran.measured_from), samples.ok
    measured = good & (due >= 0)
    times, window, step = samples.response_time[measured], due[measured], samples.step[measured]
    found = [(name, step == index) for index, name in enumerate(steps)]
    return PhaseTimeline(
        name=ran.name,
        started=ran.started,
        measured_from=ran.measured_from,
        measured_until=ran.measured_until,
        steps=tuple(_latency(name, times[rows], window[rows], grid) for name, rows in found if rows.any()),
        errors=_errors(samples, grid.index(samples.done - ran.measured_from), grid),
        spread={
            name: tuple(np.quantile(times[rows], RANKS).tolist())
            for name, rows in ((ALL_STEPS, np.ones(len(times), np.bool_)), *found)
            if rows.any()
        },
    )


def _reduced_phase(ran: PhaseRun, steps: Sequence[str], tables: Reduced) -> PhaseTimeline:
    grid = chart_grid_of(tables, ran.measured_until - ran.measured_from)
    answered = tables.of(Kind.RESPONSE)
    found = [(name, ranked(answered.where(answered.first == index)), index) for index, name in enumerate(steps)]
    seconds = np.diff(grid.edges)
    lines = []
    for name, times, index in found:
        if len(times):
            p50, p95, p99 = zip(*binned_quantiles(tables, Kind.RESPONSE, grid, _LEVELS, index), strict=True)
            lines.append(StepLatency(step=name, p50=p50, p95=p95, p99=p99))
    return PhaseTimeline(
        name=ran.name,
        started=ran.started,
        measured_from=ran.measured_from,
        measured_until=ran.measured_until,
        steps=tuple(lines),
        errors={kind: tuple((counts / seconds).tolist()) for kind, counts in error_counts(tables, grid).items()},
        spread={
            name: tuple(sample_quantile(times, rank) for rank in RANKS)
            for name, times in ((ALL_STEPS, ranked(answered)), *((name, times) for name, times, _ in found))
            if len(times)
        },
    )


def _latency(step: str, times: Floats, window: Ints, grid: Grid) -> StepLatency:
    p50, p95, p99 = zip(*quantiles_by_window(times, window, grid, _LEVELS), strict=True)
    return StepLatency(step=step, p50=p50, p95=p95, p99=p99)


def _errors(samples: Samples, ended: Ints, grid: Grid) -> dict[str, tuple[float, ...]]:
    """Failed requests a second of each kind, the most frequent kind first, by when they ended."""
    seconds = np.diff(grid.edges)
    return {kind: tuple((counts / seconds).tolist()) for kind, counts in failures_by_window(samples, ended, grid.count).items()}
