"""The checklist before a deployment and the success criteria, item by item, from what the run measured.

Nothing is ticked that was not measured, nothing of a run whose measurement is broken, and nothing of a plan that does not prove
the PRD. What is certainly not as it should be stays failed there, too, unless the measurement is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from velro_gate.analysis.compliance.classes import concerns
from velro_gate.model.compliance.assessment import Check, CheckCode, CheckState, Unscored
from velro_gate.model.compliance.rules import PRD, ComplianceRules
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.verdict import Level, RequirementResult, RequirementStatus, Verdict

LEAST_SCORE = 0.90
"""Of the score, above which the item is met."""
MOST_ERRORS = 0.01
"""Error rate of a phase under which the item is met."""
MOST_CPU = 0.90
"""Of all cores of the runner, at the median."""
LEAST_MEMORY = 0.10
"""Of the runner's memory that stays available."""


def checklist(
    record: RunRecord,
    verdict: Verdict,
    score: float | None,
    unscored: Unscored | None,
    rules: ComplianceRules,
) -> tuple[Check, ...]:
    """The items before a deployment, the team's own last."""
    results = verdict.requirements
    found = (
        _met(CheckCode.PHASES_MET, record, results),
        _score(score),
        _nothing_critical(record, results),
        _error_rate(record),
        _resources(record),
        _cache(record, rules),
        _connections(results),
    )
    own = [Check(code=CheckCode.OWN, state=CheckState.OPEN, text=item) for item in rules.checklist]
    return (*_as_proof(found, verdict, unscored), *own)


def criteria(record: RunRecord, verdict: Verdict, unscored: Unscored | None) -> tuple[Check, ...]:
    """The success criteria: each PRD requirement or all where none is stated, and a stable system."""
    stated = [one for one in verdict.requirements if one.requirement.source == PRD]
    items = [_requirement(one) for one in stated]
    if not stated and not record.plan.unproven:
        items.append(_met(CheckCode.ALL_REQUIREMENTS, record, verdict.requirements))
    absent = [
        Check(code=CheckCode.NOT_IN_PLAN, state=CheckState.OPEN, requirement=wanted, unproven=True)
        for wanted in record.plan.unproven
    ]
    return (*_as_proof((*items, _stable(record, verdict)), verdict, unscored), *absent)


def _as_proof(checks: Iterable[Check], verdict: Verdict, unscored: Unscored | None) -> list[Check]:
    if verdict.level is Level.BROKEN:
        return [replace(check, state=CheckState.OPEN) for check in checks]
    if unscored is None:
        return list(checks)
    # A plan that does not prove the requirements may still fail them, but nothing that it meets counts as proof.
    return [
        replace(check, state=CheckState.OPEN, unproven=True) if check.state is CheckState.DONE else check for check in checks
    ]


def _state(*, known: bool, good: bool) -> CheckState:
    if not known:
        return CheckState.OPEN
    return CheckState.DONE if good else CheckState.FAILED


def _met(code: CheckCode, record: RunRecord, results: Sequence[RequirementResult]) -> Check:
    missed = [one for one in results if not one.met and one.status is not RequirementStatus.NOT_MEASURED]
    unknown = [one for one in results if one.status is RequirementStatus.NOT_MEASURED]
    # One miss decides, whatever else is unknown; "met" needs everything to be known.
    known = bool(missed) or (record.complete and bool(results) and not unknown)
    return Check(
        code=code,
        state=_state(known=known, good=not missed),
        against=_phases(one.phase for one in (missed or unknown)),
        value=float(len(missed)),
    )


def _score(score: float | None) -> Check:
    good = score is not None and score > LEAST_SCORE
    return Check(code=CheckCode.SCORE, state=_state(known=score is not None, good=good), value=score, limit=LEAST_SCORE)


