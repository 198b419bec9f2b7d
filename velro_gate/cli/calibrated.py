"""What a calibration came to: the figures of each run, the noise between them, and what later runs will see."""

from __future__ import annotations

from rich.table import Table

from velro_gate import units
from velro_gate.analysis.judge import judge
from velro_gate.cli.output import put, show
from velro_gate.gate.calibrate import Calibrated
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.figures import figure
from velro_gate.report.trustline import smallest_seen

_FIGURES = ("throughput", "p50", "p95", "p99", "error_rate")


def print_calibrated(made: Calibrated) -> None:
    """One row for each phase of each run, those that were not stored too; then noise and what will be seen."""
    table = Table()
    for heading in ("run", "phase", "requests/s", "p50", "p95", "p99", "errors", "stored"):
        table.add_column(heading, justify="left" if heading in ("run", "phase", "stored") else "right")
    reasons = {record.id: why for record, why in made.refused}
    for record in sorted((*made.stored, *(record for record, _ in made.refused)), key=lambda run: (run.started_at, run.id)):
        for phase in record.phases:
            table.add_row(record.id, phase.name, *_cells(phase), f"no: {reasons[record.id]}" if record.id in reasons else "yes")
    show(table)
    if len(made.stored) > 1:
        for line in _sentences(made.stored):
            put(line)


def _cells(phase: PhaseSummary) -> list[str]:
    found = {name: phase.measurement(name) for name in _FIGURES}
    return [figure(name, None if value is None else value.value) for name, value in found.items()]


def _sentences(stored: tuple[RunRecord, ...]) -> list[str]:
    """How far the runs lie apart, and the smallest worsening that the last of them could have seen against the others."""
    said = []
    for phase in stored[-1].phases:
        values = [found.value for record in stored if (found := _p95(record, phase.name)) is not None]
        if len(values) > 1 and min(values) > 0.0:
            apart = units.format_share(max(values) / min(values) - 1.0)
            said.append(f"Noise: p95 of {phase.name} was up to {apart} apart in {len(values)} runs of one build.")
    seen = smallest_seen(judge(stored[-1], stored[:-1]).comparisons)
    if seen:
        said.append(f"A later run will see a worsening of {seen} or more.")
    else:
        said.append("No figure can be compared after so few requests: longer phases or a higher rate are needed.")
    return said


def _p95(record: RunRecord, phase: str) -> Estimate | None:
    found = record.phase(phase)
    return None if found is None else found.measurement("p95", ALL_STEPS)
