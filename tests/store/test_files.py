"""Whole files or none, and every failure in words."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from velro_gate.errors import OutputError, StorageError
from velro_gate.store.files import create_whole, unwritable, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "c.json", "text é")
    assert (tmp_path / "a" / "b" / "c.json").read_text(encoding="utf-8") == "text é"


def test_writing_replaces_and_leaves_nothing_next_to(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_whole(tmp_path / "c.json", text)
    assert (tmp_path / "c.json").read_text() == "two"
    assert names(tmp_path) == ["c.json"]


def test_creating_never_replaces(tmp_path: Path) -> None:
    create_whole(tmp_path / "c.json", "one")
    with pytest.raises(FileExistsError):
        create_whole(tmp_path / "c.json", "two")
    assert (tmp_path / "c.json").read_text() == "one"
    assert names(tmp_path) == ["c.json"]


def test_files_can_be_read_by_everyone(tmp_path: Path) -> None:
    create_whole(tmp_path / "c.json", "one")
    assert stat.S_IMODE((tmp_path / "c.json").stat().st_mode) == 0o644


def test_a_file_in_the_place_of_a_folder_is_a_fault_of_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("here")
    for write in (write_whole, create_whole):
        with pytest.raises(OutputError) as caught:
            write(tmp_path / "a" / "c.json", "text")
        assert caught.value.exit_code == 2
        assert str(tmp_path / "a" / "c.json") in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_a_fault_of_the_place(tmp_path: Path) -> None:
    (tmp_path / "c.json").mkdir()
    with pytest.raises(OutputError):
        write_whole(tmp_path / "c.json", "text")
    assert names(tmp_path) == ["c.json"]


def test_half_a_character_is_written_as_a_question_mark_and_not_an_error(tmp_path: Path) -> None:
    write_whole(tmp_path / "c.json", "a\ud800b")
    assert (tmp_path / "c.json").read_text(encoding="utf-8").startswith("a")


def test_a_place_that_nobody_may_write_is_an_output_error() -> None:
    """The kernel's own tables: not even the superuser can make a file there."""
    with pytest.raises(OutputError) as caught:
        write_whole(Path("/proc/velro-gate/c.json"), "text")
    assert caught.value.hint


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond ``size`` bytes, much as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_real_lack_of_room_is_a_storage_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "c.json", "old")
    with files_of_at_most(10_000), pytest.raises(StorageError, match="cannot keep c"):
        write_whole(tmp_path / "c.json", "x" * 100_000)
    assert (tmp_path / "c.json").read_text() == "old"
    assert names(tmp_path) == ["c.json"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR])
def test_what_the_user_can_fix_is_an_output_error(number: int) -> None:
    error = unwritable(Path("x/c.json"), OSError(number, os.strerror(number)))
    assert isinstance(error, OutputError)
    assert (error.exit_code, error.where, error.why) == (2, "x/c.json", os.strerror(number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_what_the_machine_lacks_is_a_storage_error(number: int) -> None:
    error = unwritable(Path("x/c.json"), OSError(number, os.strerror(number)))
    assert isinstance(error, StorageError)
    assert (error.exit_code, error.why) == (4, os.strerror(number))


def test_an_error_without_a_number_keeps_its_words() -> None:
    assert unwritable(Path("c"), OSError("odd")).why == "odd"