def _nothing_critical(record: RunRecord, results: Sequence[RequirementResult]) -> Check:
    levels = [one for one in results if one.requirement.critical is not None]
    beyond = [one for one in results if one.status is RequirementStatus.CRITICAL]
    unknown = [one for one in levels if one.status is RequirementStatus.NOT_MEASURED]
    held_back = [phase.name for phase in record.phases if any(not one.of_the_runner for one in phase.bottlenecks)]
    untried = [phase.name for phase in record.phases if any(one.of_the_runner for one in phase.bottlenecks)]
    bad = [*(one.phase for one in beyond), *held_back]
    known = bool(bad) or (record.complete and bool(levels) and not unknown and not untried)
    return Check(
        code=CheckCode.NOTHING_CRITICAL,
        state=_state(known=known, good=not bad),
        # Bottlenecks are counted only where no figure is beyond its critical level, which says more.
        value=float(len(beyond)),
        against=_phases((one.phase for one in beyond) if beyond else held_back or untried),
    )


def _error_rate(record: RunRecord) -> Check:
    rates = [found.value for phase in record.phases if (found := phase.measurement("error_rate")) is not None]
    bad = [
        phase.name for phase in record.phases if (found := phase.measurement("error_rate")) and not found.value < MOST_ERRORS
    ]
    known = bool(bad) or (record.complete and len(rates) == len(record.plan.phases))
    return Check(
        code=CheckCode.ERROR_RATE,
        state=_state(known=known, good=not bad),
        value=max(rates, default=None),
        limit=MOST_ERRORS,
        against=_phases(bad),
    )


def _resources(record: RunRecord) -> Check:
    bad: list[str] = []
    known = record.complete
    for phase in record.phases:
        cpu, memory = _resource(phase, "cpu_share", "median"), _resource(phase, "memory_available", "least")
        known = known and cpu is not None and memory is not None
        short = memory is not None and memory < LEAST_MEMORY * record.environment.memory
        if short or (cpu is not None and cpu > MOST_CPU):
            bad.append(phase.name)
    known = bool(bad) or (known and bool(record.phases))
    return Check(code=CheckCode.RESOURCES, state=_state(known=known, good=not bad), against=_phases(bad), limit=MOST_CPU)


def _resource(phase: PhaseSummary, name: str, field: str) -> float | None:
    found = next((one for one in phase.resources if (one.source, one.name) == ("runner", name)), None)
    value: float | None = None if found is None else getattr(found, field)
    return value


def _cache(record: RunRecord, rules: ComplianceRules) -> Check:
    if not concerns(rules, record.plan):
        # The best class of a table that is not about this service is no limit for it.
        return Check(code=CheckCode.CACHE, state=CheckState.OPEN)
    least = rules.classes[0].hit_rate
    rates = {phase.name: found.value for phase in record.phases if (found := phase.measurement("hit_rate")) is not None}
    bad = [name for name, value in rates.items() if value < least]
    known = bool(bad) or (record.complete and len(rates) == len(record.plan.phases))
    return Check(
        code=CheckCode.CACHE,
        state=_state(known=known, good=not bad),
        value=min(rates.values(), default=None),
        limit=least,
        against=_phases(bad),
    )


def _connections(results: Sequence[RequirementResult]) -> Check:
    asked = [one for one in results if one.requirement.metric == "database_connections"]
    measured = [one for one in asked if one.estimate is not None]
    bad = [one.phase for one in measured if not one.met]
    known = bool(bad) or (bool(asked) and len(measured) == len(asked))
    first = next((one for one in measured if not one.met), measured[0] if measured else None)
    return Check(
        code=CheckCode.CONNECTIONS,
        state=_state(known=known, good=not bad),
        value=None if first is None or first.estimate is None else first.estimate.value,
        requirement=asked[0].requirement if asked else None,
        against=_phases(bad),
    )


def _requirement(result: RequirementResult) -> Check:
    known = result.status is not RequirementStatus.NOT_MEASURED
    return Check(
        code=CheckCode.REQUIREMENT,
        state=_state(known=known, good=result.met),
        value=None if result.estimate is None else result.estimate.value,
        requirement=result.requirement,
        phase=result.phase,
    )


def _stable(record: RunRecord, verdict: Verdict) -> Check:
    ended = [phase.name for phase in record.phases if phase.ended_by_service]
    restarted = [one.phase for one in verdict.trust if one.code == "build-stopped"]
    bad = [*ended, *restarted]
    return Check(code=CheckCode.STABLE, state=_state(known=bool(bad) or record.complete, good=not bad), against=_phases(bad))


def _phases(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
