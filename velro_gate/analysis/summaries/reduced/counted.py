"""What a phase's summary makes of counts, wherever they come from: the samples themselves, or samples that were reduced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from velro_gate.analysis.statistics import intervals
from velro_gate.analysis.summaries import caches, windows
from velro_gate.analysis.summaries.resources import ResourceSeries, resource_summaries
from velro_gate.arrays import Floats, Ints
from velro_gate.errors import BrokenError
from velro_gate.model.record import CacheLayer, Counts, Estimate, ExperimentSummary, PhaseSummary, StepSummary, Window
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome
from velro_gate.model.scenario import ALL_STEPS, Phase

Measurements = dict[str, Estimate]
K = TypeVar("K", int, str)


def groups_of(steps: Sequence[str]) -> tuple[str, ...]:
    """The steps, then all of them."""
    return (*steps, ALL_STEPS)


def merged(*tables: Iterable[Measurements]) -> list[Measurements]:
    """The tables' rows put together, group by group."""
    return [{name: estimate for part in parts for name, estimate in part.items()} for parts in zip(*tables, strict=True)]


def books_of(run: PhaseRun, steps: Sequence[str], outcomes: Ints) -> list[Counts]:
    """The counts of each group. outcomes: how often each outcome came, a row for each group.

    Raises:
        BrokenError: the engine's counts do not balance: an arrival is neither sent nor accounted for.
    """
    found = []
    for name, row in zip(groups_of(steps), outcomes.tolist(), strict=True):
        members = steps if name == ALL_STEPS else (name,)
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


def shares(books: Sequence[Counts]) -> list[Measurements]:
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


def cache_hits(table: Ints) -> list[Measurements]:
    """Hit rates. table: how often each cache code came, a row for each group."""
    misses, hits = table[:, CACHE_MISS].tolist(), table[:, FIRST_CACHE_LAYER:].sum(axis=1).tolist()
    return [{"hit_rate": intervals.wilson(h, h + m)} if h + m else {} for h, m in zip(hits, misses, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rates:
    """Successful responses a second of each group, in whole windows."""

    due: Floats
    """By when they were asked for, in the windows of charts."""
    asked: Floats
    """All requests, likewise."""
    tens: Floats
    ones: Floats
    """``tens`` and ``ones``: by when they came, in windows of ten seconds and of one."""


def throughputs(
    rates: Rates, books: Sequence[Counts], charts: Sequence[Window], seconds: float, *, planned: bool
) -> list[Measurements]:
    """Mean, least sustained and peak rate of successful responses. planned: the arrivals were fixed in advance (open)."""
    variation = rates.due
    if planned:
        # When each request falls due is drawn from the scenario's seed: only how many succeeded is left to chance.
        expected = variation.sum(axis=1) / np.maximum(rates.asked.sum(axis=1), 1e-300)
        variation = variation - rates.asked * expected[:, None]
    measured = []
    for group, counts in enumerate(books):
        mean = intervals.mean_rate(variation[group], counts.ok, seconds)
        least, peak = float(rates.tens[group].min()), float(rates.ones[group].max())
        if group == len(books) - 1:
            # Of all steps as the charts show it, so that the figure and the curve agree.
            least = min(windows.sustained_rates(charts))
        measured.append(
            {
                "throughput": mean,
                "sustained_throughput": Estimate.exact(least, n=rates.tens.shape[1]),
                "peak_throughput": Estimate.exact(peak, n=rates.ones.shape[1]),
            }
        )
    return measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tallies:
    """How often each status, outcome and cache code came: a row for each group, a column for each value."""

    statuses: Ints
    outcomes: Ints
    cache: Ints
    received: Floats
    """Bytes of each group."""
    layers: Sequence[tuple[CacheLayer, ...]]


def step_summaries(
    steps: Sequence[str],
    books: Sequence[Counts],
    measured: Sequence[Measurements],
    best: Sequence[dict[str, float]],
    tallies: Tallies,
    layers: Sequence[str],
) -> tuple[StepSummary, ...]:
    """All steps first, then each in the scenario's order."""
    summaries = [
        StepSummary(
            step=name,
            counts=books[i],
            measurements=measured[i],
            undelayed=best[i],
            statuses=_seen(tallies.statuses[i], {code: code for code in range(1, tallies.statuses.shape[1])}),
            outcomes=_seen(tallies.outcomes[i], {outcome.value: outcome.name for outcome in Outcome}),
            cache=_seen(
                tallies.cache[i],
                {code: caches.layer_name(code, layers) for code in range(CACHE_MISS, tallies.cache.shape[1])},
            ),
            layers=tallies.layers[i],
            received=round(float(tallies.received[i])),
        )
        for i, name in enumerate(groups_of(steps))
    ]
    # All steps were made last, as the sum of the others, and are read first.
    return (summaries[-1], *summaries[:-1])


def _seen(counts: Ints, names: dict[int, K]) -> dict[K, int]:
    return {name: int(counts[code]) for code, name in names.items() if counts[code]}


def users_held(run: PhaseRun) -> Measurements:
    """The least number of users connected at any tick of the measured stretch."""
    held = [tick.connected for tick in run.ticks if run.measured_from <= tick.at < run.measured_until]
    return {"users_held": Estimate.exact(min(held), n=len(held))} if held else {}


def phase_summary(
    phase: Phase,
    run: PhaseRun,
    series: ResourceSeries,
    *,
    steps: tuple[StepSummary, ...],
    charts: tuple[Window, ...],
    warm_up: tuple[tuple[float, float], ...],
    experiments: tuple[ExperimentSummary, ...] = (),
    reduced: float | None = None,
) -> PhaseSummary:
    """The summary of a phase, of these parts; for the others see there."""
    return PhaseSummary(
        name=phase.name,
        users=phase.users,
        offered_rate=phase.offered_rate,
        ramp=phase.ramp,
        measured_seconds=run.measured_until - run.measured_from,
        planned_seconds=phase.duration,
        steps=steps,
        windows=charts,
        resources=resource_summaries(series, run),
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
        warm_up=warm_up,
        experiments=experiments,
        reduced=reduced,
        **_standstill(run),
    )


def _standstill(run: PhaseRun) -> dict[str, float]:
    """For how long the generator stood still while the phase was measured and drained."""
    lengths = [stall.end - max(stall.start, run.measured_from) for stall in run.stalls if stall.end > run.measured_from]
    return {"stalled": sum(lengths), "longest_stall": max(lengths)} if lengths else {}
