"""What a generator that stood still did to the figures: stopped by a signal, or without a core.

Such a delay is known request by request, so the best that each figure can have been without it is known as well
(``undelayed``). It breaks a run where that best value would have been another result, and never otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.trust.delay import worst_worker
from velro_gate.analysis.verdict.trust.limits import DEFAULT_LIMITS, TrustLimits, broken, doubtful
from velro_gate.model.facts.doubts import FigureName, Stalled
from velro_gate.model.metrics import FAILING_QUANTILES, METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS, Phase
from velro_gate.model.verdict import Change, Comparison, Level, RequirementStatus, TrustFinding

_SEEN = 0.5
"""Share of the longest stall for which a worker's loop must have been busy for the stall to be called that worker's."""


def stall_findings(
    phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> Iterator[TrustFinding]:
    """A finding where the generator stood still and a result could have been another one without that.

    decided: the run's results. None: they are not known; then a large part of what was measured is too much.
    """
    if summary.stalled <= 0.0:
        return
    tightest = phase.tightest_latency_limit or limits.latency_limit
    affected: tuple[FigureName, ...] = ()
    if decided is None:
        breaks = any(_swollen(summary, limits, tightest))
    else:
        affected = tuple(dict.fromkeys((*_limits(summary, decided), *_changes(summary, decided))))
        breaks = bool(affected)
    # A stall may be known from elsewhere than the loop, or be that of two workers in turn: then no one is named.
    seen = summary.health.loop_lag_max >= _SEEN * summary.longest_stall
    worker = worst_worker(summary, "loop_lag_max") if seen else ""
    facts = Stalled(phase=summary.name, longest=summary.longest_stall, worker=worker)
    if breaks:
        yield broken(replace(facts, affected=affected), summary.longest_stall, tightest)
    elif summary.longest_stall > tightest >= summary.health.loop_lag_max:
        # Where the loop was seen to be busy for that long, this is reported already.
        yield doubtful(replace(facts, limit=tightest), summary.longest_stall, tightest)


def _swollen(summary: PhaseSummary, limits: TrustLimits, tightest: float) -> Iterator[bool]:
    """Of each figure that is compared, whether the delay may be a large part of it and of the latency limit."""
    # A short stall always reaches the p99 of a short block, which fails nothing.
    for metric in FAILING_QUANTILES:
        share, measured = _share_left(summary, metric, ALL_STEPS), summary.measurement(metric, ALL_STEPS)
        if share is None or measured is None:
            continue
        yield 1.0 - share > limits.lag_broken and (1.0 - share) * measured.value > limits.lag_broken * tightest


def _share_left(summary: PhaseSummary, metric: str, step: str) -> float | None:
    """What the best value of a figure is of the measured one; None where either is not known."""
    found = summary.step(step)
    measured = summary.measurement(metric, step)
    if found is None or measured is None or metric not in found.undelayed or measured.value <= 0.0:
        return None
    return found.undelayed[metric] / measured.value


def _limits(summary: PhaseSummary, decided: Decided) -> Iterator[FigureName]:
    for result in decided.requirements:
        if result.phase != summary.name or result.level is not Level.FAIL or result.status is RequirementStatus.NOT_MEASURED:
            continue
        wanted = result.requirement
        found = summary.step(wanted.step)
        best = None if found is None else found.undelayed.get(wanted.metric)
        # What fails an optional requirement is its critical level.
        limit = wanted.target if wanted.required or wanted.critical is None else wanted.critical
        if best is not None and wanted.comparator.holds(best, limit):
            yield FigureName(step=wanted.step, metric=wanted.metric)


def _changes(summary: PhaseSummary, decided: Decided) -> Iterator[FigureName]:
    for row in decided.comparisons:
        if (
            row.phase == summary.name
            and row.level is Level.FAIL
            and row.verdict is Change.REGRESSION
            and _affected(summary, row)
        ):
            yield FigureName(step=row.step, metric=row.metric)


def _affected(summary: PhaseSummary, row: Comparison) -> bool:
    """Whether the change would be none with the best value that the figure can have had."""
    share = _share_left(summary, row.metric, row.step)
    if share is None or row.current is None or row.baseline is None:
        return False
    # ``current`` may be the mean of several runs: what counts is how much of it the delay can have been.
    best, sign = row.current * share, METRICS[row.metric].worse_sign
    return sign * best <= sign * row.baseline * (1.0 + sign * (row.margin or 0.0))
