"""Pinned, quarantined and drifted baselines, as users see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import velro_gate
from tests.gate.test_history import stored
from velro_gate.store.baselines import list_baselines


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    stored(folder / "baselines")
    return folder


def test_the_history_tells_change_points_pins_quarantine_and_drift(place: Path) -> None:
    ended = velro_gate("baseline", "history", cwd=place)
    assert ended.code == 0
    assert "change point: +20 % in steady, agreed to by nobody" in ended.out
    assert "pinned: v1" in ended.out
    assert "quarantined, not used: too slow" in ended.out
    assert "Worse than the pinned release: p95 of all steps in steady +20 % (12.0 ms -> 14.4 ms)." in ended.out


def test_the_history_is_there_for_scripts(place: Path) -> None:
    (history,) = json.loads(velro_gate("baseline", "history", "--format", "json", cwd=place).out)
    assert [point["run"] for point in history["change_points"]] == ["run-12"]
    assert history["release"] == "v1"
    assert sum(line["quarantined"] is not None for line in history["runs"]) == 1
    assert {drift["metric"] for drift in history["drift"]} == {"p50", "p95"}


def test_a_metric_that_is_none_is_a_usage_error(place: Path) -> None:
    assert velro_gate("baseline", "history", "--metric", "speed", cwd=place).code == 2


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
