"""The result of a search for the capacity, as ``capacity.json`` in its results folder."""

from __future__ import annotations

from pathlib import Path

from velro_gate.errors import RecordError
from velro_gate.model.capacity import CapacityResult
from velro_gate.store.codec import CodecError, decode_capacity, encode_capacity
from velro_gate.store.files import read_kept_text, write_whole

CAPACITY = "capacity.json"


def write_capacity(folder: Path, found: CapacityResult) -> None:
    """Keep a result.

    Raises:
        RecordError: a figure is NaN or infinite. OutputError: no permission. StorageError: the disk is full.
    """
    path = folder / CAPACITY
    try:
        text = encode_capacity(found)
    except CodecError as error:
        raise RecordError("the capacity cannot be kept", where=str(path), why=str(error)) from error
    write_whole(path, text)


def read_capacity(folder_or_file: Path) -> CapacityResult:
    """The result in a results folder, or in its file.

    Raises:
        RecordError: there is none, or it is damaged or of another version.
    """
    path = folder_or_file / CAPACITY if folder_or_file.is_dir() else folder_or_file
    try:
        return decode_capacity(read_kept_text(path, "capacity"))
    except FileNotFoundError as error:
        raise RecordError("there is no capacity", where=str(path), why="the file does not exist") from error
    except CodecError as error:
        raise RecordError("the capacity cannot be read", where=str(path), why=str(error)) from error
