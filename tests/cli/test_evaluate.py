"""``velro-gate evaluate`` as its users call it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import velro_gate
from tests.series import write_all, write_benchmarks


def test_synthetic_prints_each_figure_beside_the_naive_rules(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "synthetic", "--only", "duet", "--count", "20", cwd=tmp_path)
    assert "figures are reached" in ended.out
    assert "previous run + 10" in ended.out
    assert ended.code in (0, 1)


def test_synthetic_as_json_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    arguments = ("evaluate", "synthetic", "--only", "duet", "--count", "20", "--seed", "3", "--format", "json")
    one, other = (velro_gate(*arguments, cwd=tmp_path) for _ in range(2))
    assert one.out == other.out
    figures = json.loads(one.out)
    assert all(set(figure) >= {"experiment", "rate", "bound", "target", "naive"} for figure in figures)
    assert one.code == (1 if any(figure["reached"] is False for figure in figures) else 0)


def test_an_unknown_experiment_is_named_with_those_there_are(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "synthetic", "--only", "duett", cwd=tmp_path)
    assert ended.code == 2
    assert "duett" in ended.err
    assert "duet, stored" in ended.err


def test_replay_judges_the_series_that_are_there_and_names_those_that_are_not(tmp_path: Path) -> None:
    write_benchmarks(tmp_path / "data")
    ended = velro_gate("evaluate", "replay", "data", "--format", "json", cwd=tmp_path)
    assert ended.code == 0
    assert "absent: spl_jdom" in ended.err
    assert json.loads(ended.out)[0]["hits"] == 0


def test_replay_of_all_series_reaches_its_figures(tmp_path: Path) -> None:
    write_all(tmp_path)
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 0
    assert "4 of 4 figures are reached" in ended.out


def test_a_step_in_a_series_without_changes_is_a_missed_figure(tmp_path: Path) -> None:
    write_benchmarks(tmp_path, factors=dict.fromkeys(range(10, 20), 1.5))
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 1
    assert "MISSED" in ended.out


def test_replay_of_a_folder_without_series_says_what_it_should_hold(tmp_path: Path) -> None:
    ended = velro_gate("evaluate", "replay", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "spl_jdom" in ended.err
    assert velro_gate("evaluate", "replay", "nowhere", cwd=tmp_path).code == 2
