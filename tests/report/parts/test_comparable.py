"""What will be compared is said before any load is sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import baselines, run, summary
from velro_gate.analysis.stored.comparison import compare
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change
from velro_gate.report.parts.dry_run.comparable import PhaseResponses, comparable_sentences


def said(answers: float, seconds: float, **steps: float) -> list[str]:
    return list(
        comparable_sentences([PhaseResponses(phase="load", seconds=seconds, answers={"all": answers, **steps})], Policy())
    )


def test_what_is_not_compared_is_said_with_the_duration_that_would_do() -> None:
    assert said(240.0, 16.0) == [
        "Compared with baselines in load: p50 of all steps.",
        "Not compared in load: p95 of all steps, only 240 successful responses, 600 are needed to compare p95 "
        "(40 s would be enough).",
    ]


def test_phases_that_are_alike_are_reported_together_and_stand_ins_are_named() -> None:
    phases = [
        PhaseResponses(phase=name, seconds=60.0, answers={"all": 2000.0, "login": 1600.0, "pay": 400.0}) for name in ("a", "b")
    ]
    assert list(comparable_sentences(phases, Policy())) == [
        "Compared with baselines in a, b: p50 of all steps, p95 of all steps, p95 of login, p90 of pay (stands in for p95)."
    ]


def test_a_phase_with_hardly_an_answer_compares_no_response_time() -> None:
    assert said(20.0, 10.0)[0] == "Compared with baselines in load: no response time."


@given(st.integers(1, 1500))
def test_what_is_forecast_is_what_the_comparison_then_does(n: int) -> None:
    kept = {"p90": 0.010, "p999": 0.03}
    rows = compare(run(summary(n=n, changed=kept)), baselines(5, n=n, changed=kept), Policy())
    done = {
        (row.step, row.metric)
        for row in rows
        if row.primary and row.verdict is not Change.NOT_COMPARED and row.metric.startswith("p")
    }
    sentence = said(n, 60.0, login=n, authorize=n)[0]
    assert sentence.count(" of ") == len(done)


def test_of_a_phase_in_which_something_is_broken_only_that_is_compared() -> None:
    broken = PhaseResponses(phase="down", seconds=60.0, answers={"all": 9000.0}, broken=True)
    said = list(comparable_sentences([broken], Policy()))
    assert said == ["Compared with baselines in down: the figures of what is broken on purpose, and no other."]
