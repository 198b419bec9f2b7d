"""One phase, summarised: the counts, and every figure that was measured, with its interval.

What counts is the measured stretch: samples whose due time lies in [measured_from, measured_until). A figure that was not
measured is absent, never 0. Samples of requests that are not steps of the journey (a login) are in no count and no figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.statistics import intervals
from velro_gate.analysis.summaries import caches, windows
from velro_gate.analysis.summaries.averages import averages
from velro_gate.analysis.summaries.broken.experiments import experiment_summaries
from velro_gate.analysis.summaries.broken.measurements import experiment_measurements
from velro_gate.analysis.summaries.own import own_measurements
from velro_gate.analysis.summaries.own_windows import own_by_window
from velro_gate.analysis.summaries.quantiles import Observations, slices_of, step_quantiles
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.analysis.summaries.undelayed import undelayed
from velro_gate.errors import BrokenError
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.metrics import LATENCY_QUANTILES, Times, quantiles_of
from velro_gate.model.record import Counts, Estimate, PhaseSummary, StepSummary, Window
from velro_gate.model.resilience.experiment import CarriedOut, DependencyCount
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples
from velro_gate.model.scenario import ALL_STEPS, Phase

Measurements = dict[str, Estimate]
K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretch:
    """The measured rows, and everything of the phase that the counts need. Groups are the steps, then all of them."""

    steps: tuple[str, ...]
    run: PhaseRun
    every: Samples
    rows: Samples

    @property
    def seconds(self) -> float:
        """Length of the measured stretch."""
        return self.run.measured_until - self.run.measured_from

    @property
    def groups(self) -> tuple[str, ...]:
        """The steps, and all of them together."""
        return (*self.steps, ALL_STEPS)

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
    resources = resource_summaries(series, run)
    books = _books(stretch)
    measured = _merged(_shares(books), _latencies(stretch), _cache_hits(stretch))
    of_steps = _rows_of_groups(stretch)
    measured = _merged(measured, [caches.cache_figures(rows) for rows in of_steps])
    if stretch.seconds > 0.0:
        measured = _merged(measured, _throughputs(stretch, books, charts, planned=phase.offered_rate is not None))
    best = undelayed(stretch.rows, run, _times_with_failures(stretch.rows, stretch.rows.ok, len(steps)), books, measured)
    measured[-1].update(_users_held(run), **resource_measurements(series, resources, run, books[-1].ok))
    measured[-1].update(own_measurements(own, series, run, stretch.rows, stretch.steps))
    if own and charts:
        grid = windows.chart_grid(stretch.seconds)
        found_in = own_by_window(own, series, run, stretch.rows, stretch.steps, grid)
        charts = tuple(replace(window, own=each) for window, each in zip(charts, found_in, strict=True))
    experiments = experiment_summaries(phase, steps, run, stretch.every, carried, counts, readings)
    for name, found in zip(stretch.groups, measured, strict=True):
        found.update(experiment_measurements(experiments, name))
    return PhaseSummary(
        name=phase.name,
        users=phase.users,
        offered_rate=phase.offered_rate,
        ramp=phase.ramp,
        measured_seconds=stretch.seconds,
        planned_seconds=phase.duration,
        steps=_step_summaries(stretch, books, measured, best, layers, of_steps),
        windows=charts,
        resources=resources,
        health=run.health,
        sent_total=run.sent_total,
        delivered_total=run.delivered_total,
        connections_opened=run.connections_opened,
        reconnects=run.reconnects,
        interrupted=run.interrupted,
        service_gone=run.service_gone,
        shards_lost=run.shards_lost,
        workers=run.workers,
        redirects_followed=run.redirects_followed,
        tls_fault=run.tls_fault,
        hopeless=run.hopeless,
        failures=run.failures,
        bottlenecks=(),
        warm_up=caches.warm_up_curve(stretch.every, run),
        experiments=experiments,
        **_standstill(run),
    )


def _standstill(run: PhaseRun) -> dict[str, float]:
    """For how long the generator stood still while the phase was measured and drained."""
    lengths = [stall.end - max(stall.start, run.measured_from) for stall in run.stalls if stall.end > run.measured_from]
    return {"stalled": sum(lengths), "longest_stall": max(lengths)} if lengths else {}


def _stretch(steps: Sequence[str], run: PhaseRun, samples: Samples) -> _Stretch:
    # A login has the index behind the last step's: it is sent and recorded, and is no request of the journey.
    known = samples.step < len(steps)
    every = samples if bool(known.all()) else samples.where(known)
    inside = (every.due >= run.measured_from) & (every.due < run.measured_until)
    rows = every if bool(inside.all()) else every.where(inside)
    return _Stretch(steps=tuple(steps), run=run, every=every, rows=rows)


def _books(stretch: _Stretch) -> list[Counts]:
    outcomes = stretch.tally(stretch.rows.outcome, max(Outcome) + 1)
    run, found = stretch.run, []
    for name, row in zip(stretch.groups, outcomes.tolist(), strict=True):
        members = stretch.steps if name == ALL_STEPS else (name,)
        due, blocked, missed = (sum(book.get(m, 0) for m in members) for book in (run.due, run.blocked, run.missed))
        sent, ok, cancelled = sum(row), row[Outcome.OK], row[Outcome.CANCELLED]
        # A run that has lost samples would look faster or slower than it was, by as much as they differ from the rest.
        if due != sent + blocked + missed:
            raise BrokenError(
                f"the counts do not balance: {due} requests fell due, but {sent} were sent, {blocked} blocked, {missed} missed",
                where=f"phase {run.name}, step {name}",
                why="samples were lost on the way to the record, or the record was changed",
                hint="Run again; if it happens again, report it with the log file.",
            )
        failed = sent - ok - cancelled
        found.append(Counts(due=due, sent=sent, ok=ok, failed=failed, cancelled=cancelled, blocked=blocked, missed=missed))
    return found


def _shares(books: Sequence[Counts]) -> list[Measurements]:
    """Error rate and achieved share."""
    measured: list[Measurements] = []
    for counts in books:
        found: Measurements = {}
        # Without cancelled and missed ones, which the service had no chance to answer; blocked ones waited for it in vain.
        asked = counts.ok + counts.failed + counts.blocked
        if asked:
            found["error_rate"] = intervals.wilson(asked - counts.ok, asked)
        if counts.due:
            found["achieved_share"] = intervals.wilson(counts.ok, counts.due)
        measured.append(found)
    return measured


def _throughputs(stretch: _Stretch, books: Sequence[Counts], charts: Sequence[Window], *, planned: bool) -> list[Measurements]:
    """Mean, least sustained and peak rate of successful responses. planned: the arrivals were fixed in advance (open)."""
    rows, count = stretch.rows, len(stretch.steps)
    good = rows.ok
    # Intervals come from windows by due time, since what a request does to the variation belongs to when it was asked; rates
    # that a service sustains, from windows by when it answered.
    grid = windows.chart_grid(stretch.seconds)
    due = rows.due - stretch.run.measured_from
    variation = windows.rates_by_step(due[good], rows.step[good], count, grid)
    if planned:
        asked = windows.rates_by_step(due, rows.step, count, grid)
        # When each request falls due is drawn from the scenario's seed: only how many succeeded is left to chance.
        variation -= asked * (variation.sum(axis=1) / np.maximum(asked.sum(axis=1), 1e-300))[:, None]
    answered = stretch.every.ok
    done, step = stretch.every.done[answered] - stretch.run.measured_from, stretch.every.step[answered]
    grids = [windows.Grid(seconds=stretch.seconds, width=w) for w in (windows.SUSTAINED_SECONDS, windows.PEAK_SECONDS)]
    tens, ones = (windows.rates_by_step(done, step, count, grid) for grid in grids)
    measured = []
    for group, counts in enumerate(books):
        mean = intervals.mean_rate(variation[group], counts.ok, stretch.seconds)
        least, peak = float(tens[group].min()), float(ones[group].max())
        if group == count:
            # Of all steps as the charts show it, so that the figure and the curve agree.
            least = min(windows.sustained_rates(charts))
        measured.append(
            {
                "throughput": mean,
                "sustained_throughput": Estimate.exact(least, n=tens.shape[1]),
                "peak_throughput": Estimate.exact(peak, n=ones.shape[1]),
            }
        )
    return measured


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
    return _merged(response, means, with_failures, service, lateness)


def _times_with_failures(rows: Samples, good: npt.NDArray[np.bool_], steps: int) -> npt.NDArray[np.float64]:
    """Response times in which a failure is never faster than the slowest request of its step.

    A timeout stands with the time it took. An error that came quickly has left somebody without a response for ever, so it
    ranks behind every answer: turning slow responses into quick errors never improves a quantile over these times.
    """
    times = rows.response_time
    slowest = np.zeros(steps)
    np.maximum.at(slowest, rows.step, times)
    return np.where(good | (rows.outcome == Outcome.TIMEOUT), times, slowest[rows.step])


def _cache_hits(stretch: _Stretch) -> list[Measurements]:
    table = stretch.tally(stretch.rows.cache, 256)
    misses, hits = table[:, CACHE_MISS].tolist(), table[:, FIRST_CACHE_LAYER:].sum(axis=1).tolist()
    return [{"hit_rate": intervals.wilson(h, h + m)} if h + m else {} for h, m in zip(hits, misses, strict=True)]


def _rows_of_groups(stretch: _Stretch) -> list[Samples]:
    """The measured rows that say how a cache answered, of each step and of all of them."""
    said = stretch.rows.where(stretch.rows.cache != NO_CACHE_HEADER)
    return [*(said.where(said.step == index) for index in range(len(stretch.steps))), said]


def _users_held(run: PhaseRun) -> Measurements:
    """The least number of users connected at any tick of the measured stretch."""
    held = [tick.connected for tick in run.ticks if run.measured_from <= tick.at < run.measured_until]
    return {"users_held": Estimate.exact(min(held), n=len(held))} if held else {}


def _step_summaries(
    stretch: _Stretch,
    books: Sequence[Counts],
    measured: Sequence[Measurements],
    best: Sequence[dict[str, float]],
    layers: Sequence[str],
    of_steps: Sequence[Samples],
) -> tuple[StepSummary, ...]:
    """All steps first, then each in the scenario's order."""
    rows = stretch.rows
    statuses = stretch.tally(rows.status, int(rows.status.max(initial=0)) + 1)
    outcomes = stretch.tally(rows.outcome, max(Outcome) + 1)
    cache = stretch.tally(rows.cache, int(rows.cache.max(initial=0)) + 1)
    received = np.bincount(rows.step, weights=rows.received, minlength=len(stretch.steps))
    totals = [*received.tolist(), float(received.sum())]
    summaries = [
        StepSummary(
            step=name,
            counts=books[i],
            measurements=measured[i],
            undelayed=best[i],
            statuses=_seen(statuses[i], {code: code for code in range(1, statuses.shape[1])}),
            outcomes=_seen(outcomes[i], {outcome.value: outcome.name for outcome in Outcome}),
            cache=_seen(cache[i], {code: caches.layer_name(code, layers) for code in range(CACHE_MISS, cache.shape[1])}),
            layers=caches.cache_layers(of_steps[i], layers),
            received=round(totals[i]),
        )
        for i, name in enumerate(stretch.groups)
    ]
    # All steps were made last, as the sum of the others, and are read first.
    return (summaries[-1], *summaries[:-1])


def _seen(counts: npt.NDArray[np.int64], names: dict[int, K]) -> dict[K, int]:
    return {name: int(counts[code]) for code, name in names.items() if counts[code]}


def _merged(*tables: Iterable[Measurements]) -> list[Measurements]:
    """The tables' rows put together, group by group."""
    return [{name: estimate for part in parts for name, estimate in part.items()} for parts in zip(*tables, strict=True)]
