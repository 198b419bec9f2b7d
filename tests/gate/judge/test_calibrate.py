"""Which runs become a baseline."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.analysis import runs
from tests.gate.judge.test_confirm import faster
from tests.gate.world import Spectator, tiny_setup
from tests.report import records
from tests.service import service
from velro_gate.errors import BrokenError, GateFailedError
from velro_gate.gate.judge.calibrate import Calibrated, accept, calibrate
from velro_gate.gate.judge.verdict import reach_verdict
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change
from velro_gate.store.baselines import add_baseline, list_baselines, load_baselines
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
        ).stored
    stored = list_baselines(tmp_path / "baselines").found
    assert [record.id for _, record in stored] == [record.id for record in records]
    assert [line for line in watching.said if "calibration" in line] == ["calibration run 1 of 2", "calibration run 2 of 2"]
    verdict = reach_verdict(records[0], tmp_path / "baselines")
    assert verdict.baselines_used == 1, "a run is not compared with itself"


def aged(record: RunRecord, number: int) -> RunRecord:
    """The same run, made earlier."""
    return dataclasses.replace(record, id=f"{record.id}-{number}", started_at=f"2026-01-0{number}T00:00:00Z")


def test_a_regression_becomes_a_baseline_only_when_somebody_accepts_it(tmp_path: Path) -> None:
    record = records.record()
    for number in range(1, 7):
        accept(aged(record, number), tmp_path)
    worse = aged(records.record(slower={"authorization_check": 2.0}), 8)
    with pytest.raises(GateFailedError, match="is a regression") as refused:
        accept(worse, tmp_path)
    kept = [(path, record) for path, record in list_baselines(tmp_path).found if record.quarantined]
    assert [record.id for _, record in kept] == [worse.id]
    assert "kept as quarantined: 'velro-gate baseline list' shows it" in refused.value.hint
    assert "authorization_check p95" in kept[0][1].quarantined
    assert reach_verdict(worse, tmp_path).baselines_used == 6, "what is quarantined is not used"
    stored = read_record(accept(worse, tmp_path, accept_change=True))
    assert {(level.step, level.metric) for level in stored.new_levels} >= {("authorization_check", "p95")}
    again = reach_verdict(aged(worse, 9), tmp_path)
    assert not [row for row in again.comparisons if row.verdict is Change.REGRESSION], "it is the level from now on"


def test_an_interrupted_run_never_becomes_a_baseline(tmp_path: Path) -> None:
    with pytest.raises(BrokenError):
        accept(dataclasses.replace(records.record(), interrupted=True), tmp_path)
    ((_, kept),) = list_baselines(tmp_path).found
    assert "interrupted" in kept.quarantined
    assert load_baselines(tmp_path, plan=kept.plan, environment=kept.environment).accepted == ()


def test_a_waived_regression_becomes_a_baseline_and_begins_an_epoch(tmp_path: Path) -> None:
    stored = tmp_path / "baselines"
    for number in range(1, 7):
        accept(aged(records.record(), number), stored)
    worse = aged(records.record(slower={"authorization_check": 2.0}), 8)
    agreed = tmp_path / "velro-waivers.yaml"
    regressed = [row for row in reach_verdict(worse, stored).comparisons if row.primary and row.verdict is Change.REGRESSION]
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


def test_a_waived_suspicion_begins_an_epoch_too_since_it_need_not_be_sure(tmp_path: Path) -> None:
    stored = tmp_path / "baselines"
    for number in range(10):
        factor = 1.0 + 0.02 * ((number * 7) % 5 - 2)
        add_baseline(stored, runs.run(runs.summary(times=factor), number=number))
    worse = runs.run(runs.summary(times=1.12), number=50)
    alone = [row for row in reach_verdict(worse, stored).comparisons if row.primary and row.verdict is Change.SUSPICIOUS]
    assert alone
    agreed = tmp_path / "velro-waivers.yaml"
    agreed.write_text(
        "\n".join(
            f"- {{phase: {row.phase}, step: {row.step}, metric: {row.metric}, ceiling: 50 %, expires: 2025-01-31, "
            "issue: '#1', reason: wanted}"
            for row in alone
        ),
        encoding="utf-8",
    )
    levels = read_record(accept(worse, stored, waivers=agreed)).new_levels
    assert {(level.step, level.metric) for level in levels} == {(row.step, row.metric) for row in alone}


def test_a_run_in_which_nothing_was_answered_well_is_no_level_even_where_there_is_none_yet(tmp_path: Path) -> None:
    with pytest.raises(BrokenError) as refused:
        accept(runs.run(runs.summary(failed=6000, without=("p50", "p95", "p99"))), tmp_path)
    assert "all requests failed in steady" in str(refused.value)
    ((_, kept),) = list_baselines(tmp_path).found
    assert kept.quarantined


def test_five_calibrated_runs_are_five_baselines_with_the_policys_own_margin(tmp_path: Path) -> None:
    for number in range(5):
        accept(runs.run(number=number), tmp_path)
    verdict = reach_verdict(runs.run(number=9), tmp_path)
    assert {row.k for row in verdict.comparisons if row.primary} == {5}
    assert {row.margin for row in verdict.comparisons if row.primary and row.metric == "p95"} == {0.05}


def test_a_calibration_of_a_build_that_is_worse_than_what_was_accepted_is_refused_and_kept(tmp_path: Path) -> None:
    stored = tmp_path / "baselines"
    with service() as running:
        setup = tiny_setup(tmp_path, running.url, users=100, rate="150/s")
        first = run(setup, make_results(tmp_path / "first", "run"), Spectator().effects)
        for number in range(1, 7):
            add_baseline(stored, faster(first, number))
        with pytest.raises(GateFailedError, match="is a regression"):
            calibrate(
                lambda: nullcontext(setup), runs=2, output=tmp_path / "out", baselines=stored, effects=Spectator().effects
            )
    assert len([one for _, one in list_baselines(stored).found if one.quarantined]) == 1


def test_a_calibration_of_a_waived_change_is_one_epoch_of_all_its_runs(tmp_path: Path) -> None:
    stored, agreed = tmp_path / "baselines", tmp_path / "velro-waivers.yaml"
    with service() as running:
        setup = tiny_setup(tmp_path, running.url, users=100, rate="150/s")
        first = run(setup, make_results(tmp_path / "first", "run"), Spectator().effects)
        for number in range(1, 7):
            add_baseline(stored, faster(first, number))
        covered = [
            row
            for row in reach_verdict(first, stored).comparisons
            if row.primary and row.metric in ("p50", "p90", "p95", "p99")
        ]
        agreed.write_text(
            "\n".join(
                f"- {{phase: {row.phase}, step: {row.step}, metric: {row.metric}, ceiling: 5000 %, expires: 2099-01-31, "
                "issue: '#1', reason: wanted}"
                for row in covered
            ),
            encoding="utf-8",
        )
        records = calibrate(
            lambda: nullcontext(setup),
            runs=2,
            output=tmp_path / "out",
            baselines=stored,
            effects=Spectator().effects,
            waivers=agreed,
        ).stored
    kept = {one.id: set(one.new_levels) for _, one in list_baselines(stored).found}
    begun, after = (kept[record.id] for record in records)
    assert begun
    assert not begun & after


def missing(number: int) -> RunRecord:
    """A run that misses its own requirement."""
    limit = Requirement(metric="p95", comparator=Comparator.BELOW, target=1e-3)
    made = runs.run(number=number)
    phases = tuple(dataclasses.replace(phase, requirements=(limit,)) for phase in made.plan.phases)
    return dataclasses.replace(made, plan=dataclasses.replace(made.plan, phases=phases))


def calibrated(monkeypatch: pytest.MonkeyPatch, folder: Path, watching: Spectator, *measured: RunRecord) -> Calibrated:
    """A calibration of two runs, whose runs are these."""
    coming = iter(measured)
    monkeypatch.setattr("velro_gate.gate.judge.calibrate.run", lambda *_: next(coming))
    setup = tiny_setup(folder, "http://127.0.0.1:1")
    return calibrate(
        lambda: nullcontext(setup), runs=2, output=folder / "out", baselines=folder / "baselines", effects=watching.effects
    )


def test_a_run_that_misses_its_requirements_is_quarantined_and_measured_again_a_bounded_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = Spectator()
    with pytest.raises(BrokenError, match="misses its own requirements: p95 of all in steady"):
        calibrated(monkeypatch, tmp_path, watching, runs.run(number=1), *map(missing, range(2, 9)))
    kept = [one.quarantined for _, one in list_baselines(tmp_path / "baselines").found]
    assert (len(kept), kept.count("")) == (4, 1)
    assert sum("measured again" in line for line in watching.said) == 2


def test_one_disturbed_run_costs_a_calibration_one_run_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = calibrated(monkeypatch, tmp_path, Spectator(), runs.run(number=1), missing(2), runs.run(number=3))
    assert [record.id for record in made.stored] == [runs.run(number=1).id, runs.run(number=3).id]
    assert [record.id for record, _ in made.refused] == [missing(2).id]
