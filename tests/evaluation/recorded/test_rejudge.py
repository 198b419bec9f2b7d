"""Kept runs judged again under another policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.duets import noisy
from tests.analysis.runs import baselines, run, summary
from velro_gate.evaluation.recorded.flips import Rejudged, RunKind
from velro_gate.evaluation.recorded.rejudge import rejudged
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Level

STORED = baselines(12, sd=0.01)


def again(record: RunRecord, accepted: list[RunRecord], **changed: object) -> Rejudged:
    return rejudged(record, None, accepted, changed, kind=RunKind.RUN, place="here")


def test_a_wider_margin_forgives_a_regression() -> None:
    slower = run(summary(times=1.15), number=50)
    found = again(slower, STORED, margin=0.30, unchanged_below=0.40)
    assert (found.before, found.flips) == (Level.FAIL, True)
    assert found.after is not Level.FAIL
    assert {(row.metric, row.step, row.before) for row in found.rows} >= {("p95", "all", Change.REGRESSION)}


def test_the_same_policy_flips_nothing() -> None:
    found = again(run(summary(times=1.15), number=50), STORED, margin=0.05)
    assert not found.flips
    assert found.rows == ()


def test_a_run_is_held_against_those_before_it_only() -> None:
    assert again(STORED[5], STORED, margin=0.03).baselines == 5
    assert again(STORED[0], STORED, margin=0.03).baselines == 0


def test_runs_of_another_plan_or_environment_are_no_baselines() -> None:
    from dataclasses import replace

    elsewhere = replace(run(number=50), environment=replace(STORED[0].environment, kernel="other"))
    changed = replace(run(number=50), plan=replace(STORED[0].plan, digest="e" * 64))
    assert again(elsewhere, STORED, margin=0.03).baselines == 0
    assert again(changed, STORED, margin=0.03).baselines == 0


def test_a_duet_is_judged_by_its_own_pairs() -> None:
    held = noisy(10, sd=0.005, factor=1.12)
    kept = DuetRecord(duet=held, warm_up=1.0, block_seconds=5.0, restarted=True)
    record = run(*(held.pairs[0].head.phases), number=50)
    found = rejudged(record, kept, STORED, {"margin": 0.3, "unchanged_below": 0.4}, kind=RunKind.DUET, place="here")
    assert found.baselines == 0
    assert found.before is Level.FAIL
    assert found.flips


def test_values_that_no_policy_can_have_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        again(run(), STORED, margin=0.9)


@pytest.mark.slow
@given(times=st.floats(0.8, 1.4), margin=st.floats(0.05, 0.5))
def test_a_wider_margin_never_makes_a_regression(times: float, margin: float) -> None:
    found = again(run(summary(times=times), number=50), STORED, margin=margin, unchanged_below=max(margin, 0.10))
    assert not any(row.after is Change.REGRESSION and row.before is not Change.REGRESSION for row in found.rows)
