"""The result of a calibration: the figures of each run, the noise between them, and what later runs will detect."""

from __future__ import annotations

from velro_gate import units
from velro_gate.analysis.rows.noise import ENOUGH_BASELINES
from velro_gate.analysis.stored.comparison import compare
from velro_gate.cli.output import figures_table, put, show
from velro_gate.gate.judge.calibrate import Calibrated
from velro_gate.model.metrics import METRICS, TAIL
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change
from velro_gate.report.parts.trustline import smallest_seen
from velro_gate.report.sentences.reasons import reason_words
from velro_gate.report.text.figures import FEW_NOTE, has_few, marked

MUCH = 0.5
"""A smallest detectable worsening above which the comparison is of little use to anybody."""

_FIGURES = ("throughput", "p50", "p95", "p99", "error_rate")


def print_calibrated(made: Calibrated) -> None:
    """One row for each phase of each run, including those that were not stored; then the noise and what will be detected."""
    table = figures_table("run", "phase", "requests/s", "p50", "p95", "p99", "errors", "stored", left=("phase", "stored"))
    reasons = {record.id: why for record, why in made.refused}
    runs = sorted((*made.stored, *(record for record, _ in made.refused)), key=lambda run: (run.started_at, run.id))
    for number, record in enumerate(runs, 1):
        for phase in record.phases:
            table.add_row(str(number), phase.name, *_cells(phase), "no" if record.id in reasons else "yes")
    table.caption, table.caption_justify = FEW_NOTE if _has_few(made) else None, "left"
    show(table)
    for number, record in enumerate(runs, 1):
        put(f"run {number}: {record.id}{f', not stored: {reasons[record.id]}' if record.id in reasons else ''}")
    if len(made.stored) > 1:
        for line in _sentences(made.stored):
            put(line)


def _has_few(made: Calibrated) -> bool:
    phases = [phase for record in (*made.stored, *(record for record, _ in made.refused)) for phase in record.phases]
    return any(has_few(name, phase.measurement(name)) for phase in phases for name in _FIGURES)


def _cells(phase: PhaseSummary) -> list[str]:
    found = {name: phase.measurement(name) for name in _FIGURES}
    return [marked(name, value) for name, value in found.items()]


def _sentences(stored: tuple[RunRecord, ...]) -> list[str]:
    """How far apart the runs lie, the smallest worsening that will fail later runs, and what they will not compare."""
    said = []
    for phase in stored[-1].phases:
        values = [found.value for record in stored if (found := _p95(record, phase.name)) is not None]
        if len(values) > 1 and min(values) > 0.0:
            apart = units.format_share(max(values) / min(values) - 1.0)
            said.append(f"Noise: p95 of {phase.name} was up to {apart} apart in {len(values)} runs of one build.")
    # A later run has all of these for baselines; what it will see depends on them alone.
    rows = compare(stored[-1], stored, stored[-1].plan.policy, repeated=True)
    seen = smallest_seen(rows)
    if seen:
        said.append(f"A later run will fail a worsening of {seen} or more with 95 % probability.")
        if any(row.primary and (row.mde or 0.0) > MUCH for row in rows):
            said.append(
                "To detect smaller worsenings: make the phases longer or the load steadier, record more runs on a quieter "
                "machine, or compare builds side by side ('velro-gate duet')."
            )
    elif len(stored) < ENOUGH_BASELINES:
        said.append(f"{len(stored)} baselines fail no run, they warn: five show how much the figures vary.")
    for row in rows:
        if row.primary and row.verdict is Change.NOT_COMPARED:
            said.append(
                f"Not compared in {row.phase}: {METRICS[row.metric].label} of {row.step}, {reason_words(row.reasons[0])}."
            )
    return said


def _p95(record: RunRecord, phase: str) -> Estimate | None:
    found = record.phase(phase)
    return None if found is None else found.measurement(TAIL, ALL_STEPS)
