"""Absolute requirements against what was measured.

Rules, first match decides:
1. The phase was not reached or did not run to its end: not measured, broken. Where the service ended it (it stopped
   responding, or failed without hope): a limit missed until then is missed, all others are not measured, and both fail.
2. The figure is made of responses, requests were sent, and none succeeded: missed, fails. The service is the cause.
3. The figure is absent: not measured, broken. What was not measured is never green.
4. The value lies outside the critical level: critical, fails even when the requirement is not required.
5. The 95 % interval lies across the target: marginal; the value decides. Inside it warns, outside it counts as missed.
6. Inside the target: met. Outside: missed; fails when required, warns otherwise.

Growth is judged by the better end of its interval instead of its value: a leak is a slope that is certainly above the limit.
A missed limit on the generator's own lateness breaks the run instead of failing it.
"""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate.analysis.summaries.windows import sustained_rates
from velro_gate.model.metrics import Decides, Needs, Party
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Comparator, Phase, Requirement
from velro_gate.model.verdict import Level, Missing, RequirementResult, RequirementStatus, SustainedWindows

_UPPER = (Comparator.BELOW, Comparator.AT_MOST)


def check_requirements(phases: Sequence[Phase], record: RunRecord) -> tuple[RequirementResult, ...]:
    """Every requirement of every phase against the record, in their order; none is left out."""
    # What the service itself has kept from being measured fails; it is not a fault of the measurement.
    level = Level.FAIL if record.ended_by_service else Level.BROKEN
    return tuple(
        _check(phase.name, requirement, record.phase(phase.name), level)
        for phase in phases
        for requirement in phase.requirements
    )


def _check(phase: str, requirement: Requirement, summary: PhaseSummary | None, level: Level) -> RequirementResult:
    if summary is None:
        return _not_measured(phase, requirement, Missing.NOT_REACHED, level)
    estimate = summary.measurement(requirement.metric, requirement.step)
    if not summary.complete:
        found = judged(phase, requirement, estimate, summary) if estimate is not None else None
        # A limit that was missed until then was missed; one that was met until then was not met to the end.
        if found is not None and summary.ended_by_service and found.level is Level.FAIL:
            return found
        level = Level.FAIL if summary.ended_by_service else Level.BROKEN
        return _not_measured(phase, requirement, _cut_short(summary), level)
    if estimate is not None:
        return judged(phase, requirement, estimate, summary)
    if _nothing_answered(requirement, summary):
        return _unanswered(phase, requirement, summary)
    return _not_measured(phase, requirement, Missing.NO_FIGURE)


def _cut_short(summary: PhaseSummary) -> Missing:
    if summary.shards_lost:
        return Missing.SHARD_LOST
    if summary.ended_by_service:
        return Missing.SERVICE_STOPPED if summary.service_gone is not None else Missing.ENDED_EARLY
    return Missing.INTERRUPTED


def _not_measured(phase: str, requirement: Requirement, missing: Missing, level: Level = Level.BROKEN) -> RequirementResult:
    return RequirementResult(
        phase=phase,
        requirement=requirement,
        status=RequirementStatus.NOT_MEASURED,
        met=False,
        level=level,
        estimate=None,
        headroom=None,
        missing=missing,
    )


def _nothing_answered(requirement: Requirement, summary: PhaseSummary) -> bool:
    """Whether the figure is missing because no request succeeded, though some were sent."""
    step = summary.step(requirement.step)
    if step is None or Needs.ANSWERS not in requirement.definition.needs:
        return False
    return step.counts.ok == 0 and step.counts.sent + step.counts.blocked > 0


def _unanswered(phase: str, requirement: Requirement, summary: PhaseSummary) -> RequirementResult:
    step = summary.step(requirement.step)
    return RequirementResult(
        phase=phase,
        requirement=requirement,
        status=RequirementStatus.CRITICAL if requirement.critical is not None else RequirementStatus.MISSED,
        met=False,
        level=Level.FAIL,
        estimate=None,
        headroom=None,
        sent=step.counts.sent if step is not None else None,
    )


def judged(phase: str, requirement: Requirement, estimate: Estimate, summary: PhaseSummary) -> RequirementResult:
    """A requirement whose figure was measured: rules 4 to 6."""
    holds, target, critical = requirement.comparator.holds, requirement.target, requirement.critical
    decisive = decisive_value(requirement, estimate)
    met = holds(decisive, target)
    status = RequirementStatus.MET if met else RequirementStatus.MISSED
    if critical is not None and not holds(decisive, critical):
        status = RequirementStatus.CRITICAL
    elif holds(estimate.low, target) != holds(estimate.high, target):
        status = RequirementStatus.MARGINAL
    return RequirementResult(
        phase=phase,
        requirement=requirement,
        status=status,
        met=met,
        level=_of_the_generator(requirement, _level(status, met=met, required=requirement.required)),
        estimate=estimate,
        headroom=headroom_share(requirement, estimate.value),
        windows=_windows(requirement, summary),
    )


def decisive_value(requirement: Requirement, estimate: Estimate) -> float:
    """What of an estimate is compared with the limits."""
    if requirement.definition.decides is Decides.VALUE:
        return estimate.value
    return estimate.low if requirement.comparator in _UPPER else estimate.high


def _level(status: RequirementStatus, *, met: bool, required: bool) -> Level:
    if status is RequirementStatus.MET:
        return Level.PASS
    if status is RequirementStatus.CRITICAL or (not met and required):
        return Level.FAIL
    return Level.WARN


def _of_the_generator(requirement: Requirement, level: Level) -> Level:
    """A generator later than it may be is not a fault of the service: what it measured is not what was asked for."""
    return Level.BROKEN if requirement.definition.party is Party.GENERATOR and level is Level.FAIL else level


def headroom_share(requirement: Requirement, value: float) -> float | None:
    """(limit - value) / limit, signed so that + is inside the target; None for a limit of 0."""
    if requirement.target == 0.0:
        return None
    gap = (requirement.target - value) / abs(requirement.target)
    return gap if requirement.comparator in _UPPER else -gap


def _windows(requirement: Requirement, summary: PhaseSummary) -> SustainedWindows | None:
    """For a sustained rate: how many of the 10 s windows reached the target."""
    if not requirement.definition.sustained or requirement.step != ALL_STEPS:
        return None
    rates = sustained_rates(summary.windows)
    short = sum(not requirement.comparator.holds(rate, requirement.target) for rate in rates)
    return SustainedWindows(windows=len(rates), short=short, seconds=summary.measured_seconds)
