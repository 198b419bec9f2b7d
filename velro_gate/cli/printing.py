"""Results on standard output, as text for people or JSON for scripts."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from velro_gate import units
from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.gate.judge.verdict import DUET_FILES, FILES
from velro_gate.gate.measure.results import Results
from velro_gate.model.metrics import LATENESS
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.registry import known_format
from velro_gate.report.parts.trustline import generator_alone
from velro_gate.report.text.figures import FEW_NOTE, has_few, marked

OK = 0


def print_verdict(record: RunRecord, verdict: Verdict, folder: Path | None, format: Format) -> int:
    """The verdict, and the exit code that belongs to it."""
    if format is Format.JSON:
        put(verdict_json(record, verdict))
    else:
        show(terminal(record, verdict))
        if folder is not None:
            written = [name for name in (FILES if verdict.duet is None else DUET_FILES) if (folder / name).exists()]
            put(f"Files: {folder}/{{{','.join(written)}}}")
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)


def print_run(record: RunRecord, results: Results, format: Format) -> int:
    """Where a record lies and what was measured, in one table."""
    if format is Format.JSON:
        put(json.dumps({"id": record.id, "folder": str(results.folder), "complete": record.complete}))
        return OK
    show(phase_table(record))
    put(f"The generator alone: {generator_alone(record.generator_noise)}")
    put(f"Record: {results.folder}  (judge it with: velro-gate judge {results.folder})")
    return OK


_QUANTILES = ("p50", "p95", "p99", LATENESS)


def phase_table(record: RunRecord) -> Table:
    """One row a phase."""
    table = Table(title=f"{record.plan.scenario}, profile {record.plan.profile}", title_justify="left")
    for heading in ("phase", "users", "requests/s", "p50", "p95", "p99", "errors", "hit rate", "lateness p99", "generator CPU"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    few = False
    for phase in record.phases:
        found = {name: phase.measurement(name) for name in (*_QUANTILES, "throughput", "error_rate", "hit_rate")}
        value = {name: each.value if each else None for name, each in found.items()}
        few |= any(has_few(name, found[name]) for name in _QUANTILES)
        table.add_row(
            phase.name,
            units.format_count(phase.users),
            units.format_count(value["throughput"]),
            *(marked(name, found[name]) for name in _QUANTILES[:3]),
            units.format_share(value["error_rate"]),
            units.format_share(value["hit_rate"]),
            marked(LATENESS, found[LATENESS]),
            units.format_share(phase.health.cpu_share),
        )
    table.caption, table.caption_justify = FEW_NOTE if few else None, "left"
    return table


def print_anew(record: RunRecord, verdict: Verdict, wanted: str) -> int:
    """A verdict that was reached just now in one format, and the exit code that belongs to it."""
    made = known_format(wanted)
    if made.name == "text":
        # On a terminal it has colours and folds its lines.
        return print_verdict(record, verdict, None, Format.TEXT)
    put(made.render(record, verdict).removesuffix("\n"))
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
