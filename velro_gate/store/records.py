"""A run's folder: ``record.json`` (the summary), ``facts.npz`` and ``samples.npz`` (what it was summarised from)."""

from __future__ import annotations

from pathlib import Path

from velro_gate import bounded
from velro_gate.errors import RecordError
from velro_gate.model.record import RunRecord
from velro_gate.model.run import RunFacts
from velro_gate.store.codec import CodecError, OtherSchemaError, decode_facts, decode_record, encode_record
from velro_gate.store.facts import FACTS, OLD_FACTS, packed_facts, unpacked_facts
from velro_gate.store.files import RECORD, digest_of, read_kept_text, require_unchanged, write_whole
from velro_gate.store.samples import SUMMARY_ALONE, SampleWriter, read_kept, read_samples

__all__ = ["FACTS", "RECORD", "SampleWriter", "read_facts", "read_kept", "read_record", "read_samples", "write_record"]


def write_record(folder: Path, record: RunRecord, facts: RunFacts) -> None:
    """Keep a run. The record is written last, so a folder with a record is whole.

    Raises:
        RecordError: a figure is NaN or infinite. OutputError: no permission. StorageError: the disk is full.
    """
    try:
        contents: dict[str, str | bytes] = {FACTS: packed_facts(facts), RECORD: encode_record(record)}
    except CodecError as error:
        raise RecordError(
            f"run {record.id} cannot be kept",
            where=str(folder),
            why=str(error),
            hint="This is a fault of velro-gate itself: please report it with the log file.",
        ) from error
    for name, content in contents.items():
        write_whole(folder / name, content)


def read_record(folder_or_file: Path) -> RunRecord:
    """The record in a run's folder, or in a record or baseline file.

    Raises:
        RecordError: there is none, or it is damaged or of another version.
    """
    path = folder_or_file / RECORD if folder_or_file.is_dir() else folder_or_file
    try:
        return decode_record(_text(path, "run record"))
    except OtherSchemaError as error:
        hint = "Use the velro-gate that wrote it, or measure again with this one."
        raise RecordError("the run record cannot be read", where=str(path), why=str(error), hint=hint) from error
    except CodecError as error:
        raise RecordError("the run record cannot be read", where=str(path), why=str(error)) from error


def read_facts(folder: Path) -> RunFacts | None:
    """The facts in a run's folder, also those of an earlier version; None when there are none there.

    Raises:
        RecordError: they are damaged or of another version.
    """
    path = folder / FACTS
    if not path.exists():
        path = folder / OLD_FACTS
    if not path.exists():
        return None
    try:
        return decode_facts(_text(path, "facts file")) if path.name == OLD_FACTS else unpacked_facts(_bytes(path))
    except CodecError as error:
        raise RecordError("the facts of the run cannot be read", where=str(path), why=str(error), hint=SUMMARY_ALONE) from error


def _bytes(path: Path) -> bytes:
    try:
        content = bounded.read_bytes(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordError("the facts of the run cannot be read", where=str(path), why=why, hint=SUMMARY_ALONE) from error
    require_unchanged(path, digest_of(content))
    return content


def _text(path: Path, kind: str) -> str:
    try:
        return read_kept_text(path, kind)
    except FileNotFoundError as error:
        raise RecordError(f"there is no {kind}", where=str(path), why="the file does not exist") from error
