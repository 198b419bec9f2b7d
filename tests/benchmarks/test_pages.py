"""The pages that a browser is measured with come from kept runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pages import keep
from tests.report.records import PRD, record
from velro_gate.gate.judge.chart_data import chart_data
from velro_gate.store.records import read_samples


def test_a_simulated_run_is_kept_with_its_samples_and_drawn_from_them(tmp_path: Path) -> None:
    run = record(profile="quick", phases=(PRD,))
    keep(tmp_path, run)
    (phase,) = run.phases
    assert len(read_samples(tmp_path / "samples.npz")[PRD]) > (phase.offered_rate or 0.0) * phase.measured_seconds
    made = chart_data(tmp_path, run).timeline
    assert made is not None
    assert [one.name for one in made.phases] == [PRD]
    assert ("service", "database_pool_in_use") in made.readings
