"""Score, classes, checklists and readiness, worded."""

from __future__ import annotations

from velro_gate import units
from velro_gate.model.compliance.assessment import (
    Check,
    CheckCode,
    CheckState,
    Compliance,
    FigureClass,
    Impact,
    PhaseClass,
    Readiness,
    RequirementScore,
    Reservation,
    Unscored,
)
from velro_gate.model.compliance.rules import BANDS
from velro_gate.model.scenario import Requirement
from velro_gate.model.verdict import Level
from velro_gate.report.sentences.bottlenecks import bottleneck_words
from velro_gate.report.text import figures
from velro_gate.report.text.words import listed, subject

BAND_MEANING = {
    "excellent": "production ready",
    "good": "minor optimizations needed",
    "acceptable": "moderate improvements required",
    "needs work": "significant optimization required",
}
"""What the bands that are not a scenario's own ask for."""

READINESS = {
    Readiness.READY: "Ready for production",
    Readiness.RESERVATIONS: "Ready with reservations",
    Readiness.NOT_READY: "Not ready for production",
    Readiness.UNKNOWN: "Readiness is not established",
}
_NOT_A_PASS = {
    Level.NO_BASELINE: "there were no baselines to compare with",
    Level.WARN: "the verdict has warnings",
    Level.INCONCLUSIVE: "the verdict is inconclusive",
}
CHECK_STATES = {CheckState.DONE: "done", CheckState.FAILED: "failed", CheckState.OPEN: "open"}
CRITERION_STATES = {CheckState.DONE: "met", CheckState.FAILED: "missed", CheckState.OPEN: "open"}

_TITLES = {
    CheckCode.PHASES_MET: "All test scenarios pass",
    CheckCode.NOTHING_CRITICAL: "No critical bottlenecks identified",
    CheckCode.RESOURCES: "System resources within limits",
    CheckCode.CACHE: "Cache performance optimal",
    CheckCode.CONNECTIONS: "Database connections optimized",
    CheckCode.STABLE: "System stability maintained",
    CheckCode.ALL_REQUIREMENTS: "All requirements are met",
}


def score_words(found: Compliance) -> str:
    """``97.2 %, excellent (production ready)``, or that there is no score."""
    if found.score is None or found.band is None:
        return "no score"
    # All requirements may be met by a build that is worse than the one before, which is not ready for anything.
    ready = found.readiness is Readiness.READY or found.band != BANDS[0].name
    meaning = BAND_MEANING.get(found.band) if ready else None
    return f"{units.format_share(found.score)}, {found.band}" + (f" ({meaning})" if meaning else "")


def score_or_reason(found: Compliance) -> str:
    """The same, with a few words on why there is no score."""
    if found.unscored is None:
        return score_words(found)
    reasons = {
        Unscored.BROKEN: "the measurement is broken",
        Unscored.NO_REQUIREMENTS: "the plan has no requirements",
        Unscored.SCALED: "the plan is scaled down",
        Unscored.UNPROVEN: "this plan does not prove the PRD",
        Unscored.NO_PRD: "the plan states no PRD requirement",
    }
    return f"no score ({reasons[found.unscored]})"


def unscored_words(found: Compliance) -> str:
    """Why there is no score; empty where there is one."""
    match found.unscored:
        case Unscored.BROKEN:
            return "The measurement is broken, so it proves nothing."
        case Unscored.NO_REQUIREMENTS:
            return "The plan has no requirement with a weight, so there is nothing to comply with."
        case Unscored.SCALED:
            return "The profile scales the plan down, so this run does not prove the PRD."
        case Unscored.UNPROVEN:
            asked = listed([requirement_limit(one) for one in found.unproven], 4)
            return f"This plan does not prove the PRD. It does not contain: {asked}."
        case Unscored.NO_PRD:
            return "No requirement of this plan is marked as the PRD's (source: PRD), so this run does not prove it."
    return ""


def reservation_words(found: Compliance, level: Level) -> str:
    """What keeps the run from being called ready; empty where nothing does, or where it is not ready at all."""
    states = [item.state for item in (*found.checklist, *found.criteria)]
    said = {
        Reservation.BAND: f"the score is {score_words(found)}",
        Reservation.VERDICT: _NOT_A_PASS.get(level, ""),
        Reservation.FAILED: f"checklist items that failed: {states.count(CheckState.FAILED)}",
        Reservation.OPEN: f"checklist items that are open: {states.count(CheckState.OPEN)}",
    }
    words = "; ".join(said[one] for one in found.reservations)
    return f"{words[0].upper()}{words[1:]}." if words else ""


def requirement_limit(wanted: Requirement) -> str:
    """``users held ≥ 10,000``."""
    return f"{subject(wanted.metric, wanted.step)} {figures.limit(wanted)}"


def gap_words(row: RequirementScore) -> str:
    """By how much the figure misses its target; a dash where it is met or was not measured."""
    return figures.NOTHING if row.gap is None else figures.figure(row.result.requirement.metric, row.gap)


