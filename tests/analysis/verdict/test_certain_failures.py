"""A delay of the generator breaks a run only where everything that fails might not have failed without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.phases import phase, record, summary
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Level, Trust, Verdict
from velro_gate.report.sentences.findings import words

P95 = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.1)
ERRORS = Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.01, critical=0.05)


def stalled(p95: float, errors: float, **more: object) -> PhaseSummary:
    """A phase in which a stall may have made the p95 what it is, and no error."""
    values = {"p95": Estimate.exact(p95, n=6000), "error_rate": Estimate.exact(errors, n=6000)}
    made = summary({"all": values})
    steps = (replace(made.steps[0], undelayed={"p95": 0.09, "error_rate": errors}), *made.steps[1:])
    return replace(made, steps=steps, stalled=0.5, longest_stall=0.5, **more)


def judged(found: PhaseSummary, *requirements: Requirement) -> Verdict:
    planned = phase(*requirements)
    held: RunRecord = record(found)
    return judge(replace(held, plan=replace(held.plan, phases=(planned,))), ())


def stall_of(verdict: Verdict) -> Trust:
    (doubt,) = (doubt for doubt in verdict.trust if doubt.code == "stalled")
    return doubt.trust


def test_alone_a_limit_that_the_delay_may_have_missed_breaks_the_run() -> None:
    verdict = judged(stalled(0.12, 0.0), P95, ERRORS)
    assert verdict.level is Level.BROKEN
    assert stall_of(verdict) is Trust.BROKEN


def test_next_to_a_failure_that_the_delay_does_not_explain_it_is_a_caveat_and_the_run_fails() -> None:
    verdict = judged(stalled(0.12, 0.34), P95, ERRORS)
    assert verdict.level is Level.FAIL
    assert stall_of(verdict) is Trust.CAVEAT
    assert any("p95 of all requests might not have failed" in words(doubt).sentence for doubt in verdict.trust)


@pytest.mark.parametrize("ended", [{"service_gone": "refused"}, {"hopeless": "every answer refused the credentials: 9 x 401"}])
def test_a_phase_that_the_service_ended_fails_whatever_the_generator_did_before(ended: dict[str, object]) -> None:
    verdict = judged(stalled(0.05, 0.0, **ended), P95, ERRORS)
    assert verdict.level is Level.FAIL
    assert not any("might not have failed" in words(doubt).sentence for doubt in verdict.trust)
    (reported,) = {said for each in verdict.findings if each.level is Level.FAIL and (said := words(each).advice)}
    assert reported, "what was not measured for that reason asks for nothing else"


def test_a_doubt_about_something_else_than_a_delay_still_breaks_the_run() -> None:
    found = stalled(0.12, 0.34)
    starved = replace(found, health=replace(found.health, cpu_share=0.99))
    assert judged(starved, P95, ERRORS).level is Level.BROKEN
