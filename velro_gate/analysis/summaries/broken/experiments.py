"""What was expected of a service while something was broken on purpose, measured from samples and from the proxies' counts.

The stretches of an experiment are cut by the instants at which it was begun and undone, not by those that were planned:

- before: the steady state that it asks for, else everything since the experiment before, 10 s at most;
- during: from its beginning to its end; a request belongs to it by its due time;
- after: to the next experiment's beginning, or to the end of the measured stretch; of an invalidation, which is not undone, it
  begins with the invalidation.

Recovery is looked for in windows of a second. A window is bad where its share of errors is above the upper end of the interval
before the fault, or its median response time by a quarter and a millisecond above the highest median of a second before it. It
is over with the last bad window before three good ones in a row; failover is the same while the fault lasts. The hit rate is
back in the same way: a window is bad where the upper end of its interval is below the lower end before. An open breaker is five
fast failures in a row, or a watched value that is higher than before the fault.

What probes have seen: a read counts from the moment at which the invalidation was acknowledged, and is stale if it gave the old
value; the service is consistent with the last stale read, to the next read that was fresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.statistics import intervals
from velro_gate.analysis.summaries.quantiles import Observations, slices_of, step_quantiles
from velro_gate.model.record import Estimate, ExpectedFigure, ExperimentSummary
from velro_gate.model.resilience.experiment import (
    CarriedOut,
    DependencyCount,
    Expectation,
    Expected,
    Experiment,
    InvalidateAction,
)
from velro_gate.model.resilience.probes import Probed, ProbeKind, ProbeOutcome
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome, Samples
from velro_gate.model.scenario import ALL_STEPS, Phase

WINDOW = 1.0
"""Seconds: what is awaited after a fault is judged in windows of this length, so times are known to a second."""
IN_A_ROW = 5
"""Fast failures that show an open breaker."""
GOOD_WINDOWS = 3
"""Good windows in a row that show a recovery."""
MORE, MORE_SECONDS = 1.25, 0.001
"""How far a median may lie above those before the fault."""
LONGEST_BEFORE = 10.0
"""Seconds before a fault that show what is usual, where the experiment names no steady stretch."""
_LEAST_ROWS = 3
"""Requests whose median says anything; a window with fewer successful ones has none."""
_OF_PROBES = {Expected.STALE: ProbeKind.READS, Expected.CONSISTENCY: ProbeKind.READS, Expected.LOST: ProbeKind.WRITES}
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stretches:
    """The instants between which an experiment is looked at, and the samples of its phase. Seconds since the run's start."""

    before: float
    begun: float
    ended: float
    over: float
    """From when on what recovers is waited for."""
    until: float
    every: Samples
    steps: Sequence[str]

    def of(self, wanted: Expectation) -> Samples:
        """The samples of the step that is meant."""
        if wanted.step == ALL_STEPS:
            return self.every
        return self.every.where(self.every.step == self.steps.index(wanted.step))


def experiment_summaries(
    phase: Phase,
    steps: Sequence[str],
    run: PhaseRun,
    every: Samples,
    carried: Sequence[CarriedOut],
    counts: Sequence[DependencyCount],
    readings: Sequence[Reading] = (),
) -> tuple[ExperimentSummary, ...]:
    """Every experiment that was carried out, in the order of time, with each figure of which something is expected."""
    planned = {(each.name, each.repeat): each for each in phase.experiments}
    done = sorted((each for each in carried if (each.experiment, each.repeat) in planned), key=lambda each: each.begun)
    ends = [run.measured_from, *(each.begun if each.ended is None else each.ended for each in done)]
    begins = [*(each.begun for each in done), run.measured_until]
    kept = every.where(every.outcome != Outcome.CANCELLED)
    found = []
    for index, each in enumerate(done):
        experiment = planned[each.experiment, each.repeat]
        figures: tuple[ExpectedFigure, ...] = tuple(
            ExpectedFigure(expectation=wanted, estimate=None) for wanted in experiment.expected
        )
        if each.ended is not None:
            longest = experiment.steady or LONGEST_BEFORE
            stretches = _Stretches(
                before=max(ends[index], each.begun - longest),
                begun=each.begun,
                ended=each.ended,
                over=each.begun if isinstance(experiment.action, InvalidateAction) else each.ended,
                until=max(begins[index + 1], each.ended),
                every=kept,
                steps=steps,
            )
            seen = {found.kind: found for found in each.probed}
            figures = tuple(_figure(wanted, experiment, stretches, counts, readings, seen) for wanted in experiment.expected)
        found.append(
            ExperimentSummary(
                name=each.experiment,
                repeat=each.repeat,
                begun=each.begun - run.measured_from,
                ended=None if each.ended is None else each.ended - run.measured_from,
                fault=each.fault,
                figures=figures,
            )
        )
    return tuple(found)


