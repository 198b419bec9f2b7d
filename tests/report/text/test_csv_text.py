"""CSV that spreadsheets open: no text is run as a formula, no number is changed, and one module writes all of it."""

from __future__ import annotations

import ast
import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import velro_gate
from tests.report.examples import EXAMPLES
from tests.report.hostile import renamed
from velro_gate.analysis.summaries.frames import figures_frame
from velro_gate.model.charts.trend import Mark, TrendEvent, TrendGroup, TrendPoint, TrendSeries
from velro_gate.model.record import RunRecord
from velro_gate.report.formats import table
from velro_gate.report.printed.trend_page import trend_csv
from velro_gate.report.text.csv_text import csv_cell, frame_csv, table_csv

SOURCES = Path(velro_gate.__file__).parent
SIGNS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
FORMULAS = (
    "=1+1",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r\n=1",
    " =1",
    "\uff1d1+1",
    "\u200b=1",
    "x;=1+1",
    "x; @A1",
    "x;\t-1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20A1",
)


def named(text: str) -> RunRecord:
    """A run in which every text that somebody else chooses is this one."""
    run, _ = EXAMPLES["fail-both"]()
    steps = dict(zip(run.plan.steps, (f"{text} {index}" for index, _ in enumerate(run.plan.steps)), strict=True))
    phases = tuple(
        dataclasses.replace(
            phase,
            name=f"{text} {index}",
            steps=tuple(dataclasses.replace(step, step=steps.get(step.step, step.step)) for step in phase.steps),
        )
        for index, phase in enumerate(run.phases)
    )
    plan = dataclasses.replace(renamed(run).plan, scenario=text, profile=text, steps=tuple(steps.values()))
    revision = dataclasses.replace(run.revision, sha=text, branch=text, label=text)
    environment = dataclasses.replace(run.environment, runner=text)
    return dataclasses.replace(
        run, id=text, plan=plan, phases=phases, revision=revision, environment=environment, url=text, quarantined=text
    )


def report(text: str) -> str:
    _, verdict = EXAMPLES["fail-both"]()
    rows = [dataclasses.replace(row, phase=text, step=text) for row in verdict.comparisons]
    return table.csv(named(text), dataclasses.replace(verdict, comparisons=tuple(rows)))


def trend(text: str) -> str:
    point = TrendPoint(
        run=text,
        started_at="2026-11-24T12:00:00Z",
        revision=text,
        value=-0.5,
        quarantined=text,
        marks=(Mark(event=TrendEvent.RELEASE, name=text), Mark(event=TrendEvent.WORSE, change=-0.2)),
    )
    series = TrendSeries(phase=text, step=text, metric="p95", points=(point,))
    return trend_csv([TrendGroup(scenario=text, profile=text, runner=text, environment=text, series=(series,))])


def history(text: str) -> str:
    return frame_csv(figures_frame([named(text)]))


WRITERS: tuple[Callable[[str], str], ...] = (report, trend, history)


@pytest.mark.hostile("texts")
@pytest.mark.parametrize("written", WRITERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";"])
def test_no_text_from_outside_is_a_formula_wherever_a_spreadsheet_separates_cells(
    written: Callable[[str], str], text: str, separator: str
) -> None:
    made = written(text)
    assert any(csv_cell(text) in cell for line in csv.reader(io.StringIO(made)) for cell in line)
    for line in csv.reader(io.StringIO(made), delimiter=separator):
        for cell in line:
            if cell.strip().startswith(SIGNS):
                float(cell)


@given(st.text(max_size=20))
def test_no_cell_of_text_is_a_formula_or_has_two_lines(text: str) -> None:
    cell = csv_cell(text)
    assert cell.isprintable()
    assert not cell.startswith(SIGNS)
    assert not any(part.strip().startswith(SIGNS) for part in cell.split(";"))


@settings(max_examples=20)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.text())
def test_numbers_are_read_back_as_they_were(numbers: list[float], text: str) -> None:
    frame = pd.DataFrame({"value": numbers, "text": [text] * len(numbers)})
    for made in (frame_csv(frame), table_csv(["value", "text"], [(number, text) for number in numbers])):
        assert [float(row["value"]) for row in csv.DictReader(io.StringIO(made))] == numbers


def test_numbers_in_cells_keep_every_digit() -> None:
    assert csv_cell(0.1 + 0.2) == "0.30000000000000004"
    assert csv_cell(-3) == "-3"
    assert csv_cell(None) == ""


def test_what_pandas_reads_is_what_the_page_says() -> None:
    made = pd.read_csv(io.StringIO(frame_csv(pd.DataFrame({"step": ["=list"], "value": [-1.5]}))))
    assert made["step"].str.removeprefix("'").tolist() == ["=list"]
    assert made["value"].tolist() == [-1.5]


def test_one_module_writes_all_csv() -> None:
    found = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and (node.attr == "to_csv" or ast.unparse(node) in ("csv.writer", "csv.DictWriter"))
    }
    assert found == {"report/text/csv_text.py"}
