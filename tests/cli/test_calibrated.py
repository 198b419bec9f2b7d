"""What a calibration says of the runs that come after it."""

from __future__ import annotations

import pytest

from tests.analysis.runs import baselines
from velro_gate.cli.calibrated import print_calibrated
from velro_gate.gate.calibrate import Calibrated


def said(count: int, capsys: pytest.CaptureFixture[str], n: int = 6000) -> str:
    print_calibrated(Calibrated(stored=tuple(baselines(count, sd=0.01, n=n)), refused=()))
    return " ".join(capsys.readouterr().out.split())


def test_five_runs_tell_what_a_later_one_will_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "A later run will fail a worsening of" in said(5, capsys)


def test_fewer_fail_nothing_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "4 baselines fail no run, they warn" in said(4, capsys)


def test_what_later_runs_will_not_compare_is_named_with_the_duration_that_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(5, capsys, n=200)
    assert "Not compared in steady: p95 of all, only 200 good answers, 600 are needed to compare p95 (3 min would do)" in found
