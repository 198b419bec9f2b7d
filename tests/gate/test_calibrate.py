"""Which runs become a baseline."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.gate.world import Spectator, tiny_setup
from tests.report import examples
from tests.service import service
from velro_gate.errors import BrokenError, GateFailedError
from velro_gate.gate.calibrate import accept, calibrate
from velro_gate.gate.judgement import reach_verdict
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change
from velro_gate.store.baselines import list_baselines
from velro_gate.store.records import read_record


def test_calibration_stores_every_run_and_says_which_one_it_is_making(tmp_path: Path) -> None:
    watching = Spectator()
    with service() as running:
        setup = tiny_setup(tmp_path, running.url)
        records = calibrate(
            lambda: nullcontext(setup),
            runs=2,
            output=tmp_path / "out",
            baselines=tmp_path / "baselines",
            effects=watching.effects,
        )
    stored = list_baselines(tmp_path / "baselines").found
    assert [record.id for _, record in stored] == [record.id for record in records]
    assert [line for line in watching.said if "calibration" in line] == ["calibration run 1 of 2", "calibration run 2 of 2"]
    verdict = reach_verdict(records[0], tmp_path / "baselines")
    assert verdict.baselines_used == 1, "a run is not compared with itself"


def aged(record: RunRecord, number: int) -> RunRecord:
    """The same run, made earlier."""
    return dataclasses.replace(record, id=f"{record.id}-{number}", started_at=f"2026-01-0{number}T00:00:00Z")


def test_a_regression_becomes_a_baseline_only_when_somebody_accepts_it(tmp_path: Path) -> None:
    record = examples.record()
    for number in range(1, 7):
        accept(aged(record, number), tmp_path)
    worse = aged(examples.record(slower={"authorization_check": 2.0}), 8)
    with pytest.raises(GateFailedError, match="is a regression"):
        accept(worse, tmp_path)
    stored = read_record(accept(worse, tmp_path, accept_change=True))
    assert {(level.step, level.metric) for level in stored.new_levels} >= {("authorization_check", "p95")}
    again = reach_verdict(aged(worse, 9), tmp_path)
    assert not [row for row in again.comparisons if row.verdict is Change.REGRESSION], "it is the level from now on"


def test_an_interrupted_run_never_becomes_a_baseline(tmp_path: Path) -> None:
    with pytest.raises(BrokenError):
        accept(dataclasses.replace(examples.record(), interrupted=True), tmp_path)
    assert list_baselines(tmp_path).found == ()


def test_a_waived_regression_becomes_a_baseline_and_begins_an_epoch(tmp_path: Path) -> None:
    stored = tmp_path / "baselines"
    for number in range(1, 7):
        accept(aged(examples.record(), number), stored)
    worse = aged(examples.record(slower={"authorization_check": 2.0}), 8)
    agreed = tmp_path / "velro-waivers.yaml"
    regressed = [row for row in reach_verdict(worse, stored).comparisons if row.verdict is Change.REGRESSION]
    agreed.write_text(
        "\n".join(
            f"- {{phase: {row.phase}, step: {row.step}, metric: {row.metric}, ceiling: 150 %, expires: 2026-01-31, "
            "issue: '#1', reason: wanted}"
            for row in regressed
        ),
        encoding="utf-8",
    )
    record = read_record(accept(worse, stored, waivers=agreed))
    assert len(record.new_levels) == len(regressed) > 0
