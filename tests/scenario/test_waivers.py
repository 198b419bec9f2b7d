"""The file of agreed regressions."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from velro_gate.errors import ScenarioError, UsageError
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.sentences.waivers import proposed_row
from velro_gate.scenario.waivers import read_waivers

ROW = "- {phase: steady, step: login, metric: p95, ceiling: 30 %, expires: 2026-12-31, issue: '#7', reason: a new check}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "velro-waivers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_is_read_with_its_place(tmp_path: Path) -> None:
    (waiver,) = read_waivers(written(tmp_path, ROW))
    assert (waiver.phase, waiver.step, waiver.metric) == ("steady", "login", "p95")
    assert waiver.ceiling == pytest.approx(0.3)
    assert waiver.expires == date(2026, 12, 31)
    assert "row 1" in waiver.where


def test_a_ceiling_may_be_above_a_hundred_percent(tmp_path: Path) -> None:
    assert read_waivers(written(tmp_path, ROW.replace("30 %", "150 %")))[0].ceiling == pytest.approx(1.5)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]"])
def test_an_empty_file_and_no_file_hold_no_waivers(tmp_path: Path, text: str) -> None:
    assert read_waivers(written(tmp_path, text)) == ()
    assert read_waivers(tmp_path / "none.yaml") == ()


def test_every_faulty_row_is_named(tmp_path: Path) -> None:
    text = ROW + ROW.replace("metric: p95", "metric: p96") + ROW.replace("issue: '#7', ", "") + "- {fase: steady}\n"
    with pytest.raises(ScenarioError) as raised:
        read_waivers(written(tmp_path, text))
    said = str(raised.value)
    assert all(part in said for part in ("row 2", "p96", "row 3", "issue", "row 4", "fase"))
    assert "row 1" not in said


@pytest.mark.parametrize("text", ["{a: b}", "a: [", "just words", "!!set []", "[" * 2000, ROW + "---\n"])
def test_what_is_no_list_of_rows_is_refused_at_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ScenarioError, match=r"velro-waivers.yaml:\d"):
        read_waivers(written(tmp_path, text))


@pytest.mark.parametrize(
    ("was", "put", "said"),
    [
        ("2026-12-31", "2026-02-30", "there is no day 2026-02-30"),
        ("2026-12-31", "20261231", "a day such as"),
        ("30 %", "30", "would be 3,000 %: write '30 %'"),
        ("30 %", "1.5", "would be 150 %: write '1.5 %' or '150 %'"),
        ("30 %", "-3 %", "a ceiling such as"),
        ("30 %", "!!float 3", "the tag"),
    ],
)
def test_what_would_be_misread_is_refused_with_what_to_write(tmp_path: Path, was: str, put: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        read_waivers(written(tmp_path, ROW.replace(was, put)))


def test_a_bare_share_is_a_ceiling_and_a_bare_number_an_issue(tmp_path: Path) -> None:
    (waiver,) = read_waivers(written(tmp_path, ROW.replace("30 %", "0.3").replace("'#7'", "1234")))
    assert waiver.ceiling == pytest.approx(0.3)
    assert waiver.issue == "1234"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_waivers(tmp_path)


def test_two_rows_about_one_figure_are_refused_and_both_are_named(tmp_path: Path) -> None:
    text = ROW + ROW.replace("p95", "p50") + ROW.replace("30 %", "50 %")
    with pytest.raises(ScenarioError, match=r"row 3.*p95 of login in steady is waived already in row 1"):
        read_waivers(written(tmp_path, text))


def test_a_proposed_row_is_read_once_issue_and_reason_are_filled_in(tmp_path: Path) -> None:
    row = Comparison(
        phase="steady",
        step="login",
        metric="p95",
        verdict=Change.REGRESSION,
        primary=True,
        level=Level.FAIL,
        change=0.2,
        worse=0.18,
    )
    pasted = proposed_row(row, date(2026, 12, 1))
    with pytest.raises(ScenarioError, match="names its issue and its reason"):
        read_waivers(written(tmp_path, pasted))
    filled = pasted.replace('issue: ""', 'issue: "#7"').replace('reason: ""', 'reason: "a new check"')
    (waiver,) = read_waivers(written(tmp_path, filled))
    assert (waiver.step, waiver.issue, waiver.expires) == ("login", "#7", date(2026, 12, 31))
    assert waiver.ceiling == pytest.approx(0.25)
