"""The CSV report: one row for each phase, step and metric, complete, in base units, read back without loss."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest

from tests.report.examples import EXAMPLES
from tests.report.hostile import hostile
from tests.report.records import PRD, requirement
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Comparator
from velro_gate.model.verdict import Verdict
from velro_gate.report.formats import table
from velro_gate.report.formats.table import COLUMNS


def rows(run: RunRecord, verdict: Verdict) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv(run, verdict))))


def test_every_measured_figure_has_exactly_one_row() -> None:
    run, verdict = EXAMPLES["pass"]()
    keys = [(row["phase"], row["step"], row["metric"]) for row in rows(run, verdict)]
    measured = {(phase.name, step.step, metric) for phase in run.phases for step in phase.steps for metric in step.measurements}
    assert len(keys) == len(set(keys))
    assert set(keys) == measured


def test_values_are_read_back_without_loss() -> None:
    run, verdict = EXAMPLES["pass"]()
    for row in rows(run, verdict):
        phase = run.phase(row["phase"])
        assert phase is not None
        found = phase.measurement(row["metric"], row["step"])
        assert found is not None
        assert (float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"])) == (
            found.value,
            found.low,
            found.high,
            found.n,
        )


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_requirement_and_comparison_has_its_row(example: str) -> None:
    run, verdict = EXAMPLES[example]()
    made = {(row["phase"], row["step"], row["metric"]): row for row in rows(run, verdict)}
    for one in verdict.requirements:
        assert made[one.phase, one.requirement.step, one.requirement.metric]["target"] == repr(one.requirement.target)
    for row in verdict.comparisons:
        assert made[row.phase, row.step, row.metric]["comparison"] == row.verdict.value


def test_what_was_not_measured_says_so_in_every_figure() -> None:
    row = next(row for row in rows(*EXAMPLES["broken"]()) if row["metric"] == "database_connections" and row["phase"] == PRD)
    assert {row[column] for column in ("value", "low", "high", "n", "headroom", "requirement_status")} == {"not measured"}


def test_without_a_requirement_its_cells_are_empty() -> None:
    row = next(row for row in rows(*EXAMPLES["pass"]()) if row["metric"] == "p50" and row["step"] == "generation_create")
    assert row["requirement"] == row["target"] == row["requirement_status"] == ""


def test_of_two_requirements_on_one_figure_the_worse_is_shown() -> None:
    run, _ = EXAMPLES["pass"]()
    both = requirement("p95", Comparator.BELOW, 0.5), requirement("p95", Comparator.BELOW, 0.01)
    verdict = judge(run, (), phases=(dataclasses.replace(run.plan.phases[0], requirements=both),))
    row = next(row for row in rows(run, verdict) if (row["phase"], row["step"], row["metric"]) == (PRD, "all", "p95"))
    assert row["requirement"] == "< 0.01"


def test_rows_follow_the_plan_the_steps_and_the_registry() -> None:
    run, verdict = EXAMPLES["pass"]()
    phases = list(dict.fromkeys(row["phase"] for row in rows(run, verdict)))
    steps = list(dict.fromkeys(row["step"] for row in rows(run, verdict) if row["phase"] == PRD))
    assert phases == [phase.name for phase in run.plan.phases]
    assert steps == ["all", *run.plan.steps]


def test_every_row_has_every_column() -> None:
    lines = list(csv.reader(io.StringIO(table.csv(*EXAMPLES["fail-both"]()))))
    assert tuple(lines[0]) == COLUMNS
    assert {len(line) for line in lines} == {len(COLUMNS)}


def test_no_cell_from_outside_is_a_formula_or_breaks_its_line() -> None:
    run, verdict = hostile().made
    run = dataclasses.replace(run, revision=dataclasses.replace(run.revision, sha="=cmd|' /C calc'!A0"))
    text = table.csv(run, verdict)
    for line in csv.reader(io.StringIO(text)):
        assert len(line) == len(COLUMNS)
        assert not any(cell.startswith(("=", "+", "@")) for cell in line)
