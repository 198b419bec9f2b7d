"""What a calibration says of the runs that come after it."""

from __future__ import annotations

import pytest

from tests.analysis.runs import baselines, run, summary
from velro_gate.cli.commands.baselines.calibrated import print_calibrated
from velro_gate.gate.judge.calibrate import Calibrated


def said(count: int, capsys: pytest.CaptureFixture[str], n: int = 6000, sd: float = 0.01) -> str:
    print_calibrated(Calibrated(stored=tuple(baselines(count, sd=sd, n=n)), refused=()))
    return " ".join(capsys.readouterr().out.split())


def test_five_runs_show_what_a_later_one_will_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "A later run will fail a worsening of" in said(5, capsys)


def test_runs_that_lie_far_apart_come_with_what_makes_smaller_worsenings_detectable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    advice = "To detect smaller worsenings: make the phases longer"
    assert advice in said(5, capsys, sd=0.4)
    assert advice not in said(5, capsys)


def test_fewer_fail_nothing_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "4 baselines fail no run, they warn" in said(4, capsys)


def test_what_later_runs_will_not_compare_is_named_with_the_duration_that_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(5, capsys, n=200)
    assert "Not compared in steady: p95 of all, only 200 successful responses, 600 are needed to compare p95" in found
    assert "(3 min would be enough)" in found


def test_the_table_has_a_row_for_each_run_in_the_order_made_and_says_why_one_was_not_stored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    first, second = run(number=0), run(summary(times=1.1), number=2)
    slow = run(summary(times=5.0, failed=60), number=1)
    print_calibrated(Calibrated(stored=(first, second), refused=((slow, "p95 of steady misses its limit"),)))
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "run-" in line] == [
        "run 1: run-0",
        "run 2: run-1, not stored: p95 of steady misses its limit",
        "run 3: run-2",
    ]
    rows = [line for line in lines if "steady" in line and " ms" in line]
    assert max(map(len, rows)) <= 80
    figures = [("100/s", "5.00 ms", "12.0 ms", "20.0 ms", "yes"), ("25.0 ms", "60.0 ms", "100 ms", "no")]
    assert all(word in rows[0] for word in figures[0]), rows[0]
    assert all(word in rows[1] for word in figures[1]), rows[1]
    assert "13.2 ms" in rows[2]


def test_the_table_shows_how_far_the_runs_of_one_build_lie_apart(capsys: pytest.CaptureFixture[str]) -> None:
    print_calibrated(Calibrated(stored=tuple(run(summary(times=times), number=n) for n, times in enumerate((1.0, 1.2, 1.1)))))
    said = " ".join(capsys.readouterr().out.split())
    assert "Noise: p95 of steady was up to 20.0 % apart in 3 runs of one build." in said


def test_a_single_run_has_a_row_and_no_noise(capsys: pytest.CaptureFixture[str]) -> None:
    print_calibrated(Calibrated(stored=(run(),)))
    said = capsys.readouterr().out
    assert "run-0" in said
    assert "Noise" not in said
