"""A duet's folder: ``record.json`` (the head build's record) and ``duet.json`` (every block of both builds, seed and order)."""

from __future__ import annotations

from pathlib import Path

from velro_gate.errors import RecordError
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.store.codec import CodecError, decode_duet, encode_duet, encode_record
from velro_gate.store.files import read_kept_text, write_whole
from velro_gate.store.records import RECORD

DUET = "duet.json"


def write_duet(folder: Path, record: RunRecord, kept: DuetRecord) -> None:
    """Keep a duet. The record is written last, so a folder with a record is whole.

    Raises:
        RecordError: a figure is NaN or infinite. OutputError: no permission. StorageError: the disk is full.
    """
    try:
        texts = {DUET: encode_duet(kept), RECORD: encode_record(record)}
    except CodecError as error:
        raise RecordError(
            f"duet {record.id} cannot be kept",
            where=str(folder),
            why=str(error),
            hint="This is a fault of velro-gate itself: please report it with the log file.",
        ) from error
    for name, text in texts.items():
        write_whole(folder / name, text)


def read_duet(folder_or_file: Path) -> DuetRecord | None:
    """The pairs that belong to a kept record; None where the record is that of a single run.

    Raises:
        RecordError: they are damaged or of another version.
    """
    path = (folder_or_file if folder_or_file.is_dir() else folder_or_file.parent) / DUET
    if not folder_or_file.is_dir() and folder_or_file.name != RECORD:
        return None
    try:
        return decode_duet(read_kept_text(path, "pairs of the duet"))
    except FileNotFoundError:
        return None
    except CodecError as error:
        hint = "Use the velro-gate that wrote it, or run the duet again."
        raise RecordError("the pairs of the duet cannot be read", where=str(path), why=str(error), hint=hint) from error
