"""A run's folder: what is written is read, and what cannot be is told with file, reason and a way out."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run, summary
from velro_gate.errors import OutputError, RecordError
from velro_gate.model.run import Reading, RunFacts
from velro_gate.secrecy import forget, hide
from velro_gate.store.codec import CodecError, encode_facts
from velro_gate.store.facts import OLD_FACTS, packed_facts, sweep_facts, unpacked_facts
from velro_gate.store.records import FACTS, RECORD, read_facts, read_record, write_record

pytestmark = pytest.mark.hostile("damaged records")

HELD = RunFacts(phases=(), readings=(Reading(at=1.0, source="service", name="rss", value=2.0),), layers=("memory", "redis"))


def test_a_run_comes_back_from_its_folder_and_from_its_file(tmp_path: Path) -> None:
    write_record(tmp_path / "run", run(), HELD)
    assert read_record(tmp_path / "run") == read_record(tmp_path / "run" / RECORD) == run()
    assert read_facts(tmp_path / "run") == HELD


def test_a_folder_holds_the_two_files_and_nothing_else(tmp_path: Path) -> None:
    write_record(tmp_path, run(), HELD)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FACTS, RECORD]


def test_facts_that_an_earlier_version_wrote_as_json_are_still_read(tmp_path: Path) -> None:
    (tmp_path / OLD_FACTS).write_text(encode_facts(HELD))
    assert read_facts(tmp_path) == HELD


def test_the_facts_are_columns_that_numpy_reads(tmp_path: Path) -> None:
    write_record(tmp_path, run(), HELD)
    facts = np.load(tmp_path / FACTS)
    assert facts["names"][facts["series"]].tolist() == ["service.rss"]
    assert (facts["at"].tolist(), facts["value"].tolist()) == ([1.0], [2.0])


def test_a_run_without_a_reading_has_facts_all_the_same(tmp_path: Path) -> None:
    bare = RunFacts(phases=(), readings=(), layers=())
    write_record(tmp_path, run(), bare)
    assert read_facts(tmp_path) == bare


@given(st.data())
def test_a_facts_file_of_which_a_part_was_changed_is_read_or_refused_in_words(data: st.DataObject) -> None:
    content = bytearray(packed_facts(HELD))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert isinstance(unpacked_facts(bytes(content[: data.draw(st.integers(0, len(content)))])), RunFacts)


def test_facts_of_another_process_are_swept_and_what_cannot_be_read_is_removed(tmp_path: Path) -> None:
    path = tmp_path / FACTS
    path.write_bytes(packed_facts(RunFacts(phases=(), readings=HELD.readings, layers=("hunter2-of-the-service",))))
    hide(["hunter2-of-the-service"], certain=True)
    sweep_facts(path)
    forget()
    assert b"hunter2" not in path.read_bytes()
    path.write_bytes(b"no facts")
    sweep_facts(path)
    assert not path.exists()


def test_facts_may_be_missing(tmp_path: Path) -> None:
    assert read_facts(tmp_path) is None


def test_a_missing_record_is_reported_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path)
    assert caught.value.exit_code == 2
    assert str(tmp_path / RECORD) in str(caught.value)
    assert "velro-gate run" in caught.value.hint


def test_a_file_that_is_none_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist"):
        read_record(tmp_path / "nothing.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"schema": 2}'])
def test_a_damaged_record_is_reported_with_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path)
    assert caught.value.where == str(tmp_path / RECORD)
    assert caught.value.why


def test_a_newer_record_says_so(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"schema": 99}')
    with pytest.raises(RecordError, match="written by a newer velro-gate") as caught:
        read_record(tmp_path)
    assert "the velro-gate that wrote it" in caught.value.hint


@pytest.mark.parametrize("name", [FACTS, OLD_FACTS])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"schema": 2}', b'{"schema": 1}'])
def test_damaged_facts_are_reported_with_the_file(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_facts(tmp_path)
    assert caught.value.where == str(tmp_path / name)
    if name == FACTS or content != b"\xff\xfe":
        assert RECORD in caught.value.hint, "the summary can still be judged"


def test_a_folder_in_the_place_of_the_record_is_reported(tmp_path: Path) -> None:
    (tmp_path / RECORD).mkdir()
    with pytest.raises(RecordError):
        read_record(tmp_path)


def test_a_figure_that_is_none_keeps_the_run_from_being_written_as_if_it_were(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a finite number"):
        write_record(tmp_path, run(replace(summary(), ramp=float("nan"))), HELD)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OutputError):
        write_record(tmp_path / "run", run(), HELD)
