"""All that a folder holds of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.analysis.duets import noisy
from tests.analysis.runs import baselines, run
from velro_gate.errors import RecordError
from velro_gate.evaluation.recorded.archive import read_archive
from velro_gate.model.duet import DuetRecord
from velro_gate.model.run import RunFacts
from velro_gate.store.baselines import add_baseline
from velro_gate.store.duets import write_duet
from velro_gate.store.records import write_record

NOTHING = RunFacts(phases=(), readings=(), layers=())


def test_runs_duets_and_baselines_are_found_wherever_they_lie_oldest_first(tmp_path: Path) -> None:
    for record in baselines(3):
        add_baseline(tmp_path / "stored", record)
    write_record(tmp_path / "results" / "a", run(number=10), NOTHING)
    kept = DuetRecord(duet=noisy(10), warm_up=1.0, block_seconds=5.0, restarted=True)
    write_duet(tmp_path / "results" / "deeper" / "b", run(number=5), kept)
    found = read_archive(tmp_path)
    assert [each.record.id for each in found.runs] == ["run-0", "run-1", "run-2", "run-5", "run-10"]
    assert [each.baseline for each in found.runs] == [True, True, True, False, False]
    assert found.runs[3].duet == kept
    assert found.skipped == ()


def test_what_lies_inside_a_runs_folder_belongs_to_it(tmp_path: Path) -> None:
    write_record(tmp_path / "a", run(number=1), NOTHING)
    write_record(tmp_path / "a" / "repeat-1", run(number=2), NOTHING)
    assert [each.record.id for each in read_archive(tmp_path).runs] == ["run-1"]


def test_damaged_records_are_reported_and_other_files_left_alone(tmp_path: Path) -> None:
    write_record(tmp_path / "a", run(number=1), NOTHING)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "record.json").write_text("{")
    (tmp_path / "verdict.json").write_text("{}")
    (tmp_path / "20260101T000000Z-abc.json").write_text("nothing")
    found = read_archive(tmp_path)
    assert [each.record.id for each in found.runs] == ["run-1"]
    assert len(found.skipped) == 2
    assert found.skipped[1].startswith("b/record.json is not judged: it is not JSON")


def test_no_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no folder of records"):
        read_archive(tmp_path / "nowhere")
