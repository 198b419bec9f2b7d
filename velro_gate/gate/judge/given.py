"""The reports that were written when a run was judged, read again."""

from __future__ import annotations

from pathlib import Path

from velro_gate.errors import RecordError
from velro_gate.store.files import RECORD, read_kept_text


def given_report(folder_or_record: Path, name: str) -> str:
    """One report of the verdict that was given to a kept run, as it was written then. name: of its file.

    Raises:
        RecordError: there is no run, or none that was judged, or the report cannot be read.
    """
    folder = folder_or_record if folder_or_record.is_dir() else folder_or_record.parent
    hint = f"Judge it: 'velro-gate judge {folder_or_record}'."
    for each in (name, "verdict.md") if name == "verdict.txt" else (name,):
        try:
            return read_kept_text(folder / each, "report", hint)
        except FileNotFoundError:
            continue
    if not (folder / RECORD).exists():
        raise RecordError("there is no kept run", where=str(folder_or_record), why=f"the folder holds no {RECORD}")
    why = "it was measured and not judged, or by a version that kept no reports"
    raise RecordError("this run has no verdict", where=str(folder), why=why, hint=hint)
