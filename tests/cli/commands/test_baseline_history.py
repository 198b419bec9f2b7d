"""Pinned, quarantined and drifted baselines, as users see them."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command import tiny_scenario, velro_gate
from tests.gate.judge.test_history import stored
from velro_gate.cli.commands.history import print_history
from velro_gate.cli.commands.trend import trend
from velro_gate.cli.options import HistoryFormat, TrendFormat
from velro_gate.model.record import RunRecord
from velro_gate.store import baselines
from velro_gate.store.baselines import list_baselines


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    stored(folder / "baselines")
    return folder


def test_the_history_shows_change_points_pins_quarantine_and_drift(place: Path) -> None:
    ended = velro_gate("baseline", "history", cwd=place)
    assert ended.code == 0
    assert "change point: +20 % in steady, not accepted" in ended.out
    assert "pinned: v1" in ended.out
    assert "quarantined, not used: too slow" in ended.out
    assert "Worse than the pinned release: p95 of all requests in steady +20 % (12.0 ms -> 14.4 ms)." in ended.out


def test_the_history_is_there_for_scripts(place: Path) -> None:
    (history,) = json.loads(velro_gate("baseline", "history", "--format", "json", cwd=place).out)
    assert [point["run"] for point in history["change_points"]] == ["run-12"]
    assert history["release"] == "v1"
    assert sum(line["quarantined"] is not None for line in history["runs"]) == 1
    assert {drift["metric"] for drift in history["drift"]} == {"p50", "p95"}


def test_the_history_as_csv_holds_every_figure_of_every_stored_run(place: Path) -> None:
    ended = velro_gate("baseline", "history", "--format", "csv", cwd=place)
    frame = pd.read_csv(io.StringIO(ended.out), parse_dates=["started_at"])
    assert set(frame["run"]) == {run.id for _, run in list_baselines(place / "baselines").found}
    assert frame["started_at"].is_monotonic_increasing
    assert (frame["low"] <= frame["value"]).all()
    assert {"p50", "p95"} <= set(frame["metric"])


def test_a_metric_that_is_none_is_a_usage_error(place: Path) -> None:
    assert velro_gate("baseline", "history", "--metric", "speed", cwd=place).code == 2


def test_the_trend_shows_a_sparkline_and_what_changed(place: Path) -> None:
    ended = velro_gate("trend", cwd=place)
    assert ended.code == 0
    assert re.search("▁{8,}█+", ended.out)
    assert "p95 of all requests in steady: +20 %, not accepted" in ended.out
    assert "release v1" in ended.out


def test_the_trend_is_a_page_and_a_table_too(place: Path) -> None:
    assert velro_gate("trend", "--format", "html", cwd=place).out.startswith("<!doctype html>")
    frame = pd.read_csv(io.StringIO(velro_gate("trend", "--format", "csv", "--metric", "p50", cwd=place).out))
    assert set(frame["metric"]) == {"p50"}
    assert velro_gate("trend", "--metric", "speed", cwd=place).code == 2


def test_the_trend_and_the_history_of_one_scenario_leave_the_others_out(place: Path) -> None:
    (name,) = {run.plan.scenario for _, run in list_baselines(place / "baselines").found}
    for called, found in ((name, True), ("another", False)):
        scenario = tiny_scenario(place, name=f"{called}.yaml")
        scenario.write_text(re.sub("^name: .*", f"name: {called}", scenario.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
        for command in (["trend"], ["baseline", "history"]):
            ended = velro_gate(*command, scenario, cwd=place)
            assert ended.code == 0, ended.err
            assert (f"no baselines of {scenario} in " not in ended.out) is found
    refused = velro_gate("trend", "baselines", cwd=place)
    assert refused.code == 2
    assert "--baselines" in refused.err


def test_no_baselines_have_no_trend(tmp_path: Path) -> None:
    assert "no baselines" in velro_gate("trend", cwd=tmp_path).out


def test_no_baselines_have_no_history(tmp_path: Path) -> None:
    assert "no baselines" in velro_gate("baseline", "history", cwd=tmp_path).out


def test_the_list_shows_what_is_not_used_and_why(place: Path) -> None:
    ended = velro_gate("baseline", "list", cwd=place)
    assert "too slow" in ended.out
    rows = json.loads(velro_gate("baseline", "list", "--format", "json", cwd=place).out)["baselines"]
    assert [row["release"] for row in rows if row["release"]] == ["v1"]
    assert [row["quarantined"] for row in rows if row["quarantined"]] == ["too slow"]


def test_a_baseline_is_pinned_and_let_go(tmp_path: Path) -> None:
    stored(tmp_path / "baselines", 3)
    file = list_baselines(tmp_path / "baselines").found[1][0]
    assert "as v2" in velro_gate("baseline", "pin", file, "--release", "v2", cwd=tmp_path).out
    assert velro_gate("baseline", "unpin", file, cwd=tmp_path).code == 0
    again = velro_gate("baseline", "unpin", file, cwd=tmp_path)
    assert again.code == 2
    assert "not pinned" in again.err


def test_every_command_on_baselines_finds_those_of_the_repository_from_a_folder_inside_it(tmp_path: Path) -> None:
    repository, deep = tmp_path / "repository", tmp_path / "repository" / "service" / "perf"
    deep.mkdir(parents=True)
    (repository / ".git").mkdir()
    stored(repository / "baselines", 4)
    files = [path.relative_to(repository) for path, _ in list_baselines(repository / "baselines").found]
    assert "change points" in velro_gate("baseline", "history", cwd=deep).out
    listed = json.loads(velro_gate("baseline", "list", "--format", "json", cwd=deep).out)["baselines"]
    assert [Path(row["file"]).relative_to(repository) for row in listed] == files
    for words in (("show",), ("pin", "--release", "v1"), ("unpin",), ("remove",)):
        ended = velro_gate("baseline", *words, files[0], cwd=deep)
        assert ended.code == 0, ended.err
    assert velro_gate("baseline", "prune", "--keep", "1", cwd=deep).code == 0
    left = [
        path.relative_to(repository)
        for path, record in list_baselines(repository / "baselines").found
        if not record.quarantined
    ]
    assert left == files[3:4]
    assert not (deep / "baselines").exists()


def test_a_run_is_added_to_the_baselines_of_the_repository_that_holds_it(tmp_path: Path) -> None:
    repository, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    (repository / ".git").mkdir(parents=True)
    elsewhere.mkdir()
    stored(tmp_path / "made", 1)
    run = repository / "velro-results" / "record.json"
    run.parent.mkdir()
    run.write_bytes(list_baselines(tmp_path / "made").found[0][0].read_bytes())
    ended = velro_gate("baseline", "add", run, "--accept-change", cwd=elsewhere)
    assert ended.code == 0, ended.err
    assert len(list_baselines(repository / "baselines").found) == 1
    assert not (elsewhere / "baselines").exists()


def test_a_path_that_is_there_is_meant_before_one_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "inner"
    stored(tmp_path / "baselines", 2)
    stored(inner / "baselines", 2)
    file = list_baselines(inner / "baselines").found[1][0].relative_to(inner)
    assert velro_gate("baseline", "remove", file, cwd=inner).code == 0
    assert (tmp_path / file).exists()
    assert not (inner / file).exists()


@pytest.mark.parametrize(
    "command",
    [
        *(lambda root, form=form: trend(baselines=root, format=form) for form in TrendFormat),
        lambda root: trend(baselines=root, metric=["p50", "p95", "p99"]),
        *(lambda root, form=form: print_history(root, "p95", "all", None, form) for form in HistoryFormat),
    ],
)
def test_each_stored_run_is_read_once_however_many_figures_are_shown(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[[Path], int]
) -> None:
    read = Counter[Path]()

    def counted(path: Path, reading: Callable[[Path], RunRecord] = baselines.read_record) -> RunRecord:
        read[path] += 1
        return reading(path)

    monkeypatch.setattr(baselines, "read_record", counted)
    assert command(place / "baselines") == 0
    assert set(read.values()) == {1}
    assert len(read) == 21
