"""The reports of a kept run, several at once, into a folder; and which run is the newest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from velro_gate.errors import RecordError, UsageError
from velro_gate.gate.judge.given import given_report
from velro_gate.report.formats.registry import FORMATS, known_format
from velro_gate.store.files import RECORD, read_kept_text, write_whole

LOG = "log.txt"
_DATED = {
    "json": "performance_validation_report_{time}.json",
    "html": "performance_validation_report_{time}.html",
    "csv": "performance_validation_report_{time}.csv",
    "executive": "executive_summary_{time}.html",
    "executive-json": "executive_summary_{time}.json",
}
"""Names with the time of the run, by format; any other format has its own name with the time before its ending."""


def newest_run(root: Path) -> Path:
    """The folder of the newest kept run in a folder of runs: the names begin with the time.

    Raises:
        RecordError: there is none.
    """
    found = [path.parent for path in root.glob(f"*/{RECORD}")] if root.is_dir() else []
    if not found:
        raise RecordError(
            "there is no kept run",
            where=str(root),
            why=f"no folder in it holds a {RECORD}",
            hint="Name the folder of a run, or the folder of runs with --output.",
        )
    return max(found, key=lambda folder: folder.name)


def wanted_formats(listed: str | None) -> tuple[str, ...]:
    """The formats of ``json,html``, each once; all of them for None.

    Raises:
        UsageError: one of them does not exist, or none is named.
    """
    if listed is None:
        return tuple(FORMATS)
    names = tuple(dict.fromkeys(listed.replace(",", " ").split()))
    for name in names:
        known_format(name)
    if not names:
        raise UsageError("no format is named", hint=f"Choose from: {', '.join(FORMATS)}.")
    return names


def write_given(run: Path, formats: Sequence[str], into: Path, *, dated: bool) -> tuple[Path, ...]:
    """Copy reports of the verdict that was given to a run into a folder, which is made.

    dated: under names with the run's time, with the run's record and log.

    Raises:
        RecordError: there is no such run, or it was not judged. OutputError, StorageError: a file cannot be written.
    """
    texts = {FORMATS[name].file: given_report(run, FORMATS[name].file) for name in formats}
    if dated:
        texts = _dated(run, formats, texts)
    for name, text in texts.items():
        write_whole(into / name, text)
    return tuple(into / name for name in texts)


def _dated(run: Path, formats: Sequence[str], texts: dict[str, str]) -> dict[str, str]:
    folder = run if run.is_dir() else run.parent
    from velro_gate.store.records import read_record

    record = read_record(folder)
    time = f"{datetime.fromisoformat(record.started_at):%Y%m%d_%H%M%S}"
    named: dict[str, str] = {}
    for name in formats:
        file = FORMATS[name].file
        stem, dot, ending = file.rpartition(".")
        named[_DATED.get(name, f"{stem}_{{time}}{dot}{ending}").format(time=time)] = texts[file]
    # A record may come from elsewhere: its names must not become folders.
    scenario = re.sub(r"[^A-Za-z0-9_-]", "-", record.plan.scenario)
    named[f"load_test_{scenario}_results_{time}.json"] = read_kept_text(folder / RECORD, "run record")
    if (folder / LOG).exists():
        named["load_test_execution.log"] = read_kept_text(folder / LOG, "log")
    return named
