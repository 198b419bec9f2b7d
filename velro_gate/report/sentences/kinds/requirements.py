"""Requirement results and leaks, worded."""

from __future__ import annotations

from velro_gate import units
from velro_gate.model.facts.findings import Ended, Failing, Leak, RequirementNotMet, RequirementsMet
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import ALL_STEPS, Comparator, Requirement
from velro_gate.model.verdict import Missing, RequirementResult, RequirementStatus, SustainedWindows
from velro_gate.report.sentences.kinds.failures import LOOK, all_requests, end_advice
from velro_gate.report.text import figures
from velro_gate.report.text.words import Words, subject

_UPPER = (Comparator.BELOW, Comparator.AT_MOST)
_MET = {
    Comparator.BELOW: "is under",
    Comparator.AT_MOST: "is at most",
    Comparator.ABOVE: "is over",
    Comparator.AT_LEAST: "is at least",
}
_ADVICE = {
    RequirementStatus.MARGINAL: "Run again, or measure longer: the limit lies inside the interval of this measurement.",
    RequirementStatus.NOT_MEASURED: "Let the run measure it ('velro-gate check' lists what is watched), or remove the limit.",
    RequirementStatus.CRITICAL: "Fix this before anything else: beyond this level the service is unusable under this load.",
}
_RUN_AGAIN = "Run again and let it finish; a partial record is never judged as a whole."


def requirement_words(facts: RequirementNotMet) -> Words:
    """A requirement that is not simply met."""
    return Words(
        sentence=requirement_sentence(facts.result),
        advice=_requirement_advice(facts),
    )


def _requirement_advice(facts: RequirementNotMet) -> str:
    if facts.ended is not None:
        return end_advice(facts.failing, stopped=facts.ended is Ended.STOPPED)
    return _RUN_AGAIN if facts.unfinished else _advice(facts.result, facts.failing)


def _advice(result: RequirementResult, failing: Failing) -> str:
    metric = METRICS[result.requirement.metric]
    if result.estimate is None and result.status is not RequirementStatus.NOT_MEASURED:
        return LOOK[failing]
    outside = result.status in (RequirementStatus.MISSED, RequirementStatus.CRITICAL)
    if metric.of_counts and outside and failing is not Failing.OTHERWISE:
        return LOOK[failing]
    if result.status is not RequirementStatus.MISSED:
        return _ADVICE[result.status]
    return metric.advice


def met_words(facts: RequirementsMet) -> Words:
    """How many requirements are met."""
    if facts.of == 1:
        return Words(sentence=f"the one requirement is met{', marginally' if facts.marginal else ''}")
    share = f"all {facts.met}" if facts.met == facts.of else f"{facts.met} of {facts.of}"
    marginal = f", {facts.marginal} of them marginally" if facts.marginal else ""
    return Words(sentence=f"{share} requirements are met{marginal}")


def leak_words(facts: Leak) -> Words:
    """What grew through a whole phase."""
    low, high = (figures.figure(facts.metric, end) for end in (facts.low, facts.high))
    metric = METRICS[facts.metric]
    return Words(
        sentence=f"a leak: {metric.label} is {figures.figure(facts.metric, facts.growth)} ({low} to {high})",
        advice=metric.advice,
    )


def requirement_sentence(result: RequirementResult) -> str:
    """One requirement against what was measured, without its phase."""
    wanted = result.requirement
    about = subject(wanted.metric, wanted.step)
    if result.missing is not None:
        return f"{about} not measured: {_missing(result)}"
    if result.estimate is None:
        return f"{about} has no figure: {all_requests(result.sent)} failed"
    return _judged(result, result.estimate) + (_windows(result.windows, wanted) if result.windows is not None else "")


def _missing(result: RequirementResult) -> str:
    match result.missing:
        case Missing.NOT_REACHED:
            return f"the phase {result.phase} was not reached"
        case Missing.SHARD_LOST:
            why = "a process of the generator was lost"
        case Missing.SERVICE_STOPPED:
            why = "the service stopped responding"
        case Missing.ENDED_EARLY:
            why = "it was ended early"
        case Missing.INTERRUPTED:
            why = "it was interrupted"
        case _:
            step = result.requirement.step
            return f"the run holds no such figure of {'all steps' if step == ALL_STEPS else f'the step {step}'}"
    return f"the phase {result.phase} did not run to its end: {why}"


def _judged(result: RequirementResult, found: Estimate) -> str:
    wanted, status = result.requirement, result.status
    upper = wanted.comparator in _UPPER
    measured = f"{subject(wanted.metric, wanted.step)} {figures.with_interval(wanted.metric, found)}"
    target = f"{_limit(wanted, wanted.target)}{_scaled(wanted)}"
    distance = units.format_magnitude(result.headroom) if result.headroom else ""
    if status is RequirementStatus.CRITICAL and wanted.critical is not None:
        return (
            f"{measured} is {'above' if upper else 'below'} the critical level of {figures.critical(wanted)} (target {target})"
        )
    if result.met:
        return _met(result, found, f"{measured} {_MET[wanted.comparator]} {target}", f"{measured} may miss", target, distance)
    text = f"{measured} misses {wanted.comparator.value} {target}" + (f" by {distance}" if distance else "")
    if status is RequirementStatus.MARGINAL:
        near = figures.figure(wanted.metric, found.low if upper else found.high)
        return f"{text}; its interval reaches {near}, so another run may meet it"
    return text


def _met(result: RequirementResult, found: Estimate, text: str, may_miss: str, target: str, distance: str) -> str:
    wanted = result.requirement
    if result.status is not RequirementStatus.MARGINAL:
        return f"{text}, headroom {distance}" if distance else text
    if not wanted.comparator.holds(found.value, wanted.target):
        # Judged by the better end of its interval, as growth is.
        return f"{may_miss} {wanted.comparator.value} {target}; its interval includes values that meet it"
    far = found.high if wanted.comparator in _UPPER else found.low
    return f"{text}, but its interval reaches {figures.figure(wanted.metric, far)}"


def _limit(wanted: Requirement, value: float) -> str:
    """A limit, which is a round number and shown as one: ``75 ms``, not ``75.0 ms``."""
    return units.trim_zeros(figures.figure(wanted.metric, value))


def _scaled(wanted: Requirement) -> str:
    return "" if wanted.scaled_from is None else f" (scaled from {_limit(wanted, wanted.scaled_from)} by the profile)"


def _windows(found: SustainedWindows, wanted: Requirement) -> str:
    """For a sustained rate: how many of the 10 s windows reached the target."""
    target = _limit(wanted, wanted.target)
    if found.windows < 2:
        return f"; measured over one window of {units.format_duration(found.seconds)}" if found.windows else ""
    if not found.short:
        return f"; all {found.windows} windows of 10 s reached {target}"
    share = units.format_share(found.short / found.windows)
    return f"; {found.short} of {found.windows} windows of 10 s ({share}) were below {target}"
