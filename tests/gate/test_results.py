"""The results folder: made before the load, never overwriting another run's."""

from __future__ import annotations

import errno
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from velro_gate.errors import OutputError, StorageError
from velro_gate.gate.results import Results, RunLog, make_results, run_id, unwritable

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def test_a_run_id_sorts_by_time_and_is_safe_as_a_name() -> None:
    assert run_id(NOON, "a b/c", "full:x+y") == "20260102T120000Z-a-b-c-full-x-y"


def test_two_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    first, second = make_results(tmp_path, "run"), make_results(tmp_path, "run")
    assert first.folder != second.folder
    assert first.log.exists()
    assert second.log.exists()


def test_a_file_in_the_way_is_an_output_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError) as caught:
        make_results(tmp_path / "taken", "run")
    assert "taken" in (caught.value.where or "")


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    assert results.write("verdict.md", "größer ≥ 5").read_text(encoding="utf-8") == "größer ≥ 5"


def test_writing_into_a_folder_that_is_gone_is_an_error_of_ours_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot keep verdict\.md"):
        Results(folder=tmp_path / "gone").write("verdict.md", "")


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.EACCES, OutputError)]
)
def test_a_full_disk_breaks_the_run_and_a_missing_permission_is_a_usage_error(
    number: int, kind: type[Exception], tmp_path: Path
) -> None:
    assert isinstance(unwritable(tmp_path, OSError(number, "x")), kind)


def test_the_log_holds_what_was_logged_within_the_block_only(tmp_path: Path) -> None:
    results = make_results(tmp_path, "run")
    with RunLog(results) as log:
        log.warning("inside")
    logging.getLogger("velro_gate").warning("outside")
    text = results.log.read_text(encoding="utf-8")
    assert "inside" in text
    assert "outside" not in text
