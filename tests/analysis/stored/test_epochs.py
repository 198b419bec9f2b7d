"""Accepted changes begin an epoch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.runs import baselines, run, summary
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.stored.epochs import of_this_epoch
from velro_gate.model.record import NewLevel, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison

P95 = NewLevel(phase="steady", step="all", metric="p95")


def after_a_change(count: int) -> list[RunRecord]:
    """Twenty runs as before, then ``count`` that are 30 % slower, the first of which was accepted as the new level."""
    later = [run(summary(times=1.3 * f), number=50 + i) for i, f in enumerate((1.0, 1.01, 0.99, 1.0, 1.02)[:count])]
    return [*baselines(20, sd=0.01), replace(later[0], new_levels=(P95,)), *later[1:]]


def p95(times: float, before: list[RunRecord]) -> Comparison:
    rows = compare(run(summary(times=times), number=99), before, Policy())
    return next(row for row in rows if (row.metric, row.step) == ("p95", "all"))


def test_only_runs_from_the_accepted_change_on_are_of_the_epoch() -> None:
    before = after_a_change(3)
    assert len(of_this_epoch(before, "steady", "all", "p95")) == 3
    assert len(of_this_epoch(before, "steady", "all", "p50")) == 23
    assert of_this_epoch([], "steady", "all", "p95") == []


def test_a_run_at_the_new_level_is_unchanged() -> None:
    found = p95(1.3, after_a_change(3))
    assert (found.verdict, found.k) == (Change.UNCHANGED, 3)
    assert found.baseline == pytest.approx(0.012 * 1.3, rel=0.01)


def test_the_noise_of_the_old_level_is_still_known_so_one_run_of_the_new_one_is_enough() -> None:
    before = after_a_change(1)
    assert p95(1.3, before).verdict is Change.UNCHANGED
    found = p95(1.3 * 1.12, before)
    assert found.verdict is Change.REGRESSION
    assert found.margin == Policy().margin


def test_going_back_to_the_old_level_is_an_improvement() -> None:
    assert p95(1.0, after_a_change(3)).verdict is Change.IMPROVEMENT


def test_without_the_acceptance_the_old_runs_outvote_the_new_ones() -> None:
    before = [replace(each, new_levels=()) for each in after_a_change(2)]
    assert p95(1.3, before).verdict in (Change.REGRESSION, Change.SUSPICIOUS)
