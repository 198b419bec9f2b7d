"""All that a folder holds of runs: results folders, duets and stored baselines, wherever they lie in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from velro_gate.errors import RecordError
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.store.duets import read_duet
from velro_gate.store.records import RECORD, read_record

_BASELINE = re.compile(r"\d{8}T\d{6}Z-.*\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedRun:
    """One kept run."""

    path: Path
    record: RunRecord
    baseline: bool = False
    """Whether it lies there as an accepted baseline."""
    duet: DuetRecord | None = None
    """Its pairs, where it is the head of a duet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Every run, oldest first, and a sentence for each file that should be one and cannot be read."""

    runs: tuple[ArchivedRun, ...] = ()
    skipped: tuple[str, ...] = ()


def read_archive(root: Path) -> Archive:
    """Everything that was kept under a folder. What lies inside a run's own folder belongs to that run.

    Raises:
        RecordError: there is no such folder.
    """
    if not root.is_dir():
        raise RecordError("there is no folder of records", where=str(root), why="it does not exist, or is not a folder")
    runs: list[ArchivedRun] = []
    skipped: list[str] = []
    for place, folders, files in os.walk(root):
        folders.sort()
        folder = Path(place)
        wanted = (
            [folder / RECORD] if RECORD in files else [folder / name for name in sorted(files) if _BASELINE.fullmatch(name)]
        )
        if RECORD in files:
            folders.clear()
        for path in wanted:
            try:
                runs.append(_kept(path))
            except RecordError as error:
                skipped.append(f"{path.relative_to(root)} is not judged: {error.why}")
    runs.sort(key=lambda kept: (kept.record.started_at, kept.record.id, not kept.baseline))
    return Archive(runs=tuple(runs), skipped=tuple(skipped))


def _kept(path: Path) -> ArchivedRun:
    if path.name == RECORD:
        return ArchivedRun(path=path.parent, record=read_record(path), duet=read_duet(path.parent))
    return ArchivedRun(path=path, record=read_record(path), baseline=True)
