"""What was measured, in one table on standard output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from velro_gate import units
from velro_gate.cli.options import Format
from velro_gate.cli.output import figures_table, put, show
from velro_gate.gate.measure.results import Results
from velro_gate.model.metrics import LATENESS
from velro_gate.model.record import RunRecord
from velro_gate.report.parts.trustline import noise_words
from velro_gate.report.text.figures import FEW_NOTE, has_few, marked

if TYPE_CHECKING:
    from rich.table import Table


def print_run(record: RunRecord, results: Results, format: Format) -> int:
    """Where a record lies and what was measured, in one table."""
    if format is Format.JSON:
        put(json.dumps({"id": record.id, "folder": str(results.folder), "complete": record.complete}))
        return 0
    show(phase_table(record))
    put(f"The generator alone: {noise_words(record.generator_noise)}")
    put(f"Record: {results.folder}  (judge it with: velro-gate judge {results.folder})")
    return 0


_HEADS = ("phase", "users", "rate,\n/s", "p50", "p95", "p99", "errors", "hit\nrate", "lateness\np99", "generator\nCPU")
_QUANTILES = ("p50", "p95", "p99", LATENESS)


def phase_table(record: RunRecord) -> Table:
    """One row a phase."""
    table = figures_table(*_HEADS, left=("phase",), title=f"{record.plan.scenario}, profile {record.plan.profile}")
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
