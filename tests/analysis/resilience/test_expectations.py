"""What was expected of experiments decides the verdict; what was not measured is never met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.runs import planned, run, summary
from velro_gate.analysis.resilience.expectations import check_expectations
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import Estimate, ExpectedFigure, ExperimentSummary, RunRecord
from velro_gate.model.resilience.experiment import CommandAction, Expectation, Expected, Experiment
from velro_gate.model.scenario import Phase
from velro_gate.model.verdict import Level, RequirementStatus, Verdict

ERRORS = Expectation(kind=Expected.ERRORS, limit=0.05)
RECOVERY = Expectation(kind=Expected.RECOVERY, limit=10.0)


def plan(wanted: Expectation) -> tuple[Phase, ...]:
    (steady,) = planned()
    experiment = Experiment(name="down", at=20.0, lasts=10.0, action=CommandAction(run="true"), expected=(wanted,))
    return (replace(steady, experiments=(experiment,)),)


def record(
    wanted: Expectation,
    estimate: Estimate | None,
    *,
    unfinished: bool = False,
    fault: str = "",
    users: tuple[int, int] | None = None,
) -> RunRecord:
    figure = ExpectedFigure(expectation=wanted, estimate=estimate, unfinished=unfinished, users=users)
    done = ExperimentSummary(name="down", repeat=1, begun=20.0, ended=None if fault else 30.0, fault=fault, figures=(figure,))
    return run(replace(summary(), experiments=(done,)), plan=plan(wanted))


def judged(found: RunRecord) -> Verdict:
    return judge(found, [])


def codes(verdict: Verdict) -> set[str]:
    return {finding.code for finding in verdict.findings}


@pytest.mark.parametrize(
    ("wanted", "estimate", "unfinished", "status", "level"),
    [
        (ERRORS, Estimate(value=0.01, low=0.0, high=0.02, n=100), False, RequirementStatus.MET, Level.PASS),
        (ERRORS, Estimate(value=0.04, low=0.02, high=0.07, n=100), False, RequirementStatus.MARGINAL, Level.WARN),
        (ERRORS, Estimate(value=0.06, low=0.04, high=0.08, n=100), False, RequirementStatus.MARGINAL, Level.FAIL),
        (ERRORS, Estimate(value=0.2, low=0.1, high=0.3, n=100), False, RequirementStatus.MISSED, Level.FAIL),
        (ERRORS, None, False, RequirementStatus.NOT_MEASURED, Level.BROKEN),
        (RECOVERY, Estimate.exact(30.0, n=30), True, RequirementStatus.MISSED, Level.FAIL),
        (RECOVERY, Estimate.exact(5.0, n=5), True, RequirementStatus.NOT_MEASURED, Level.BROKEN),
        (Expectation(kind=Expected.P95, limit=1.0), None, False, RequirementStatus.MISSED, Level.FAIL),
        (
            Expectation(kind=Expected.DEGRADED, limit=0.99, statuses=(503,)),
            Estimate(value=0.5, low=0.4, high=0.6, n=100),
            False,
            RequirementStatus.MISSED,
            Level.FAIL,
        ),
    ],
)
def test_each_expectation_is_judged_by_its_limit(
    wanted: Expectation, estimate: Estimate | None, unfinished: bool, status: RequirementStatus, level: Level
) -> None:
    found = record(wanted, estimate, unfinished=unfinished)
    (result,) = check_expectations(found.plan.phases, found)
    assert (result.status, result.level) == (status, level)
    assert judged(found).level is level


def test_what_is_expected_and_met_passes_and_is_counted() -> None:
    verdict = judged(record(ERRORS, Estimate.exact(0.0, n=100)))
    assert verdict.level is Level.PASS
    assert "expectations-met" in codes(verdict)


def test_an_experiment_that_was_not_carried_out_breaks_the_verdict_once() -> None:
    verdict = judged(record(ERRORS, None, fault="there is no such process"))
    assert verdict.level is Level.BROKEN
    assert codes(verdict) & {"experiment-failed", "expectation-not-measured"} == {"experiment-failed"}


def test_an_experiment_that_the_record_does_not_know_breaks_the_verdict() -> None:
    verdict = judged(run(summary(), plan=plan(ERRORS)))
    assert verdict.level is Level.BROKEN
    assert "experiment-failed" in codes(verdict)


def test_figures_of_a_phase_with_experiments_are_not_compared_with_baselines() -> None:
    found = record(ERRORS, Estimate.exact(0.0, n=100))
    slower = replace(found, phases=(replace(summary(times=3.0), experiments=found.phases[0].experiments),))
    verdict = judge(slower, [replace(found, id=str(number)) for number in range(10)])
    assert verdict.comparisons == ()
    assert verdict.level is Level.PASS


def test_many_errors_are_no_reason_to_fail_where_something_is_broken_on_purpose() -> None:
    found = record(ERRORS, Estimate.exact(0.0, n=100))
    failing = replace(found, phases=(replace(summary(failed=3000), experiments=found.phases[0].experiments),))
    assert judged(failing).level is Level.PASS