def _figure(
    wanted: Expectation,
    experiment: Experiment,
    stretches: _Stretches,
    counts: Sequence[DependencyCount],
    readings: Sequence[Reading],
    seen: Mapping[ProbeKind, Probed],
) -> ExpectedFigure:
    if wanted.probed or wanted.kind in _OF_PROBES:
        probed = seen.get(_OF_PROBES.get(wanted.kind, ProbeKind.DEGRADED))
        return ExpectedFigure(expectation=wanted, estimate=None) if probed is None else _seen(wanted, probed, stretches.begun)
    rows = stretches.of(wanted)
    during = rows.where((rows.due >= stretches.begun) & (rows.due < stretches.ended))
    degraded = next((each.statuses for each in experiment.expected if each.kind is Expected.DEGRADED), ())
    estimate, unfinished = None, False
    match wanted.kind:
        case Expected.ERRORS:
            failed = ~during.ok & ~np.isin(during.status, degraded)
            estimate = intervals.wilson(int(failed.sum()), len(during)) if len(during) else None
        case Expected.DEGRADED:
            declared = np.isin(during.status, wanted.statuses)
            estimate = intervals.wilson(int(declared.sum()), len(during)) if len(during) else None
        case Expected.P95:
            estimate = _p95(during.where(during.ok), stretches)
        case Expected.BREAKER:
            estimate, unfinished = (
                _raised([each for each in readings if each.name == wanted.metric], stretches)
                if wanted.metric
                else _breaker(wanted, during, stretches)
            )
        case Expected.RECOVERY:
            estimate, unfinished = _recovery(rows, stretches, stretches.over, stretches.until)
        case Expected.FAILOVER:
            estimate, unfinished = _recovery(rows, stretches, stretches.begun, stretches.ended)
        case Expected.HIT_RATE:
            estimate, unfinished = _hit_rate(rows, stretches)
        case Expected.RETRIES | Expected.LOAD:
            estimate = _retries([each for each in counts if each.proxy == wanted.proxy], stretches)
    return ExpectedFigure(expectation=wanted, estimate=estimate, unfinished=unfinished)


def _p95(good: Samples, stretches: _Stretches) -> Estimate | None:
    if not len(good):
        return None
    length = stretches.ended - stretches.begun
    observed = Observations(
        values=good.response_time,
        step=np.zeros(len(good), np.uint16),
        slices=slices_of(good.due - stretches.begun, length),
    )
    return step_quantiles(observed, 1, [0.95])[0][0]


def _breaker(wanted: Expectation, during: Samples, stretches: _Stretches) -> tuple[Estimate | None, bool]:
    """Seconds until the first of several fast failures in a row; where all steps are meant, successes in between count not."""
    kind = np.isin(during.status, wanted.statuses)
    tried = during.where(kind | ~during.ok) if wanted.step == ALL_STEPS else during
    # By when responses came: a breaker counts what it has seen fail.
    order = np.argsort(tried.done, kind="stable")
    done: npt.NDArray[np.float64] = tried.done[order]
    fast: _Mask = (np.isin(tried.status, wanted.statuses) & (tried.service_time <= wanted.fast))[order]
    for first in range(len(fast) - IN_A_ROW + 1):
        if bool(fast[first : first + IN_A_ROW].all()):
            after = max(float(done[first]) - stretches.begun, 0.0)
            return Estimate.exact(after, n=len(tried)), False
    return Estimate.exact(stretches.ended - stretches.begun, n=len(tried)), True


