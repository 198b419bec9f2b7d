"""A quantile beyond which few answers lie is marked in every report, row by row, and the mark is explained once a table."""

from __future__ import annotations

import dataclasses

import pytest

from tests.report import records
from tests.report.golden import shown
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.cli.measured import phase_table
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Verdict
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.page import html
from velro_gate.report.parts.view import build
from velro_gate.report.text.figures import FEW_NOTE, with_interval


def example(*, few: bool) -> tuple[RunRecord, Verdict]:
    """A run in which every figure has many answers behind it, but, where few, the p95 of one phase: it has eight."""
    record = records.record()
    phases = []
    for number, phase in enumerate(record.phases):
        steps = []
        for step in phase.steps:
            measured = {name: dataclasses.replace(found, n=100_000) for name, found in step.measurements.items()}
            if few and number == 0 and step.step == "all":
                measured["p95"] = dataclasses.replace(measured["p95"], value=0.0444, low=0.0333, high=0.0555, n=8)
            steps.append(dataclasses.replace(step, measurements=measured))
        phases.append(dataclasses.replace(phase, steps=tuple(steps)))
    record = dataclasses.replace(record, phases=tuple(phases))
    return record, dataclasses.replace(judge(records.record(), ()), requirements=check_requirements(record.plan.phases, record))


def lines_with(text: str, figure: str) -> list[str]:
    return [line for line in text.splitlines() if figure in line.replace("\N{NO-BREAK SPACE}", " ")]


def rendered(made: tuple[RunRecord, Verdict], form: str) -> str:
    match form:
        case "comment":
            return markdown(*made)
        case "html":
            return html(*made)
        case "table of run":
            return shown(phase_table(made[0]), width=200)
    return shown(terminal(*made), width=200)


FORMS = pytest.mark.parametrize(
    ("form", "mark", "tables"), [("comment", "\\*", 3), ("html", "*", 5), ("terminal", "*", 0), ("table of run", "*", 1)]
)


@FORMS
def test_each_report_marks_the_row_of_few_answers_and_no_other(form: str, mark: str, tables: int) -> None:
    text = rendered(example(few=True), form)
    rows = lines_with(text, "44.4 ms")
    assert len(rows) >= min(tables, 1)
    assert all(f"44.4\N{NO-BREAK SPACE}ms{mark}" in row or f"44.4 ms{mark}" in row for row in rows)
    assert text.count(f"ms{mark}") == len(rows)
    assert text.count("fewer than 30 responses lie beyond this quantile") == tables


@FORMS
def test_no_report_explains_a_mark_that_it_does_not_show(form: str, mark: str, tables: int) -> None:
    text = rendered(example(few=False), form)
    assert "fewer than" not in text
    assert f"ms{mark}" not in text
    assert tables >= 0


def test_a_requirement_of_few_answers_is_marked_in_the_terminal_and_explained_below_its_table() -> None:
    record, verdict = example(few=True)
    (first, *_) = verdict.requirements
    verdict = dataclasses.replace(verdict, requirements=(first,))
    wanted = Requirement(metric="p95", comparator=Comparator.BELOW, target=1.0)
    measured = record.phases[0].measurement("p95")
    only = dataclasses.replace(first, phase=record.phases[0].name, requirement=wanted, estimate=measured)
    text = shown(terminal(record, dataclasses.replace(verdict, requirements=(only,))), width=200)
    assert "44.4 ms* (33.3 ms or more)" in text
    assert FEW_NOTE in text
    assert build(record, dataclasses.replace(verdict, requirements=(only,))).requirements[0].few


def test_a_share_or_a_rate_of_few_answers_is_no_quantile_and_has_no_mark() -> None:
    record, _ = example(few=False)
    whole, *rest = record.phases[0].steps
    measured = {**whole.measurements, "error_rate": Estimate(value=0.125, low=0.02, high=0.5, n=8)}
    phase = dataclasses.replace(record.phases[0], steps=(dataclasses.replace(whole, measurements=measured), *rest))
    text = shown(phase_table(dataclasses.replace(record, phases=(phase, *record.phases[1:]))), width=200)
    assert "12.5 %" in text
    assert "*" not in text


@pytest.mark.parametrize(("metric", "enough"), [("p95", 72), ("p99", 368), ("p999", 3_688)])
def test_the_interval_of_a_quantile_that_all_responses_may_lie_below_has_no_upper_end(metric: str, enough: int) -> None:
    found = Estimate(value=0.0444, low=0.0333, high=0.0555, n=enough - 1)
    assert with_interval(metric, found) == "44.4 ms (33.3 ms or more)"
    assert with_interval(metric, dataclasses.replace(found, n=enough)) == "44.4 ms (33.3 to 55.5 ms)"