def remedy_words(row: RequirementScore) -> str:
    """What to do about a requirement that is not met; empty for one that is."""
    if row.result.met:
        return ""
    return bottleneck_words(row.bottlenecks[0]).advice if row.bottlenecks else row.result.requirement.definition.advice


def class_words(found: PhaseClass) -> str:
    """The class of a phase, and that some of its figures have none."""
    if found.name is None:
        return "not classified"
    return found.name if found.whole else f"{found.name}, by the figures that have a class"


def figure_class_words(figure: FigureClass) -> str:
    """``64.9 ms: good``; why a figure has no class."""
    if figure.estimate is None:
        return figures.MISSING
    shown = figures.marked(figure.metric, figure.estimate)
    return f"{shown}: {figure.name}" if figure.name is not None else f"{shown}: not classified, less is offered"


def check_title(check: Check) -> str:
    """What an item asks for."""
    match check.code:
        case CheckCode.OWN:
            return check.text
        case CheckCode.SCORE:
            return f"PRD compliance score > {units.trim_zeros(units.format_share(check.limit))}"
        case CheckCode.ERROR_RATE:
            return f"Error rate < {units.trim_zeros(units.format_share(check.limit))}"
        case CheckCode.REQUIREMENT | CheckCode.NOT_IN_PLAN if check.requirement is not None:
            return requirement_limit(check.requirement)
    return _TITLES[check.code]


def check_reason(check: Check) -> str:
    """Why an item is in its state."""
    if check.code is CheckCode.OWN:
        return "not measured by a run: check it yourself"
    if check.state is CheckState.OPEN:
        return "this plan does not prove the PRD" if check.unproven else _open(check)
    good = check.state is CheckState.DONE
    match check.code:
        case CheckCode.PHASES_MET | CheckCode.ALL_REQUIREMENTS:
            return "every requirement of every phase is met" if good else f"requirements are missed in {_where(check)}"
        case CheckCode.SCORE:
            return units.format_share(check.value)
        case CheckCode.NOTHING_CRITICAL:
            if good:
                return "no bottleneck was found, and no figure is beyond its critical level"
            what = "a figure is beyond its critical level" if check.value else "a bottleneck was found"
            return f"{what} in {_where(check)}"
        case CheckCode.ERROR_RATE:
            return f"at most {units.format_share(check.value)} in a phase"
        case CheckCode.RESOURCES:
            return (
                "CPU and memory of the runner sufficed" if good else f"the runner was short of CPU or memory in {_where(check)}"
            )
        case CheckCode.CACHE:
            return f"{units.format_share(check.value)} hits in the phase with the fewest, {_least(check)} wanted"
        case CheckCode.STABLE:
            return "every phase ran to its end" if good else f"the service ended {_where(check)} early"
    return _measured(check)


def _least(check: Check) -> str:
    return units.trim_zeros(units.format_share(check.limit))


def _measured(check: Check) -> str:
    if check.requirement is None or check.value is None:
        return "every request failed"
    shown = figures.figure(check.requirement.metric, check.value)
    return f"{shown} in {check.phase}" if check.phase else f"{shown}, {figures.limit(check.requirement)} wanted"


def _open(check: Check) -> str:
    if check.code is CheckCode.CONNECTIONS and check.requirement is None:
        return "no requirement on database connections"
    if check.code is CheckCode.SCORE:
        return "there is no score"
    if check.code is CheckCode.CACHE and check.limit is None:
        return "this scenario has no classes"
    if check.code is CheckCode.NOTHING_CRITICAL and check.against:
        return f"the runner, not the service, was the limit in {_where(check)}"
    return "not measured"


def _where(check: Check) -> str:
    return listed(check.against, 3)


def impact_words(impact: Impact) -> str:
    """What the measured shares would mean under the PRD's load."""
    load = f"{units.format_counted(impact.users, 'user')} and {units.format_rate(impact.rate)}"
    slow = "" if impact.limit is None else f" or take longer than {units.trim_zeros(units.format_seconds(impact.limit))}"
    # Above the highest quantile that is kept nothing is known but how few responses there can be.
    most = "at most about" if impact.limit is not None and impact.slow_low == 0.0 else "about"
    return (
        f"With {load}, {most} {_about(impact.requests_per_hour, 'request')} an hour would fail{slow}, and {most} "
        f"{_about(impact.users_per_minute, 'user')} a minute would meet at least one of them."
    )


def _about(number: float, noun: str) -> str:
    return units.counted(units.format_about(number), noun)


def impact_formula(impact: Impact) -> str:
    """The shares behind it, and how they were combined."""
    slow = ""
    if impact.limit is not None:
        spread = units.join_range(units.format_share(impact.slow_low), units.format_share(impact.slow_high))
        slow = f"; slow responses s = {units.format_share(impact.slow)} ({spread}, interpolated between quantiles)"
    return (
        f"From {impact.phase}: failed e = {units.format_share(impact.failed)}{slow}. Affected share a = e + (1 - e) s; "
        "requests an hour 3,600 R a; users a minute U (1 - (1 - a)^(60 R / U)), with R requests a second and U users."
    )
