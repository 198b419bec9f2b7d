"""A figure that cannot be compared is never taken for one that has not changed."""

from __future__ import annotations

import dataclasses

import pytest

from tests.report.examples import SITUATIONS, decided, main
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.verdict import Change, Level
from velro_gate.report.sentences.reasons import row_reason


def with_own(run: RunRecord, metric: str, value: float) -> RunRecord:
    phases = []
    for phase in run.phases:
        whole, *steps = phase.steps
        measured = {**whole.measurements, metric: Estimate.exact(value, n=60)}
        phases.append(dataclasses.replace(phase, steps=(dataclasses.replace(whole, measurements=measured), *steps)))
    return dataclasses.replace(run, phases=tuple(phases))


@pytest.mark.slow
@pytest.mark.hostile("own metrics")
@pytest.mark.parametrize(
    ("metric", "value", "reason"),
    [
        ("own:x:share:lower", 7.0, "is not between 0 % and 100 %"),
        ("own:x:share:higher", -3.0, "is not between 0 % and 100 %"),
        ("own:x:count:lower", -3.0, "is not above zero"),
        ("own:x:time:higher", 0.0, "is not above zero"),
    ],
)
def test_a_value_that_cannot_be_is_said_and_does_not_pass_for_unchanged(metric: str, value: float, reason: str) -> None:
    baselines = [with_own(run, metric, 0.5) for run in main()]
    found = decided(with_own(SITUATIONS["pass"]().run, metric, value), baselines)
    rows = [row for row in found.verdict.comparisons if row.metric == metric]
    assert rows
    for row in rows:
        assert row.verdict is Change.NOT_COMPARED
        assert row.level is Level.WARN
        assert reason in row_reason(row)
    assert found.verdict.level is Level.WARN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "before", "value", "level", "reason"),
    [
        ("own:queue:count:lower", 0.0, 0.0, Level.PASS, "queue is zero, as in every baseline"),
        ("own:queue:count:lower", 0.0, 5.0, Level.WARN, "queue was zero in every baseline and is 5 now"),
        ("own:queue:count:lower", 5.0, 0.0, Level.PASS, "queue fell to zero"),
        ("own:sales:count:higher", 0.0, 5.0, Level.PASS, "sales was zero in every baseline and is 5 now"),
        ("own:sales:count:higher", 5.0, 0.0, Level.WARN, "sales is not above zero, so there is no ratio to compare"),
    ],
)
def test_zero_is_a_value_of_a_metric_of_ones_own_and_what_rises_from_it_or_falls_to_it_for_the_worse_warns(
    metric: str, before: float, value: float, level: Level, reason: str
) -> None:
    baselines = [with_own(run, metric, before) for run in main()]
    found = decided(with_own(SITUATIONS["pass"]().run, metric, value), baselines)
    rows = [row for row in found.verdict.comparisons if row.metric == metric]
    assert rows
    assert {(row.verdict, row.level, row_reason(row)) for row in rows} == {(Change.NOT_COMPARED, level, reason)}
