"""One phase, summarised: the counts, and every figure that was measured, with its interval.

What counts is the measured stretch: samples whose due time lies in [measured_from, measured_until). A figure that was not
measured is absent, never 0. Samples of requests that are not steps of the journey (a login) are in no count and no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.summaries import caches, windows
from velro_gate.analysis.summaries.averages import averages
from velro_gate.analysis.summaries.broken.experiments import experiment_summaries
from velro_gate.analysis.summaries.broken.measurements import experiment_measurements
from velro_gate.analysis.summaries.own.figures import own_measurements
from velro_gate.analysis.summaries.own.windows import own_by_window
from velro_gate.analysis.summaries.own_delay import OwnDelay, own_delay
from velro_gate.analysis.summaries.quantiles import Observations, slices_of, step_quantiles
from velro_gate.analysis.summaries.reduced.counted import (
    Measurements,
    Rates,
    Tallies,
    books_of,
    cache_hits,
    groups_of,
    merged,
    phase_summary,
    shares,
    step_summaries,
    throughputs,
    users_held,
)
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.analysis.summaries.undelayed import undelayed
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.metrics import LATENCY_QUANTILES, Times, quantiles_of
from velro_gate.model.record import PhaseSummary
from velro_gate.model.resilience.experiment import CarriedOut, DependencyCount
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome, Samples
from velro_gate.model.scenario import Phase


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretch:
    """The measured rows, and everything of the phase that the counts need. Groups are the steps, then all of them."""

    steps: tuple[str, ...]
    run: PhaseRun
    every: Samples
    rows: Samples
    own: OwnDelay | None
    """How much of the rows' times the generator may have caused; None where it never stood still."""

    @property
    def seconds(self) -> float:
        """Length of the measured stretch."""
        return self.run.measured_until - self.run.measured_from

    @property
    def groups(self) -> tuple[str, ...]:
        """The steps, and all of them together."""
        return groups_of(self.steps)

    def tally(self, column: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], size: int) -> npt.NDArray[np.int64]:
        """How often each value below ``size`` stands in a column of the rows. Shape (steps + 1, size)."""
        flat = self.rows.step.astype(np.int64) * size + column
        counts = np.bincount(flat, minlength=len(self.steps) * size).reshape(len(self.steps), size)
        return np.vstack([counts, counts.sum(axis=0)])


def summarise(
    phase: Phase,
    steps: Sequence[str],
    run: PhaseRun,
    samples: Samples,
    readings: Sequence[Reading],
    layers: Sequence[str],
    own: Sequence[OwnMetric] = (),
    carried: Sequence[CarriedOut] = (),
    counts: Sequence[DependencyCount] = (),
) -> PhaseSummary:
    """The summary of one phase from all of its samples (ramp included), the engine's facts and the monitor's readings.

    own: the metrics that the scenario defines itself. carried: the experiments of the phase as they were carried out; counts:
    what had passed through the proxies meanwhile.

    Raises:
        BrokenError: the engine's counts do not balance: an arrival is neither sent nor accounted for.
    """
    stretch = _stretch(steps, run, samples)
    charts = windows.chart_windows(stretch.every, run, layers)
    series = series_of(readings)
    of_steps = _rows_of_groups(stretch)
    tallies = _tallies(stretch, layers, of_steps)
    books = books_of(run, stretch.steps, tallies.outcomes)
    measured = merged(shares(books), _latencies(stretch), cache_hits(stretch.tally(stretch.rows.cache, 256)))
    measured = merged(measured, [caches.cache_figures(rows) for rows in of_steps])
    if stretch.seconds > 0.0:
        planned = phase.offered_rate is not None
        measured = merged(measured, throughputs(_rates(stretch), books, charts, stretch.seconds, planned=planned))
    best = undelayed(
        stretch.rows, stretch.own, run, _times_with_failures(stretch.rows, stretch.rows.ok, len(steps)), books, measured
    )
    resources = resource_summaries(series, run)
    measured[-1].update(users_held(run), **resource_measurements(series, resources, run, books[-1].ok))
    measured[-1].update(own_measurements(own, series, run, stretch.rows, stretch.steps))
    if own and charts:
        grid = windows.chart_grid(stretch.seconds)
        found_in = own_by_window(own, series, run, stretch.rows, stretch.steps, grid)
        charts = tuple(replace(window, own=each) for window, each in zip(charts, found_in, strict=True))
    experiments = experiment_summaries(phase, steps, run, stretch.every, carried, counts, readings)
    for name, found in zip(stretch.groups, measured, strict=True):
        found.update(experiment_measurements(experiments, name))
    return phase_summary(
        phase,
        run,
        series,
        steps=step_summaries(stretch.steps, books, measured, best, tallies, layers),
        charts=charts,
        warm_up=caches.warm_up_curve(stretch.every, run),
        experiments=experiments,
    )


