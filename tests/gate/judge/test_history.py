"""What is stored, as a history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.analysis.runs import run, summary
from velro_gate.gate.judge.history import histories
from velro_gate.model.record import NewLevel
from velro_gate.store.baselines import add_baseline, list_baselines, quarantine
from velro_gate.store.pins import pin_baseline

P95 = NewLevel(phase="steady", step="all", metric="p95")


def stored(root: Path, count: int = 20, change_at: int = 12) -> None:
    """Runs of which those from one on are 20 % slower; the first is pinned, one is quarantined."""
    for number in range(count):
        path = add_baseline(root, run(summary(times=1.0 if number < change_at else 1.2), number=number))
        if number == 0:
            pin_baseline(path, "v1")
    quarantine(root, run(summary(times=2.0), number=count), "too slow")


def test_a_history_shows_change_points_pins_and_quarantined_runs_at_their_place(tmp_path: Path) -> None:
    stored(tmp_path)
    (history,) = histories(list_baselines(tmp_path), "p95", "all")
    assert [line.release for line in history.lines if line.release] == ["v1"]
    assert [line.run.id for line in history.lines if line.points] == ["run-12"]
    assert history.lines[-1].run.quarantined == "too slow"
    assert history.lines[-1].values["steady"] > 0.02, "it is shown, though it is not used"
    assert history.release is not None
    assert {drift.metric for drift in history.drifts} == {"p50", "p95"}


def test_an_epoch_is_shown_for_the_figure_that_it_is_of(tmp_path: Path) -> None:
    for number in range(3):
        add_baseline(tmp_path, replace(run(number=number), new_levels=(P95,) if number == 1 else ()))
    (history,) = histories(list_baselines(tmp_path), "p95", "all")
    assert [bool(line.epochs) for line in history.lines] == [False, True, False]
    assert not any(line.epochs for line in histories(list_baselines(tmp_path), "p50", "all")[0].lines)
    assert history.too_short


def test_every_plan_has_its_own_history_the_newest_last(tmp_path: Path) -> None:
    other = replace(run(number=1), plan=replace(run().plan, profile="full"))
    add_baseline(tmp_path, run(number=5))
    add_baseline(tmp_path, other)
    assert [history.profile for history in histories(list_baselines(tmp_path), "p95", "all")] == ["full", "pr"]


def test_an_empty_folder_has_no_history(tmp_path: Path) -> None:
    assert histories(list_baselines(tmp_path), "p95", "all") == ()
