"""Samples as one columnar file, written while the load runs.

The file is an uncompressed zip of numpy arrays, readable by ``numpy.load``: member ``PHASE/CHUNK/COLUMN.npy``, phases quoted
as in a URL, chunks numbered in the order in which they were written. Small batches are gathered into chunks, so that an hour
of load makes a few thousand members and each write costs about a millisecond.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote

import numpy as np

from velro_gate import bounded
from velro_gate.analysis.summaries.reduced.columns import REDUCED_COLUMNS, columns_of, reduced_from
from velro_gate.analysis.summaries.reduced.tables import Gathered, Reduced
from velro_gate.errors import RecordError, StorageError
from velro_gate.model.samples import COLUMNS, Outcome, Samples
from velro_gate.store.files import account_for, require_unchanged, unwritable
from velro_gate.units import format_count

CHUNK_ROWS = 16_384
_REDUCED = "reduced"
"""Stands in the place of a chunk's number where samples were reduced."""
"""Rows that are written at a time, as many as the engine hands on."""
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
        self._digest = hashlib.sha256()
        self._chunks: dict[str, int] = {}
        self._reduced: dict[str, Gathered] = {}
        try:
            self._file = create(path)
        except OSError as error:
            raise unwritable(path, error) from error
        self._zip: zipfile.ZipFile | None = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def append(self, phase: str, samples: Samples) -> None:
        """Keep these rows of ``phase``; a phase is known from its first call on, even when it has no rows.

        Raises:
            StorageError: the file is closed, or cannot be written.
        """
        if self._zip is None:
            raise StorageError("samples cannot be added to a file that is closed", where=str(self._path))
        if phase != self._phase:
            self._write_waiting()
            self._phase = phase
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= CHUNK_ROWS:
            self._write_waiting()

    def add_reduced(self, phase: str, samples: Reduced) -> None:
        """Keep these of a phase whose samples are reduced; they are put together, and written at the end."""
        self._reduced.setdefault(phase, Gathered()).add(samples)

    def close(self) -> None:
        """Write what is left and finish the file; harmless when already closed."""
        if self._zip is None:
            return
        self._write_waiting()
        for phase, gathered in self._reduced.items():
            self._write_members(self._zip, phase, _REDUCED, columns_of(gathered.whole()))
        archive, self._zip = self._zip, None
        try:
            archive.close()
            self._file.close()
        except OSError as error:
            self._abandon(archive)
            raise unwritable(self._path, error) from error
        account_for(self._path, f"{MEMBERS}{self._digest.hexdigest()}")

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
        columns = ((column, getattr(rows, column)) for column in COLUMNS)
        self._write_members(self._zip, self._phase, f"{chunk:06d}", columns)

    def _write_members(
        self, archive: zipfile.ZipFile, phase: str, chunk: str, columns: Iterable[tuple[str, np.ndarray]]
    ) -> None:
        try:
            for name, column in columns:
                member = f"{quote(phase, safe='')}/{chunk}/{name}.npy"
                content = _npy(column)
                archive.writestr(zipfile.ZipInfo(member, _EPOCH), content)
                _hashed(self._digest, member, content)
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
    """The samples of every phase that were kept as they are: see ``read_kept``."""
    return read_kept(path)[0]


def read_kept(path: Path) -> tuple[Mapping[str, Samples], Mapping[str, Reduced]]:
    """The samples of every phase, by phase name in the order of the run, rows in the order in which they were appended.

    Then those of the phases whose samples were reduced.

    Raises:
        RecordError: the file is missing, incomplete or not one of ours.
    """
    try:
        with bounded.open_regular(path) as file, zipfile.ZipFile(file) as stored:
            require_unchanged(path, members_digest(stored))
            return _phases(stored), _reduced_phases(stored)
    except FileNotFoundError as error:
        raise RecordError("there are no samples", where=str(path), why="the file does not exist") from error
    except _DAMAGED as error:
        why = f"it is incomplete or damaged ({type(error).__name__}: {error})"
        raise RecordError("the samples cannot be read", where=str(path), why=why, hint=SUMMARY_ALONE) from error


MEMBERS = "members:"
"""Begins the digest of such a file: of what its members hold, since a zip is not written from its beginning to its end."""


def members_digest(stored: zipfile.ZipFile) -> str:
    """The digest of a file of samples.

    Raises:
        ValueError: a column is compressed, so this package has not written it.
    """
    found = hashlib.sha256()
    for member in stored.namelist():
        if stored.getinfo(member).compress_type != zipfile.ZIP_STORED:
            raise ValueError("a column is compressed, which none of ours is")
        _hashed(found, member, stored.read(member))
    return f"{MEMBERS}{found.hexdigest()}"


def _hashed(digest: hashlib._Hash, member: str, content: bytes) -> None:
    digest.update(f"{len(member)} {len(content)} {member}".encode())
    digest.update(content)


_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    RuntimeError,  # a member is encrypted, or packed in a way that Python does not know
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def _phases(stored: zipfile.ZipFile) -> dict[str, Samples]:
    chunks: dict[str, list[str]] = {}
    for member in stored.namelist():
        phase, chunk, column = member.split("/")
        # One column stands for its chunk; the others are then asked for by name.
        if column == "due.npy":
            chunks.setdefault(unquote(phase), []).append(f"{phase}/{chunk}")
    return {
        phase: Samples.concatenate(
            Samples(**{column: _column(stored, f"{place}/{column}.npy", column) for column in COLUMNS})
            for place in sorted(places)
        )
        for phase, places in chunks.items()
    }


def _reduced_phases(stored: zipfile.ZipFile) -> dict[str, Reduced]:
    places = [member.removesuffix("/keys.npy") for member in stored.namelist() if member.endswith(f"/{_REDUCED}/keys.npy")]

    def read(place: str) -> Reduced:
        """The table whose columns lie in this folder of the file."""
        return reduced_from(lambda column: _column(stored, f"{place}/{column}.npy", column, REDUCED_COLUMNS))

    return {unquote(place.split("/")[0]): read(place) for place in places}


def _column(stored: zipfile.ZipFile, member: str, column: str, kinds: Mapping[str, Any] = COLUMNS) -> np.ndarray:
    """One column, read without believing its header: that may claim more rows than any memory holds."""
    if stored.getinfo(member).compress_type != zipfile.ZIP_STORED:
        raise ValueError("a column is compressed, which none of ours is")
    whole = stored.read(member)
    # Read by hand: numpy takes a header for Python, and looks for the end of a bracket that never closes.
    header = HEADER.match(whole)
    if header is None:
        raise ValueError("a column does not begin like one of ours")
    dtype = np.dtype(kinds[column])
    if header["dtype"].decode() != dtype.str:
        raise ValueError(f"a column holds {header['dtype'].decode()!r}, not {dtype.str!r}")
    rows = np.frombuffer(whole, dtype, offset=header.end())
    if len(rows) != int(header["rows"]):
        raise ValueError(f"a column of {format_count(int(header['rows']))} rows holds {format_count(len(rows))}")
    if column in _TIMES and not bool(np.isfinite(rows).all()):
        raise ValueError(f"the column {column} holds what is not a time")
    if column == "outcome" and int(rows.max(initial=0)) > max(Outcome):
        raise ValueError("the column outcome holds a number that stands for none")
    return rows


HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[ -~]{1,9})', 'fortran_order': False, 'shape': \((?P<rows>\d{1,15}),\), \} *\n",
    re.DOTALL,
)
"""The beginning of a file of numpy's first format, with one dimension."""

_TIMES = frozenset({"due", "sent", "done", "queued"})