def _raised(readings: Sequence[Reading], stretches: _Stretches) -> tuple[Estimate | None, bool]:
    """Seconds until a watched value is higher than before the fault, to a reading; None where it was not read before."""
    known = [each for each in readings if stretches.before - WINDOW <= each.at <= stretches.begun]
    during = [each for each in readings if stretches.begun < each.at <= stretches.ended + WINDOW]
    if not known or not during:
        return None, False
    usual, last = known[-1].value, stretches.begun
    for each in during:
        if each.value > usual:
            after = each.at - stretches.begun
            return Estimate(value=after, low=last - stretches.begun, high=after, n=len(during)), False
        last = each.at
    return Estimate.exact(stretches.ended - stretches.begun, n=len(during)), True


def _seen(wanted: Expectation, probed: Probed, begun: float) -> ExpectedFigure:
    """A figure of what a probe has seen; without an estimate where nothing of it shows anything.

    begun: the fault, before which a probe may have looked already.
    """
    meaningful = [
        (sent, reader, seen)
        for sent, reader, seen in zip(probed.sent, probed.reader, probed.seen, strict=True)
        if seen is not ProbeOutcome.NONE
    ]
    bad = [each for each in meaningful if each[2] is ProbeOutcome.BAD]
    users = (len({reader for _, reader, _ in bad}), len({reader for _, reader, _ in meaningful}))
    match wanted.kind:
        case Expected.LOST if probed.sent:
            # Writes that were all refused cannot be lost; where none was tried, nothing is known.
            return ExpectedFigure(expectation=wanted, estimate=Estimate.exact(float(len(bad)), n=len(meaningful)))
        case Expected.DEGRADED:
            during = [seen for sent, _, seen in meaningful if sent >= begun]
            estimate = intervals.wilson(during.count(ProbeOutcome.GOOD), len(during)) if during else None
            return ExpectedFigure(expectation=wanted, estimate=estimate)
        case _ if not meaningful:
            return ExpectedFigure(expectation=wanted, estimate=None)
        case Expected.STALE:
            return ExpectedFigure(
                expectation=wanted, estimate=Estimate.exact(len(bad) / len(meaningful), n=len(meaningful)), users=users
            )
    last = max((sent for sent, _, _ in bad), default=probed.since)
    fresh = [sent for sent, _, seen in meaningful if seen is ProbeOutcome.GOOD and sent > last]
    if bad and not fresh:
        after = max(probed.until - probed.since, 0.0)
        return ExpectedFigure(
            expectation=wanted, estimate=Estimate.exact(after, n=len(meaningful)), unfinished=True, users=users
        )
    value = last - probed.since
    high = max(min(fresh, default=last) - probed.since, value) if bad else value
    return ExpectedFigure(
        expectation=wanted, estimate=Estimate(value=value, low=value, high=high, n=len(meaningful)), users=users
    )


def _recovery(rows: Samples, stretches: _Stretches, start: float, until: float) -> tuple[Estimate | None, bool]:
    """Seconds from the start until the service is as it was, to a window; None where too little was asked."""
    before = rows.where((rows.due >= stretches.before) & (rows.due < stretches.begun))
    if len(before) < _LEAST_ROWS or not before.ok.any():
        return None, False
    # The upper end: as many errors as before must not look like more by chance.
    most_errors = intervals.wilson(int((~before.ok).sum()), len(before)).high if (~before.ok).any() else 0.0
    medians = [found for _, found in _medians(before, stretches.before, stretches.begun) if found is not None]
    if not medians:
        return None, False
    highest = max(medians) * MORE + MORE_SECONDS
    after = rows.where((rows.due >= start) & (rows.due < until))
    seen = _windows(after, start, until)
    return _well_again([(end, _is_bad(window, most_errors, highest)) for end, window in seen if len(window)], start, until)