def _stretch(steps: Sequence[str], run: PhaseRun, samples: Samples) -> _Stretch:
    # A login has the index behind the last step's: it is sent and recorded, and is no request of the journey.
    known = samples.step < len(steps)
    every = samples if bool(known.all()) else samples.where(known)
    inside = (every.due >= run.measured_from) & (every.due < run.measured_until)
    rows = every if bool(inside.all()) else every.where(inside)
    if not run.stalls:
        return _Stretch(steps=tuple(steps), run=run, every=every, rows=rows, own=None)
    own = own_delay(samples, run.stalls, until=run.measured_until, steps=len(steps))
    return _Stretch(steps=tuple(steps), run=run, every=every, rows=rows, own=own.where(known).where(inside))


def _rates(stretch: _Stretch) -> Rates:
    rows, count = stretch.rows, len(stretch.steps)
    good = rows.ok
    # Intervals come from windows by due time, since what a request does to the variation belongs to when it was asked; rates
    # that a service sustains, from windows by when it answered.
    grid = windows.chart_grid(stretch.seconds)
    due = rows.due - stretch.run.measured_from
    answered = stretch.every.ok
    done, step = stretch.every.done[answered] - stretch.run.measured_from, stretch.every.step[answered]
    grids = [windows.Grid(seconds=stretch.seconds, width=w) for w in (windows.SUSTAINED_SECONDS, windows.PEAK_SECONDS)]
    tens, ones = (windows.rates_by_step(done, step, count, grid) for grid in grids)
    return Rates(
        due=windows.rates_by_step(due[good], rows.step[good], count, grid),
        asked=windows.rates_by_step(due, rows.step, count, grid),
        tens=tens,
        ones=ones,
    )


def _latencies(stretch: _Stretch) -> list[Measurements]:
    """Response and service times of the successful responses, response times with failures, and the generator's lateness."""
    rows, count = stretch.rows, len(stretch.steps)
    if not len(rows):
        return [{} for _ in stretch.groups]
    slices = slices_of(rows.due - stretch.run.measured_from, stretch.seconds)
    good = rows.ok

    def quantiles(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], times: Times) -> list[Measurements]:
        """Of one kind of time over these rows, by step; a step without rows has no figure."""
        ranks = quantiles_of(times)
        observed = Observations(values=values, step=rows.step, slices=slices).where(mask)
        found = step_quantiles(observed, count, tuple(ranks.values()))
        return [dict(zip(ranks, estimates, strict=False)) for estimates in found]

    response = quantiles(rows.response_time, good, Times.RESPONSE)
    kept = rows.outcome != Outcome.CANCELLED
    alike = {rank: name for name, rank in LATENCY_QUANTILES.items()}
    ranks = quantiles_of(Times.WITH_FAILURES)
    if bool((good == kept).all()) and alike.keys() >= set(ranks.values()):
        with_failures = [{name: found[alike[rank]] for name, rank in ranks.items()} if found else {} for found in response]
    else:
        with_failures = quantiles(_times_with_failures(rows, good, count), kept, Times.WITH_FAILURES)
        # Where no request succeeded there is no latency, and the time that an error took is not one.
        with_failures = [new if old else {} for new, old in zip(with_failures, response, strict=True)]
    service = quantiles(rows.service_time, good, Times.SERVICE)
    lateness = quantiles(rows.lateness, np.ones(len(rows), np.bool_), Times.LATENESS)
    offset = rows.due[good] - stretch.run.measured_from
    means = averages(rows.response_time[good], rows.step[good], offset, steps=count, seconds=stretch.seconds)
    return merged(response, means, with_failures, service, lateness)


def _times_with_failures(rows: Samples, good: npt.NDArray[np.bool_], steps: int) -> npt.NDArray[np.float64]:
    """Response times in which a failure is never faster than the slowest request of its step.

    A timeout stands with the time it took. An error that came quickly has left somebody without a response for ever, so it
    ranks behind every answer: turning slow responses into quick errors never improves a quantile over these times.
    """
    times = rows.response_time
    slowest = np.zeros(steps)
    np.maximum.at(slowest, rows.step, times)
    return np.where(good | (rows.outcome == Outcome.TIMEOUT), times, slowest[rows.step])


def _rows_of_groups(stretch: _Stretch) -> list[Samples]:
    """The measured rows that say how a cache answered, of each step and of all of them."""
    said = stretch.rows.where(stretch.rows.cache != NO_CACHE_HEADER)
    return [*(said.where(said.step == index) for index in range(len(stretch.steps))), said]


def _tallies(stretch: _Stretch, layers: Sequence[str], of_steps: Sequence[Samples]) -> Tallies:
    rows = stretch.rows
    received = np.bincount(rows.step, weights=rows.received, minlength=len(stretch.steps))
    return Tallies(
        statuses=stretch.tally(rows.status, int(rows.status.max(initial=0)) + 1),
        outcomes=stretch.tally(rows.outcome, max(Outcome) + 1),
        cache=stretch.tally(rows.cache, int(rows.cache.max(initial=0)) + 1),
        received=np.append(received, received.sum()),
        layers=[caches.cache_layers(each, layers) for each in of_steps],
    )
