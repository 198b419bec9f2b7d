"""What the charts of a report show in addition to the record: read from a run's folder, and never a reason to fail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.phases import run_of, samples
from tests.report.records import PRD, record
from velro_gate.gate.judge.chart_data import chart_data
from velro_gate.model.record import RunRecord
from velro_gate.model.run import RunFacts
from velro_gate.store.baselines import Baselines
from velro_gate.store.records import SampleWriter, write_record

MEASURED = samples(np.arange(10.0, 70.0, 0.1))


@pytest.fixture
def run() -> RunRecord:
    return record(phases=(PRD,), reshape=lambda one: dataclasses.replace(one, measured_seconds=60.0))


@pytest.fixture
def folder(tmp_path: Path, run: RunRecord) -> Path:
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append(PRD, MEASURED)
    ran = dataclasses.replace(run_of(MEASURED), name=PRD)
    write_record(tmp_path, run, RunFacts(phases=(ran,), readings=(), layers=()))
    return tmp_path


def test_a_kept_run_has_a_timeline(folder: Path, run: RunRecord) -> None:
    made = chart_data(folder, run).timeline
    assert made is not None
    assert [phase.name for phase in made.phases] == [PRD]


@pytest.mark.parametrize("file", ["samples.npz", "facts.npz"])
def test_without_samples_or_facts_the_record_is_all_that_is_shown(folder: Path, run: RunRecord, file: str) -> None:
    (folder / file).unlink()
    assert chart_data(folder, run).timeline is None


@pytest.mark.parametrize("file", ["samples.npz", "facts.npz", "duet.json"])
def test_a_damaged_file_costs_its_charts_and_nothing_else(folder: Path, run: RunRecord, file: str) -> None:
    (folder / file).write_bytes(b"{damaged")
    made = chart_data(folder, run)
    assert made.pairs == ()
    assert (made.timeline is None) == (file != "duet.json")


def test_facts_of_another_run_are_not_drawn(folder: Path, run: RunRecord) -> None:
    longer = dataclasses.replace(run, phases=tuple(dataclasses.replace(one, measured_seconds=600.0) for one in run.phases))
    assert chart_data(folder, longer).timeline is None


def test_the_run_itself_is_not_part_of_its_history(folder: Path, run: RunRecord) -> None:
    other = dataclasses.replace(run, id="another")
    stored = Baselines(accepted=(other, run))
    assert [one.id for one in chart_data(folder, run, stored).history] == ["another"]
