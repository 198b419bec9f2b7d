"""What a generator that stood still did to the figures: stopped by a signal, or without a core.

Such a delay is known request by request, so the best that each figure can have been without it is known as well
(``undelayed``). It breaks a run where that best value would have been another result, and never otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from velro_gate import units
from velro_gate.analysis.verdict.generator_delay import Decided
from velro_gate.analysis.verdict.trust_limits import DEFAULT_LIMITS, TrustLimits, finding
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS, Phase
from velro_gate.model.verdict import Change, Comparison, Level, RequirementStatus, Trust, TrustFinding

_COMPARED = ("p50", "p95")
"""What may fail a run by default. A short stall always reaches the p99 of a short block, which fails nothing."""


def stall_findings(
    phase: Phase, summary: PhaseSummary, limits: TrustLimits = DEFAULT_LIMITS, decided: Decided | None = None
) -> Iterator[TrustFinding]:
    """A finding where the generator stood still and a result could have been another one without that.

    decided: the run's results. None: they are not known; then a large part of what was measured is too much.
    """
    if summary.stalled <= 0.0:
        return
    tightest = phase.tightest_latency_limit or limits.latency_limit
    if decided is None:
        changed = tuple(_swollen(summary, limits, tightest))
    else:
        changed = tuple(dict.fromkeys((*_limits(summary, decided), *_changes(summary, decided))))
    longest = units.format_seconds(summary.longest_stall)
    sentence = f"the generator stood still in {summary.name}, for {longest} at the longest"
    advice = "Give the generator a core that nothing else uses, or a quieter machine, and run again."
    if changed:
        named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        yield finding(
            "stalled",
            Trust.BROKEN,
            summary.name,
            summary.longest_stall,
            tightest,
            sentence=f"{sentence}; without that delay {named} might not have failed" if decided is not None else sentence,
            advice=advice,
        )
    elif summary.longest_stall > tightest >= summary.health.loop_lag_max:
        # Where the loop was seen to be busy for so long, that is said already.
        yield finding(
            "stalled",
            Trust.CAVEAT,
            summary.name,
            summary.longest_stall,
            tightest,
            sentence=f"{sentence}, longer than the latency limit of {units.format_seconds(tightest)}",
            advice=advice,
        )


def _swollen(summary: PhaseSummary, limits: TrustLimits, tightest: float) -> Iterator[str]:
    """The figures of which the delay may be a large part, of themselves and of the latency limit, as for lateness."""
    for metric in _COMPARED:
        share, measured = _share_left(summary, metric, ALL_STEPS), summary.measurement(metric, ALL_STEPS)
        if share is None or measured is None:
            continue
        if 1.0 - share > limits.lag_broken and (1.0 - share) * measured.value > limits.lag_broken * tightest:
            yield METRICS[metric].label


def _share_left(summary: PhaseSummary, metric: str, step: str) -> float | None:
    """What the best value of a figure is of the measured one; None where either is not known."""
    found = summary.step(step)
    measured = summary.measurement(metric, step)
    if found is None or measured is None or metric not in found.undelayed or measured.value <= 0.0:
        return None
    return found.undelayed[metric] / measured.value


def _limits(summary: PhaseSummary, decided: Decided) -> Iterator[str]:
    for result in decided.requirements:
        if result.phase != summary.name or result.level is not Level.FAIL or result.status is RequirementStatus.NOT_MEASURED:
            continue
        wanted = result.requirement
        found = summary.step(wanted.step)
        best = None if found is None else found.undelayed.get(wanted.metric)
        # What fails an optional requirement is its critical level.
        limit = wanted.target if wanted.required or wanted.critical is None else wanted.critical
        if best is not None and wanted.comparator.holds(best, limit):
            yield _name(wanted.step, wanted.metric)


def _changes(summary: PhaseSummary, decided: Decided) -> Iterator[str]:
    for row in decided.comparisons:
        if row.phase == summary.name and row.level is Level.FAIL and row.verdict is Change.REGRESSION and _undone(summary, row):
            yield _name(row.step, row.metric)


def _undone(summary: PhaseSummary, row: Comparison) -> bool:
    """Whether the change would be none with the best value that the figure can have had."""
    share = _share_left(summary, row.metric, row.step)
    if share is None or row.current is None or row.baseline is None:
        return False
    # ``current`` may be the mean of several runs: what counts is how much of it the delay can have been.
    best, sign = row.current * share, METRICS[row.metric].worse_sign
    return sign * best <= sign * row.baseline * (1.0 + sign * (row.margin or 0.0))


def _name(step: str, metric: str) -> str:
    label = METRICS[metric].label
    return label if step == ALL_STEPS else f"{step} {label}"
