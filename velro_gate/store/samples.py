"""Samples as one columnar file, written while the load runs.

The file is an uncompressed zip of numpy arrays, readable by ``numpy.load``: member ``PHASE/CHUNK/COLUMN.npy``, phases quoted
as in a URL, chunks numbered in the order in which they were written. Small batches are gathered into chunks, so that an hour
of load makes a few thousand members and each write costs about a millisecond.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from velro_gate.errors import RecordError, StorageError
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.store.files import unwritable

CHUNK_ROWS = 16_384
SUMMARY_ALONE = "Name the run's record.json instead of its folder: the summary in it can be judged alone."
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal samples make equal files


def create_binary(path: Path) -> BinaryIO:
    """A new, empty file, opened for writing bytes."""
    return path.open("wb")


class SampleWriter:
    """Appends samples to a file, phase by phase. For one thread. A failed write is raised at once and ends the file.

    Args:
        path: the file, replaced when it exists.
        create: opens the file; stands for the disk in tests.

    Raises:
        OutputError: the place cannot be written. StorageError (here, in ``append`` and in ``close``): the disk is full.
    """

    def __init__(self, path: Path, *, create: Callable[[Path], BinaryIO] = create_binary) -> None:
        self._path = path
        self._waiting: list[Samples] = []
        self._phase = ""
        self._chunks: dict[str, int] = {}
        try:
            self._file = create(path)
        except OSError as error:
            raise unwritable(path, error) from error
        self._zip: zipfile.ZipFile | None = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def append(self, phase: str, samples: Samples) -> None:
        """Keep these rows of ``phase``; a phase is known from its first call on, even when it has no rows."""
        if self._zip is None:
            raise StorageError("samples cannot be added to a file that is closed", where=str(self._path))
        if phase != self._phase:
            self._write_waiting()
            self._phase = phase
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= CHUNK_ROWS:
            self._write_waiting()

    def close(self) -> None:
        """Write what is left and finish the file; harmless when already closed."""
        if self._zip is None:
            return
        self._write_waiting()
        archive, self._zip = self._zip, None
        try:
            archive.close()
            self._file.close()
        except OSError as error:
            self._abandon(archive)
            raise unwritable(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._zip is None:
            return
        chunk = self._chunks.get(self._phase, 0)
        rows = Samples.concatenate(waiting)
        if not len(rows) and chunk:
            return
        self._chunks[self._phase] = chunk + 1
        archive = self._zip
        try:
            for column in COLUMNS:
                member = f"{quote(self._phase, safe='')}/{chunk:06d}/{column}.npy"
                archive.writestr(zipfile.ZipInfo(member, _EPOCH), _npy(getattr(rows, column)))
            self._file.flush()
        except OSError as error:
            self._zip = None
            self._abandon(archive)
            raise unwritable(self._path, error) from error

    def _abandon(self, archive: zipfile.ZipFile) -> None:
        """Let go of the file without the zip's closing table, which would not fit either."""
        archive.fp = None
        try:
            self._file.close()
        except OSError:
            # The buffer still holds what the disk has already refused.
            return


def _npy(column: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.lib.format.write_array(text, column, allow_pickle=False)
    return text.getvalue()


def read_samples(path: Path) -> Mapping[str, Samples]:
    """The samples of every phase, by phase name in the order of the run, rows in the order in which they were appended.

    Raises:
        RecordError: the file is missing, incomplete or not one of ours.
    """
    try:
        # Opened here, because numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _phases(stored)
    except FileNotFoundError as error:
        raise RecordError("there are no samples", where=str(path), why="the file does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        why = f"it is incomplete or damaged ({type(error).__name__}: {error})"
        raise RecordError("the samples cannot be read", where=str(path), why=why, hint=SUMMARY_ALONE) from error


def _phases(stored: Mapping[str, np.ndarray]) -> dict[str, Samples]:
    chunks: dict[str, list[str]] = {}
    for member in stored:
        phase, chunk, column = member.split("/")
        # One column stands for its chunk; the others are then asked for by name.
        if column == "due":
            chunks.setdefault(unquote(phase), []).append(f"{phase}/{chunk}")
    return {
        phase: Samples.concatenate(
            Samples(**{column: _typed(stored[f"{place}/{column}"], dtype) for column, dtype in COLUMNS.items()})
            for place in sorted(places)
        )
        for phase, places in chunks.items()
    }


def _typed(column: np.ndarray, dtype: npt.DTypeLike) -> np.ndarray:
    if column.dtype != np.dtype(dtype) or column.ndim != 1:
        raise ValueError(f"a column holds {column.dtype}, not {np.dtype(dtype)}")
    return column
