"""Several reports of a kept run at once, and the newest run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.errors import RecordError, UsageError
from velro_gate.gate.judge.verdict import write_reports
from velro_gate.gate.local.reports import newest_run, wanted_formats, write_given
from velro_gate.gate.measure.results import Results
from velro_gate.report.formats.registry import FORMATS
from velro_gate.store.codec import encode_record


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record, verdict = EXAMPLES["pass"]()
    folder = tmp_path / "velro-results" / record.id
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(encode_record(record), encoding="utf-8")
    (folder / "log.txt").write_text("it began\n", encoding="utf-8")
    write_reports(record, verdict, Results(folder=folder))
    return folder


def test_all_formats_are_written_as_they_were_given(run: Path, tmp_path: Path) -> None:
    written = write_given(run, wanted_formats(None), tmp_path / "reports", dated=False)
    assert {path.name for path in written} == {each.file for each in FORMATS.values()}
    assert all(path.read_bytes() == (run / path.name).read_bytes() for path in written)


def test_only_the_formats_asked_for_are_written_each_once(run: Path, tmp_path: Path) -> None:
    write_given(run, wanted_formats("json, html,json"), tmp_path / "reports", dated=False)
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["report.html", "verdict.json"]


def test_dated_names_are_those_of_the_suite_with_record_and_log(run: Path, tmp_path: Path) -> None:
    into = tmp_path / "reports"
    write_given(run, wanted_formats("json,html,csv,executive,executive-json,openmetrics"), into, dated=True)
    time = "20261123_120000"
    assert sorted(path.name for path in into.iterdir()) == [
        f"executive_summary_{time}.html",
        f"executive_summary_{time}.json",
        "load_test_execution.log",
        f"load_test_velro-prd_results_{time}.json",
        f"openmetrics_{time}.txt",
        f"performance_validation_report_{time}.csv",
        f"performance_validation_report_{time}.html",
        f"performance_validation_report_{time}.json",
    ]


@pytest.mark.parametrize("listed", ["pdf", "json,pdf", " , "])
def test_a_format_that_does_not_exist_is_a_usage_error(listed: str) -> None:
    with pytest.raises(UsageError):
        wanted_formats(listed)


def test_the_newest_run_is_the_one_whose_time_is_last(run: Path) -> None:
    later = run.with_name("29991231T000000.000000Z-velro-prd-pr")
    later.mkdir()
    assert newest_run(run.parent) == run
    (later / "record.json").write_text("{}", encoding="utf-8")
    assert newest_run(run.parent) == later


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_without_a_run_the_error_names_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError) as caught:
        newest_run(tmp_path / name)
    assert str(tmp_path / name) in "\n".join(caught.value.lines())
