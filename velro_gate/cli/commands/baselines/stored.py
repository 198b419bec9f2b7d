"""Stored runs on standard output: the list, and one of them."""

from __future__ import annotations

import json
from pathlib import Path

from velro_gate.cli.options import Format
from velro_gate.cli.output import figures_table, put, show
from velro_gate.model.record import RunRecord
from velro_gate.report.sentences.baselines import nothing_stored
from velro_gate.store.baselines import list_baselines
from velro_gate.store.records import RECORD, read_record

_HEADS = ("no.", "recorded, UTC", "scenario", "profile", "revision", "runner", "used")


def print_baselines(root: Path, format: Format) -> int:
    """Every stored run with its use, and every file that is not a run."""
    listed = list_baselines(root)
    if format is Format.JSON:
        rows = [
            {
                "file": str(path),
                "id": record.id,
                "scenario": record.plan.scenario,
                "profile": record.plan.profile,
                "quarantined": record.quarantined or None,
                "release": listed.pins.get(path),
            }
            for path, record in listed.found
        ]
        put(json.dumps({"baselines": rows, "skipped": list(listed.skipped)}, indent=2, ensure_ascii=False))
        return 0
    if not listed.found:
        put(nothing_stored(str(root)))
    else:
        table = figures_table(*_HEADS, left=_HEADS[1:])
        for number, (path, record) in enumerate(listed.found, 1):
            table.add_row(
                str(number),
                record.started_at[:16].replace("T", " "),
                record.plan.scenario,
                record.plan.profile,
                record.revision.sha[:7] or "unknown",
                record.environment.runner,
                _use(record, listed.pins.get(path)),
            )
        show(table)
        # Not in the table: a path that is folded into a cell cannot be copied into the next command.
        for number, (path, record) in enumerate(listed.found, 1):
            put(f"{number}: {path}")
            if record.quarantined:
                put(f"   quarantined: {record.quarantined}")
    for sentence in listed.skipped:
        put(f"skipped: {sentence}")
    return 0


def _use(record: RunRecord, release: str | None) -> str:
    if record.quarantined:
        return "no: quarantined"
    return "yes" if release is None else f"yes, pinned: {release}"


def print_baseline(file: Path, format: Format) -> int:
    """One baseline's figures."""
    # Not at the top: it loads what computes figures, and the list shows none.
    from velro_gate.cli.measured import phase_table

    record = read_record(file)
    if format is Format.JSON:
        text = (file / RECORD if file.is_dir() else file).read_text(encoding="utf-8")
        put(text.removesuffix("\n"))
    else:
        show(phase_table(record))
        if record.quarantined:
            put(f"quarantined, so not used: {record.quarantined}")
    return 0
