"""Folders of real series."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.series import packed, write_all, write_spl
from velro_gate.errors import RecordError
from velro_gate.store.series import read_series


def test_every_data_set_is_read_in_its_own_format(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = read_series(tmp_path)
    assert found.absent == ()
    assert [(line.metric, len(line.values)) for line in found.dedicated[0].lines] == [("p50", 12), ("p95", 12)]
    assert {line.metric for line in found.hosted[0].lines} == {"p50", "throughput"}
    assert [group.name for group in found.servers] == ["plain 1.0.0"]
    assert found.servers[0].lines[1].values[0] == pytest.approx(0.00152)
    assert [commit.label for commit in found.labelled[0].commits if commit.label] == ["definite up"]


def test_timings_are_seconds_without_their_warm_up(tmp_path: Path) -> None:
    packed(tmp_path / "spl_jdom/00.dat.gz", ["#begin", "9000000", "1000000", "1000000", "1000000"])
    group = read_series(tmp_path).dedicated[0]
    assert group.raw[0].tolist() == [0.001, 0.001, 0.001]
    assert group.runs == 1


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    write_spl(tmp_path)
    assert read_series(tmp_path).absent == ("hyper_bench", "gha_bench", "fastify", "influx_vm_duet")


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no folder"):
        read_series(tmp_path / "none")


@pytest.mark.parametrize("content", [b"no gzip at all", b"\x1f\x8b\x08\x00broken"])
def test_a_damaged_file_is_named_with_the_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fastify").mkdir()
    (tmp_path / "fastify/series.csv.gz").write_bytes(content)
    with pytest.raises(RecordError, match="fastify"):
        read_series(tmp_path)


def test_a_missing_column_is_an_error_and_no_silence(tmp_path: Path) -> None:
    packed(tmp_path / "gha_bench/series.csv.gz", ["suite,bench,value", "a,b,1"])
    with pytest.raises(RecordError, match="gha_bench"):
        read_series(tmp_path)
