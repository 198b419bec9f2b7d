"""Figures of what was broken on purpose are compared with baselines, coarse as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import planned, run, summary
from velro_gate.analysis.rows.noise import from_scale, to_scale
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.resilience.experiment import CommandAction, Experiment
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal_text
from velro_gate.report.formats.table import csv
from velro_gate.report.sentences.kinds.comparisons import change_sentence
from velro_gate.report.text import figures

RECOVERY, ERRORS = "experiment:down:recovery", "experiment:down:errors"
DOWN = Experiment(name="down", at=5.0, lasts=5.0, action=CommandAction(run="true"))


def broken(recovery: float, *, errors: float = 0.01, times: float = 1.0, number: int = 0) -> RunRecord:
    """A run whose phase has an experiment."""
    plan = tuple(replace(phase, experiments=(DOWN,)) for phase in planned())
    return run(summary(times=times, changed={RECOVERY: recovery, ERRORS: errors}), number=number, plan=plan)


def compared(values: Sequence[float], now: float) -> Comparison:
    """The recovery of a run next to that of accepted ones."""
    rows = compare(broken(now), [broken(value, number=i) for i, value in enumerate(values)], Policy())
    return next(row for row in rows if row.metric == RECOVERY and row.step == "all")


def test_only_figures_of_the_experiments_are_compared_where_something_is_broken() -> None:
    rows = compare(broken(1.0, times=5.0), [broken(1.0, number=i) for i in range(6)], Policy())
    assert {row.metric for row in rows} == {RECOVERY, ERRORS}


def test_without_a_baseline_nothing_is_wrong() -> None:
    rows = compare(broken(1.0), [], Policy())
    assert {row.level for row in rows} == {Level.PASS}


@pytest.mark.parametrize("usual", [0.0, 1.0, 2.0, 5.0])
def test_one_step_of_a_coarse_figure_is_no_change(usual: float) -> None:
    assert compared([usual] * 10, usual + 1.0).level is Level.PASS


@pytest.mark.parametrize("usual", [0.0, 1.0, 2.0])
def test_a_much_longer_recovery_warns_and_never_fails(usual: float) -> None:
    row = compared([usual] * 10, usual + 14.0)
    assert (row.verdict, row.level) == (Change.SUSPICIOUS, Level.WARN) or row.verdict is Change.REGRESSION
    assert row.level is Level.WARN


def test_a_change_from_nothing_is_said_by_its_difference() -> None:
    row = compared([0.0] * 10, 9.0)
    assert figures.change(row) == "+9.00 s"
    assert "recovery after down is higher than the baseline (0 ms -> 9.00 s" in change_sentence(row)


def test_reports_of_such_a_run_show_the_figure() -> None:
    record, before = broken(9.0), [broken(0.0, number=i) for i in range(10)]
    verdict = judge(record, before)
    assert verdict.level is not Level.FAIL
    assert "recovery after down" in markdown(record, verdict, history=before)
    assert RECOVERY in csv(record, verdict)
    assert "Compared with the baselines: 6 advisory figures compared, 3 of them shown to be worse" in terminal_text(
        record, verdict
    )


@given(st.floats(0.0, 1e4), st.sampled_from([RECOVERY, "experiment:down:lost", "experiment:down:consistency"]))
def test_a_coarse_figure_has_a_place_on_its_scale_even_at_nothing(value: float, name: str) -> None:
    assert from_scale(to_scale(value, METRICS[name]), METRICS[name]) == pytest.approx(value, abs=1e-6)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=15), st.integers(0, 3))
def test_no_series_of_such_figures_fails_a_run(values: list[int], now: int) -> None:
    assert compared([float(value) for value in values], float(now)).level <= Level.WARN