def _hit_rate(rows: Samples, stretches: _Stretches) -> tuple[Estimate | None, bool]:
    """Seconds until the hit rate is as it was, to a window; None where no response says how a cache answered."""
    meaningful = rows.where(rows.ok & (rows.cache != NO_CACHE_HEADER))
    hit = meaningful.cache >= FIRST_CACHE_LAYER
    before = (meaningful.due >= stretches.before) & (meaningful.due < stretches.begun)
    if int(before.sum()) < _LEAST_ROWS:
        return None, False
    least = intervals.wilson(int(hit[before].sum()), int(before.sum())).low
    after = meaningful.where((meaningful.due >= stretches.over) & (meaningful.due < stretches.until))
    judged = [
        # Bad only where even the upper end lies below what was usual: a window holds few look-ups.
        (end, intervals.wilson(int((window.cache >= FIRST_CACHE_LAYER).sum()), len(window)).high < least)
        for end, window in _windows(after, stretches.over, stretches.until)
        if len(window)
    ]
    return _well_again(judged, stretches.over, stretches.until)


def _well_again(judged: Sequence[tuple[float, bool]], start: float, until: float) -> tuple[Estimate | None, bool]:
    """Seconds until the last bad window before enough good ones. judged: the end of each window, and whether it is bad."""
    if not judged:
        return None, False
    good, last_bad = 0, 0.0
    for end, bad in judged:
        if bad:
            good, last_bad = 0, end - start
        else:
            good += 1
            if good >= GOOD_WINDOWS:
                break
    # Not well for long enough until the stretch ended: the time is at least what was waited for.
    if good < min(GOOD_WINDOWS, len(judged)):
        return Estimate.exact(until - start, n=len(judged)), True
    # It recovered somewhere within the last bad window.
    return Estimate(value=last_bad, low=max(last_bad - WINDOW, 0.0), high=last_bad, n=len(judged)), False


def _is_bad(window: Samples, most_errors: float, highest: float) -> bool:
    if float((~window.ok).mean()) > most_errors:
        return True
    return bool(window.ok.any()) and float(np.median(window.response_time[window.ok])) > highest


def _windows(rows: Samples, begin: float, end: float) -> Iterator[tuple[float, Samples]]:
    """The rows of each whole window by due time, with the window's end; one that is shorter stands alone."""
    count = max(int((end - begin) / WINDOW + 1e-9), 1)
    for index in range(count):
        start, stop = begin + index * WINDOW, min(begin + (index + 1) * WINDOW, end)
        yield stop, rows.where((rows.due >= start) & (rows.due < stop))


def _medians(rows: Samples, begin: float, end: float) -> Iterator[tuple[float, float | None]]:
    for stop, window in _windows(rows, begin, end):
        good = window.ok
        yield stop, float(np.median(window.response_time[good])) if int(good.sum()) >= _LEAST_ROWS else None


def _retries(counts: Sequence[DependencyCount], stretches: _Stretches) -> Estimate | None:
    """The highest rate at the dependency over a second or more, as a multiple of the mean rate before."""
    # Connections count as well: a service that cannot connect retries by connecting, and sends no request.
    asked = [(each.at, each.accepted + (each.requests or 0)) for each in counts]
    known = [each for each in asked if stretches.before <= each[0] <= stretches.begun]
    if len(known) < 2:
        return None
    (first, before), (last, until) = known[0], known[-1]
    usual = (until - before) / (last - first) if last > first else 0.0
    later = [each for each in asked if stretches.begun <= each[0] <= stretches.until]
    if usual <= 0.0 or not later:
        return None
    rates, start = [], later[0]
    for _, each in pairwise(later):
        # Counts are read about once a second; a window that misses its second by a little is a whole one.
        if each[0] - start[0] >= WINDOW - 0.1:
            rates.append((each[1] - start[1]) / (each[0] - start[0]))
            start = each
    return Estimate.exact(max(rates) / usual, n=until - before) if rates else None
