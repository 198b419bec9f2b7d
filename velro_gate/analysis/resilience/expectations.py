"""What was expected of each experiment against what was measured.

Rules, first match decides:
1. The phase did not get that far, or the experiment was not carried out: not measured, broken. Where the service itself ended
   the phase, that fails.
2. A response time is expected of successful requests, and none succeeded: missed.
3. The figure is absent: not measured, broken. What was not measured is never green.
4. What is waited for had not happened by the end: missed where that end lies beyond the limit, else not measured.
5. The 95 % interval lies across the limit: marginal; the value decides. Inside it warns, outside it counts as missed.
6. Inside the limit: met. Outside: missed, which fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.model.facts.experiments import ExpectationNotMet, ExpectationsMet, ExperimentFailed
from velro_gate.model.record import ExpectedFigure, ExperimentSummary, PhaseSummary, RunRecord
from velro_gate.model.resilience.experiment import Expectation, Expected, Experiment
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import ExpectationResult, Finding, Level, RequirementStatus


def check_expectations(phases: Sequence[Phase], record: RunRecord) -> tuple[ExpectationResult, ...]:
    """Every expectation of every experiment of these phases, in their order; none is left out."""
    missing = Level.FAIL if record.ended_by_service else Level.BROKEN
    return tuple(
        _check(phase.name, experiment, wanted, _carried_out(record.phase(phase.name), experiment), missing)
        for phase in phases
        for experiment in phase.experiments
        for wanted in experiment.expected
    )


def expectation_findings(results: Sequence[ExpectationResult], phases: Sequence[Phase], record: RunRecord) -> Iterator[Finding]:
    """One finding for each experiment that could not be carried out and each expectation that is not simply met, and one for
    those that are.
    """
    failed: set[tuple[str, str, int]] = set()
    for phase in phases:
        summary = record.phase(phase.name)
        for experiment in phase.experiments if summary is not None and summary.complete else ():
            found = _carried_out(summary, experiment)
            if found is None or found.ended is None:
                failed.add((phase.name, experiment.name, experiment.repeat))
                facts = ExperimentFailed(
                    experiment=experiment.name, repeat=experiment.repeat, why="" if found is None else found.fault
                )
                yield Finding(level=Level.BROKEN, subject=phase.name, facts=facts)
    for result in results:
        if result.level > Level.PASS and (result.phase, result.experiment, result.repeat) not in failed:
            yield Finding(level=result.level, subject=result.phase, facts=ExpectationNotMet(result=result))
    met = sum(result.met for result in results)
    if met:
        yield Finding(level=Level.PASS, subject="experiments", facts=ExpectationsMet(met=met, of=len(results)))


def _carried_out(summary: PhaseSummary | None, experiment: Experiment) -> ExperimentSummary | None:
    known = () if summary is None else summary.experiments
    return next((each for each in known if (each.name, each.repeat) == (experiment.name, experiment.repeat)), None)


def _check(
    phase: str, experiment: Experiment, wanted: Expectation, found: ExperimentSummary | None, missing: Level
) -> ExpectationResult:
    figure = None if found is None else next((each for each in found.figures if each.expectation == wanted), None)
    status = _status(wanted, figure, carried_out=found is not None and found.ended is not None)
    estimate = None if figure is None else figure.estimate
    met = (
        status in (RequirementStatus.MET, RequirementStatus.MARGINAL) and estimate is not None and wanted.holds(estimate.value)
    )
    return ExpectationResult(
        phase=phase,
        experiment=experiment.name,
        repeat=experiment.repeat,
        expectation=wanted,
        status=status,
        met=met,
        level=_level(status, met=met, missing=missing),
        estimate=estimate,
        unfinished=figure is not None and figure.unfinished,
        users=None if figure is None else figure.users,
    )


def _status(wanted: Expectation, figure: ExpectedFigure | None, *, carried_out: bool) -> RequirementStatus:
    if figure is None or not carried_out:
        return RequirementStatus.NOT_MEASURED
    estimate = figure.estimate
    if estimate is None:
        # Without one success there is no response time, which is worse than a slow one.
        return RequirementStatus.MISSED if wanted.kind is Expected.P95 else RequirementStatus.NOT_MEASURED
    inside = wanted.holds(estimate.value)
    # The value is the least that the figure can be: outside it is certainly missed, inside nobody knows.
    if figure.unfinished:
        return RequirementStatus.NOT_MEASURED if inside else RequirementStatus.MISSED
    if wanted.holds(estimate.low) != wanted.holds(estimate.high):
        return RequirementStatus.MARGINAL
    return RequirementStatus.MET if inside else RequirementStatus.MISSED


def _level(status: RequirementStatus, *, met: bool, missing: Level) -> Level:
    match status:
        case RequirementStatus.MET:
            return Level.PASS
        case RequirementStatus.NOT_MEASURED:
            return missing
        case _:
            return Level.WARN if met else Level.FAIL
