"""Absolute requirements against what was measured.

Rules, first match decides:
1. The phase was not reached or did not run to its end: not measured, broken. Where the service ended it (it stopped
   responding, or failed without hope): a limit missed until then is missed, all others are not measured, and both fail.
2. The figure is made of answers, requests were sent, and none was answered well: missed, fails. That is the service's doing.
3. The figure is absent: not measured, broken. What was not measured is never green.
4. The value lies outside the critical level: critical, fails even when the requirement is not required.
5. The 95 % interval lies across the target: marginal; the value decides. Inside it warns, outside it counts as missed.
6. Inside the target: met. Outside: missed; fails when required, warns otherwise.

Growth is judged by the better end of its interval instead of its value: a leak is a slope that is surely above the limit.
A missed limit on the generator's own lateness breaks the run instead of failing it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from velro_gate import units
from velro_gate.analysis.rows.wording import figure, figure_with_interval, limit
from velro_gate.analysis.summaries.windows import sustained_rates
from velro_gate.model.metrics import Decides, MetricKind, Needs, Party
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Comparator, Phase, Requirement
from velro_gate.model.verdict import Level, RequirementResult, RequirementStatus

_UPPER = (Comparator.BELOW, Comparator.AT_MOST)
_MET_WORDS = {
    Comparator.BELOW: "is under",
    Comparator.AT_MOST: "is at most",
    Comparator.ABOVE: "is over",
    Comparator.AT_LEAST: "is at least",
}


def check_requirements(phases: Sequence[Phase], record: RunRecord) -> tuple[RequirementResult, ...]:
    """Every requirement of every phase against the record, in their order; none is left out."""
    # What the service itself has kept from being measured fails; it is no fault of the measurement.
    level = Level.BROKEN if record.ended_by_service is None else Level.FAIL
    return tuple(
        _check(phase.name, requirement, record.phase(phase.name), level)
        for phase in phases
        for requirement in phase.requirements
    )


def _check(phase: str, requirement: Requirement, summary: PhaseSummary | None, level: Level) -> RequirementResult:
    if summary is None:
        return _not_measured(phase, requirement, f"the phase {phase} was not reached", level)
    estimate = summary.measurement(requirement.metric, requirement.step)
    if not summary.complete:
        found = _judged(phase, requirement, estimate, summary) if estimate is not None else None
        # A limit that was missed until then was missed; one that was met until then was not met to the end.
        if found is not None and summary.ended_by_service is not None and found.level is Level.FAIL:
            return found
        level = Level.BROKEN if summary.ended_by_service is None else Level.FAIL
        why = f"the phase {phase} did not run to its end: {_cut_short(summary)}"
        return _not_measured(phase, requirement, why, level)
    if estimate is not None:
        return _judged(phase, requirement, estimate, summary)
    if _nothing_answered(requirement, summary):
        return _unanswered(phase, requirement, summary)
    of = "all steps" if requirement.step == ALL_STEPS else f"the step {requirement.step}"
    return _not_measured(phase, requirement, f"the run holds no such figure of {of}")


def _cut_short(summary: PhaseSummary) -> str:
    if summary.shards_lost:
        return "a part of the generator was lost"
    if summary.ended_by_service is not None:
        return "the service stopped responding" if summary.service_gone is not None else "it was ended early"
    return "it was interrupted"


def _not_measured(phase: str, requirement: Requirement, why: str, level: Level = Level.BROKEN) -> RequirementResult:
    return RequirementResult(
        phase=phase,
        requirement=requirement,
        status=RequirementStatus.NOT_MEASURED,
        met=False,
        level=level,
        estimate=None,
        headroom=None,
        sentence=f"{subject(requirement)} not measured: {why}",
    )


def _nothing_answered(requirement: Requirement, summary: PhaseSummary) -> bool:
    """Whether the figure is missing because the service answered nothing well, though it was asked."""
    step = summary.step(requirement.step)
    if step is None or Needs.ANSWERS not in requirement.definition.needs:
        return False
    return step.counts.ok == 0 and step.counts.sent + step.counts.blocked > 0


def _unanswered(phase: str, requirement: Requirement, summary: PhaseSummary) -> RequirementResult:
    step = summary.step(requirement.step)
    sent = units.format_count(step.counts.sent if step else None)
    return RequirementResult(
        phase=phase,
        requirement=requirement,
        status=RequirementStatus.CRITICAL if requirement.critical is not None else RequirementStatus.MISSED,
        met=False,
        level=Level.FAIL,
        estimate=None,
        headroom=None,
        sentence=f"{subject(requirement)} has no figure: no request was answered well, of {sent} sent",
    )


def _judged(phase: str, requirement: Requirement, estimate: Estimate, summary: PhaseSummary) -> RequirementResult:
    holds, target, critical = requirement.comparator.holds, requirement.target, requirement.critical
    decisive = _decisive(requirement, estimate)
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
        headroom=headroom(requirement, estimate.value),
        sentence=_sentence(requirement, estimate, status, met=met) + _windows_below(requirement, summary),
    )


def _decisive(requirement: Requirement, estimate: Estimate) -> float:
    """What of an estimate is held against the limits."""
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
    """A generator later than it may be is no fault of the service: what it measured is not what was asked for."""
    return Level.BROKEN if requirement.definition.party is Party.GENERATOR and level is Level.FAIL else level


def headroom(requirement: Requirement, value: float) -> float | None:
    """(limit - value) / limit, signed so that + is inside the target; None for a limit of 0."""
    if requirement.target == 0.0:
        return None
    gap = (requirement.target - value) / abs(requirement.target)
    return gap if requirement.comparator in _UPPER else -gap


def subject(requirement: Requirement) -> str:
    """What the requirement is about: ``p95``, ``authorization_check p95``."""
    label = requirement.definition.label
    return label if requirement.step == ALL_STEPS else f"{requirement.step} {label}"


def _sentence(requirement: Requirement, estimate: Estimate, status: RequirementStatus, *, met: bool) -> str:
    kind = requirement.definition.kind
    measured = f"{subject(requirement)} {figure_with_interval(kind, estimate)}"
    target = f"{limit(kind, requirement.target)}{_scaled(requirement)}"
    share = headroom(requirement, estimate.value)
    distance = "" if not share else f"{abs(share) * 100.0:.{0 if abs(share) >= 0.0995 else 1}f} %"
    if status is RequirementStatus.CRITICAL and requirement.critical is not None:
        side = "above" if requirement.comparator in _UPPER else "below"
        return f"{measured} is {side} the critical level of {limit(kind, requirement.critical)} (target {target})"
    if met:
        text = f"{measured} {_MET_WORDS[requirement.comparator]} {target}"
        far = estimate.high if requirement.comparator in _UPPER else estimate.low
        if status is RequirementStatus.MARGINAL and not requirement.comparator.holds(estimate.value, requirement.target):
            return f"{measured} may miss {requirement.comparator.value} {target}; its interval reaches below, so it is not sure"
        if status is RequirementStatus.MARGINAL:
            return f"{text}, but its interval reaches {figure(kind, far)}"
        return f"{text}, headroom {distance}" if distance else text
    text = f"{measured} misses {requirement.comparator.value} {target}" + (f" by {distance}" if distance else "")
    near = estimate.low if requirement.comparator in _UPPER else estimate.high
    if status is RequirementStatus.MARGINAL:
        return f"{text}; its interval reaches {figure(kind, near)}, so another run may meet it"
    return text


def _scaled(requirement: Requirement) -> str:
    if requirement.scaled_from is None:
        return ""
    return f" (scaled from {limit(requirement.definition.kind, requirement.scaled_from)} by the profile)"


def _windows_below(requirement: Requirement, summary: PhaseSummary) -> str:
    """For a sustained rate: how many of the 10 s windows reached the target."""
    if requirement.metric != "sustained_throughput" or requirement.step != ALL_STEPS:
        return ""
    rates = sustained_rates(summary.windows)
    short = _count(not requirement.comparator.holds(rate, requirement.target) for rate in rates)
    target = limit(MetricKind.PER_SECOND, requirement.target)
    if len(rates) < 2:
        return f"; measured over one window of {units.format_duration(summary.measured_seconds)}" if rates else ""
    if not short:
        return f"; every 10 s window of {len(rates)} reached {target}"
    return f"; {short} of {len(rates)} windows of 10 s ({units.format_share(short / len(rates))}) were below {target}"


def _count(statements: Iterable[bool]) -> int:
    return sum(statements)
