"""Folders of real series."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.series import packed, write_all
from velro_gate.errors import RecordError
from velro_gate.evaluation.recorded.series_files import read_series


def test_every_data_set_is_read_in_its_own_format(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = read_series(tmp_path)
    by_source = {series.source: series for series in found.series}
    assert by_source["spl_jdom"].metrics == ("p50", "p95")
    assert by_source["spl_jdom"].values.shape == (12, 1, 2)
    assert set(by_source["gha_bench"].metrics) == {"p50", "throughput"}
    assert by_source["fastify"].name == "plain 1.0.0"
    assert by_source["fastify"].values[0, 0, by_source["fastify"].metrics.index("p50")] == pytest.approx(0.00152)
    assert by_source["otel_java"].arms == ("latest", "none", "snapshot")
    assert by_source["otel_java"].values.shape == (12, 3, 4)
    assert by_source["mountpoint_s3"].metrics == ("p50", "throughput")
    assert [commit.label for commit in found.labelled[0].commits if commit.label] == ["definite up"]


def test_the_tidy_format_is_read_from_any_folder(tmp_path: Path) -> None:
    rows = ["series,job,time,arm,figure,kind,value"]
    rows += [f"s,j{i},{i},{arm},login,p95,0.0{i}" for i in range(1, 10) for arm in ("a", "b") if (i, arm) != (3, "b")]
    packed(tmp_path / "mine/runs.csv", reversed_rows(rows))
    (series,) = read_series(tmp_path).series
    assert (series.source, series.name, series.figures, series.arms) == ("mine", "s", ("login",), ("a", "b"))
    assert series.values[0].tolist() == [[0.01], [0.01]]
    assert math.isnan(series.values[2, 1, 0])


def reversed_rows(rows: list[str]) -> list[str]:
    """The order of the rows does not matter."""
    return [rows[0], *reversed(rows[1:])]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("s,j,1,,login,p96,0.1", "not a kind of figure"),
        ("s,j,1,,login,p95,-1", "positive number"),
        ("s,j,1,,login,p95,nan", "positive number"),
        ("s,j,1,,login,p95,fast", "could not convert"),
        ("s,j,1,,login", "columns"),
    ],
)
def test_a_faulty_row_is_named_with_its_line(tmp_path: Path, row: str, why: str) -> None:
    packed(tmp_path / "runs.csv", ["series,job,time,arm,figure,kind,value", row])
    with pytest.raises(RecordError, match="cannot be read") as caught:
        read_series(tmp_path)
    assert str(caught.value.where).endswith("runs.csv:2")
    assert why in str(caught.value.why)


def test_timings_are_seconds_without_their_warm_up(tmp_path: Path) -> None:
    packed(tmp_path / "spl_jdom/00.dat.gz", ["#begin", "9000000", "1000000", "1000000", "1000000"])
    (series,) = read_series(tmp_path).series
    assert series.raw[0].tolist() == [0.001, 0.001, 0.001]
    assert series.jobs == 1


@pytest.mark.parametrize("timing", ["inf", "nan", "1e999"])
def test_a_timing_that_is_not_a_number_is_refused(tmp_path: Path, timing: str) -> None:
    packed(tmp_path / "spl_jdom/00.dat.gz", ["#begin", "1000000", timing])
    with pytest.raises(RecordError, match="cannot be read"):
        read_series(tmp_path)


def test_a_time_that_is_not_a_number_sorts_as_text(tmp_path: Path) -> None:
    rows = [f"s,j{i},{'nan' if i > 7 else i},,login,p95,0.0{i}" for i in range(1, 10)]
    packed(tmp_path / "runs.csv", ["series,job,time,arm,figure,kind,value", *rows, rows[-1]])
    (series,) = read_series(tmp_path).series
    assert series.jobs == 9


def test_files_with_other_columns_are_passed_over_and_a_folder_of_nothing_else_is_an_error(tmp_path: Path) -> None:
    packed(tmp_path / "notes.csv", ["name,age", "a,1"])
    with pytest.raises(RecordError, match="no series") as caught:
        read_series(tmp_path)
    assert "series, job, time" in str(caught.value.hint)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no folder"):
        read_series(tmp_path / "none")


@pytest.mark.parametrize("content", [b"no gzip at all", b"\x1f\x8b\x08\x00broken"])
def test_a_damaged_file_is_named_with_the_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fastify").mkdir()
    (tmp_path / "fastify/series.csv.gz").write_bytes(content)
    with pytest.raises(RecordError, match="fastify"):
        read_series(tmp_path)
