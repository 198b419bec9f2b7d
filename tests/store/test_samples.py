"""Samples on disk: every row and column comes back, and a full disk is told at once."""

from __future__ import annotations

import errno
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.values import equal, some_samples
from velro_gate.errors import OutputError, RecordError, StorageError
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.store.samples import CHUNK_ROWS, SampleWriter, read_samples

pytestmark = pytest.mark.hostile("damaged records")


class FullDisk(io.BytesIO):
    """A file on a disk with room for ``room`` bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@given(st.lists(st.tuples(st.sampled_from(["calm", "storm", "a/b c%"]), st.integers(0, 40)), max_size=12))
@settings(max_examples=30)
def test_all_rows_come_back_in_their_order(tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    written: dict[str, list[Samples]] = {}
    with SampleWriter(path) as writer:
        for number, (phase, rows) in enumerate(batches):
            part = some_samples(rows, number)
            writer.append(phase, part)
            written.setdefault(phase, []).append(part)
    back = read_samples(path)
    assert list(back) == list(written)
    assert all(equal(back[phase], Samples.concatenate(parts)) for phase, parts in written.items())


def test_numpy_alone_can_read_the_file(tmp_path: Path) -> None:
    part = some_samples(10)
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append("warm up", part)
    with np.load(tmp_path / "samples.npz") as stored:
        assert sorted(stored) == sorted(f"warm%20up/000000/{column}" for column in COLUMNS)
        assert np.array_equal(stored["warm%20up/000000/due"], part.due)


def test_the_file_is_not_compressed_so_that_writing_stays_cheap(tmp_path: Path) -> None:
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append("p", some_samples(100))
    with zipfile.ZipFile(tmp_path / "samples.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_small_batches_are_gathered_into_chunks(tmp_path: Path) -> None:
    part = some_samples(1000)
    with SampleWriter(tmp_path / "samples.npz") as writer:
        for _ in range(40):
            writer.append("p", part)
    with zipfile.ZipFile(tmp_path / "samples.npz") as archive:
        chunks = {name.split("/")[1] for name in archive.namelist()}
    assert len(chunks) == -(-40_000 // (-(-CHUNK_ROWS // 1000) * 1000))
    assert len(read_samples(tmp_path / "samples.npz")["p"]) == 40_000


def test_chunks_are_on_disk_before_the_end(tmp_path: Path) -> None:
    writer = SampleWriter(tmp_path / "samples.npz")
    writer.append("p", some_samples(CHUNK_ROWS))
    assert (tmp_path / "samples.npz").stat().st_size > CHUNK_ROWS * 40
    writer.close()


def test_equal_samples_make_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with SampleWriter(tmp_path / name) as writer:
            writer.append("p", some_samples(500))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_phase_without_a_request_is_known_all_the_same(tmp_path: Path) -> None:
    with SampleWriter(tmp_path / "samples.npz") as writer:
        writer.append("dead", Samples.empty())
    assert len(read_samples(tmp_path / "samples.npz")["dead"]) == 0


def test_no_phase_at_all_is_an_empty_file_that_can_be_read(tmp_path: Path) -> None:
    SampleWriter(tmp_path / "samples.npz").close()
    assert read_samples(tmp_path / "samples.npz") == {}


def test_what_was_written_before_an_error_is_kept(tmp_path: Path) -> None:
    part = some_samples(10)

    def interrupted() -> None:
        with SampleWriter(tmp_path / "samples.npz") as writer:
            writer.append("p", part)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert equal(read_samples(tmp_path / "samples.npz")["p"], part)


def test_closing_twice_is_harmless_and_adding_afterwards_is_refused(tmp_path: Path) -> None:
    writer = SampleWriter(tmp_path / "samples.npz")
    writer.close()
    writer.close()
    with pytest.raises(StorageError, match="closed"):
        writer.append("p", some_samples(1))


@pytest.mark.parametrize("room", [0, 10, 5_000, 400_000, 900_000])
def test_a_disk_that_fills_up_is_reported_once_whenever_it_does(tmp_path: Path, room: int) -> None:
    """900,000 bytes hold the chunk but not the table at its end, 0 bytes nothing at all."""
    disk = FullDisk(room)
    writer = SampleWriter(tmp_path / "samples.npz", create=lambda _: disk)

    def write() -> None:
        writer.append("p", some_samples(CHUNK_ROWS))
        writer.append("q", some_samples(CHUNK_ROWS))
        writer.close()

    with pytest.raises(StorageError) as caught:
        write()
    assert caught.value.exit_code == 4
    assert "No space left" in str(caught.value)
    assert disk.closed
    writer.close()


def test_the_disk_may_also_fill_up_at_the_very_end(tmp_path: Path) -> None:
    whole = FullDisk(10**9)
    size = 0

    def keep(_: Path) -> FullDisk:
        return whole

    writer = SampleWriter(tmp_path / "x", create=keep)
    writer.append("p", some_samples(CHUNK_ROWS))
    size = whole.tell()
    writer.close()
    tight = FullDisk(size + 20)
    writer = SampleWriter(tmp_path / "x", create=lambda _: tight)
    writer.append("p", some_samples(CHUNK_ROWS))
    with pytest.raises(StorageError, match="cannot keep x"):
        writer.close()


def test_the_real_full_device_is_reported_too() -> None:
    """/dev/full answers every write with "no space left"."""
    writer = SampleWriter(Path("/dev/full"))
    with pytest.raises(StorageError, match="No space left"):
        writer.append("p", some_samples(CHUNK_ROWS))
    writer.close()


def test_a_place_that_cannot_be_written_is_reported_before_the_load(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        SampleWriter(tmp_path / "missing" / "samples.npz")
    with pytest.raises(OutputError):
        SampleWriter(tmp_path)


def test_missing_samples_are_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there are no samples"):
        read_samples(tmp_path / "samples.npz")


def damaged(path: Path) -> list[bytes]:
    with SampleWriter(path) as writer:
        writer.append("p", some_samples(100))
    good = path.read_bytes()
    return [b"", b"not a zip", good[:-30], good[: len(good) // 2], b"PK\x05\x06", good.replace(b"/due.npy", b"/dew.npy")]


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': }.- 0\t{ !a}der': False, 'shape': (6,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (",
        b"  {'descr': '<f8', 'fortran_order': False, 'shape': (6,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-6,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }",
    ],
)
def test_a_column_with_another_header_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "samples.npz"
    with SampleWriter(path) as writer:
        writer.append("p", some_samples(6))
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    members["p/000000/due.npy"] = b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n" + bytes(48)
    with zipfile.ZipFile(path, "w") as archive:
        for name, column in members.items():
            archive.writestr(name, column)
    with pytest.raises(RecordError, match="incomplete or damaged"):
        read_samples(path)


@pytest.mark.parametrize("number", range(6))
def test_damaged_samples_are_reported_with_the_file(tmp_path: Path, number: int) -> None:
    path = tmp_path / "samples.npz"
    path.write_bytes(damaged(path)[number])
    if number == 5:  # a chunk without its first column is no chunk: nothing of the phase is there
        assert read_samples(path) == {}
        return
    with pytest.raises(RecordError) as caught:
        read_samples(path)
    assert caught.value.where == str(path)
    assert "record.json" in caught.value.hint, "the summary can still be judged"


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", weights=np.arange(3))
    with pytest.raises(RecordError, match="cannot be read"):
        read_samples(tmp_path / "samples.npz")


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    columns = {f"p/000000/{name}": np.zeros(3, np.int8) for name in COLUMNS}
    np.savez(tmp_path / "samples.npz", **columns)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match=r"a column holds '.i1', not"):
        read_samples(tmp_path / "samples.npz")


def test_samples_that_break_the_order_of_times_are_refused(tmp_path: Path) -> None:
    columns = {f"p/000000/{name}": np.full(3, -i, dtype) if name in ("due", "sent", "done") else np.zeros(3, dtype)
               for i, (name, dtype) in enumerate(COLUMNS.items())}  # fmt: skip
    np.savez(tmp_path / "samples.npz", **columns)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="due <= sent <= done"):
        read_samples(tmp_path / "samples.npz")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    columns = {f"p/000000/{name}": np.array([object()]) for name in COLUMNS}
    np.savez(tmp_path / "samples.npz", **columns)  # type: ignore[arg-type]
    with pytest.raises(RecordError):
        read_samples(tmp_path / "samples.npz")


def write_column(path: Path, column: str, data: np.ndarray, claims: int | None = None) -> None:
    """A file of three good rows, but for one column. claims: how many rows its header speaks of."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, dtype in COLUMNS.items():
            text = io.BytesIO()
            np.lib.format.write_array(text, data if name == column else np.zeros(3, dtype), allow_pickle=False)
            raw = text.getvalue()
            if name == column and claims is not None:
                raw = raw.replace(b"(3,)", b"(%d,)" % claims)
            archive.writestr(f"p/000000/{name}.npy", raw)


@pytest.mark.parametrize(
    ("column", "data", "claims"),
    [
        ("due", np.zeros(3), 10**11),
        ("outcome", np.array([0, 255, 0], np.uint8), None),
        ("due", np.array([0.0, np.nan, 0.0]), None),
        ("done", np.array([0.0, np.inf, 0.0]), None),
    ],
)
def test_columns_that_claim_or_hold_what_cannot_be_are_refused(
    tmp_path: Path, column: str, data: np.ndarray, claims: int | None
) -> None:
    write_column(tmp_path / "samples.npz", column, data, claims)
    with pytest.raises(RecordError, match="cannot be read"):
        read_samples(tmp_path / "samples.npz")
