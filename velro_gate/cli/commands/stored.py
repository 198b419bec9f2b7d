"""Stored runs on standard output: the list, and one of them."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.model.record import RunRecord, fingerprint
from velro_gate.store.baselines import list_baselines
from velro_gate.store.records import RECORD, read_record


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
        put(f"no baselines in {root} (velro-gate baseline calibrate makes five)")
    else:
        table = Table()
        for heading in ("recorded", "scenario", "profile", "environment", "revision", "runner", "used", "file"):
            table.add_column(heading, overflow="fold")
        for path, record in listed.found:
            table.add_row(
                record.started_at,
                record.plan.scenario,
                record.plan.profile,
                fingerprint(record.environment),
                record.revision.sha[:7] or "unknown",
                record.environment.runner,
                _use(record, listed.pins.get(path)),
                str(path),
            )
        show(table)
        for path, record in listed.found:
            if record.quarantined:
                put(f"quarantined: {path}: {record.quarantined}")
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
