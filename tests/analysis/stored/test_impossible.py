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
