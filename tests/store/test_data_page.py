"""docs/data.md: what it shows is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.analysis.phases import samples
from tests.analysis.runs import run
from tests.report.examples import EXAMPLES as REPORTS
from velro_gate.analysis.capacity.trials import TRIALS
from velro_gate.analysis.stored.trend import TREND
from velro_gate.analysis.summaries.frames import FIGURES, READINGS, RESOURCES
from velro_gate.model.resilience.experiment import CarriedOut
from velro_gate.model.run import Reading, RunFacts
from velro_gate.model.samples import COLUMNS, Outcome
from velro_gate.report.formats.table import csv
from velro_gate.store.facts import _KINDS
from velro_gate.store.records import write_record
from velro_gate.store.samples import SampleWriter

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_in_pandas_reads_the_readings_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = tuple(
        Reading(at=at + late, source=source, name=name, value=at)
        for at in (1.0, 2.0)
        for source, name, late in (("service", "rss", 0.0), ("runner", "cpu_share", 0.2))
    )
    write_record(tmp_path, run(), RunFacts(phases=(), readings=readings, layers=()))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(EXAMPLES[0], names)
    assert names["by_second"].to_dict("list") == {"runner.cpu_share": [1.0, 2.0], "service.rss": [1.0, 2.0]}


def test_the_example_in_pandas_counts_the_errors_of_a_run_by_second_and_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = samples(
        [0.1, 0.2, 1.1, 1.2, 1.3],
        outcome=[Outcome.OK, Outcome.STATUS, Outcome.STATUS, Outcome.TIMEOUT, Outcome.CANCELLED],
        status=[200, 503, 503, 0, 0],
    )
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append("calm phase", rows.where(rows.due < 1.0))
        writer.append("storm", rows.where(rows.due >= 1.0))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"np": np, "pd": pd}
    exec(EXAMPLES[1], names)
    assert names["errors"].to_dict() == {(1, 503): {0: 1, 1: 1}, (3, 0): {0: 0, 1: 1}}


def test_the_example_in_pandas_finds_the_experiment_in_whose_stretch_each_request_fell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried = (
        CarriedOut(phase="storm", experiment="redis_down", repeat=1, begun=1.0, ended=2.0),
        CarriedOut(phase="storm", experiment="redis_down", repeat=2, begun=3.0, ended=None),
    )
    write_record(tmp_path, run(), RunFacts(phases=(), readings=(), layers=(), experiments=carried))
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append("storm", samples([0.5, 1.5, 2.5, 3.5, 9.0]))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in EXAMPLES[:3]:
        exec(example, names)
    assert names["requests"]["experiment"].tolist() == ["", "redis_down 1", "", "redis_down 2", "redis_down 2"]
    assert names["seen"].sum() == 5


def test_the_page_names_every_column_and_outcome_of_the_samples() -> None:
    table = PAGE.split("| array of `samples.npz`")[1].split("\n\n")[0]
    named = [name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"\w+", cell)]
    assert named == list(COLUMNS)
    said = table.split("| `outcome` |")[1].split("\n")[0]
    assert [int(code) for code in re.findall(r"(?:\| |, )(\d+) ", said)] == [int(each) for each in Outcome]


def test_the_page_names_every_array_of_the_file() -> None:
    table = PAGE.split("| array of `samples.npz`")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(_KINDS)


def test_the_example_with_frames_reads_the_series_of_a_run_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = (
        Reading(at=1.0, source="service", name="rss", value=3e8),
        Reading(at=1.0, source="runner", name="cpu_share", value=0.1),
        Reading(at=2.0, source="service", name="rss", value=4e8),
    )
    write_record(tmp_path, run(), RunFacts(phases=(), readings=readings, layers=()))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(EXAMPLES[3], names)
    assert names["memory"].to_dict() == {1.0: 3e8, 2.0: 4e8}
    kept = pd.read_csv("readings.csv")
    assert kept.to_dict("list") == names["series"].to_dict("list")
    assert kept["unit"].tolist() == ["bytes", "share", "bytes"]


def test_the_example_reads_the_table_of_a_report_with_numbers_for_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, verdict = REPORTS["fail-both"]()
    (tmp_path / "report.csv").write_text(csv(record, verdict), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"pd": pd}
    exec(EXAMPLES[4], names)
    assert names["missed"]["phase"].nunique() > 0
    assert all(names["report"][figure].dtype == "float64" for figure in ("value", "low", "high", "target", "change"))


def test_the_page_names_every_column_of_every_table() -> None:
    table = PAGE.split("| table | a row for each")[1].split("\n\n")[0]
    cells = [line.rsplit(" | ", 1)[1] for line in table.splitlines()[2:]]
    named = [[name for name in re.findall(r"`(\w+)`", cell) if name not in ("rate", "users")] for cell in cells]
    assert named == [list(columns) for columns in (READINGS, RESOURCES, FIGURES, TREND, TRIALS)]
