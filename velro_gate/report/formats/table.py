"""The CSV report: one row for each phase, step and metric, with its requirement and its comparison."""

from __future__ import annotations

from collections.abc import Iterator

from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, RequirementResult, Verdict
from velro_gate.report.parts.rows import status_word
from velro_gate.report.sentences.reasons import row_reason
from velro_gate.report.text.csv_text import table_csv
from velro_gate.report.text.figures import MISSING, detail

COLUMNS = (
    *("run", "scenario", "profile", "revision", "verdict", "phase", "step", "metric", "unit"),
    *("value", "low", "high", "n", "detail"),
    *("requirement", "target", "critical", "headroom", "requirement_status", "requirement_level", "source"),
    *("comparison", "comparison_level", "primary", "baseline", "change", "change_low", "change_high"),
    *("p", "p_adjusted", "noise", "mde", "margin", "baselines", "pairs", "reason", "generator_alone"),
)
"""Figures are in base units (seconds, requests per second, bytes, shares), unrounded; 'not measured' where there is none."""

_Key = tuple[str, str, str]
_Cell = str | int | float | None


def csv(record: RunRecord, verdict: Verdict) -> str:
    """The table as RFC 4180 text with a header line.

    A metric with several requirements shows the one that fared worst. Cells of a requirement or a comparison that does not
    exist are empty; a figure that should be there and is not says 'not measured'.
    """
    requirements = _worst_requirement(verdict)
    comparisons = {(row.phase, row.step, row.metric): row for row in verdict.comparisons}

    def row(key: _Key) -> list[_Cell]:
        """The cells of one figure."""
        cells = [*_identity(record, verdict, key), *_measured(record, key)]
        return [*cells, *_required(requirements.get(key)), *_compared(comparisons.get(key)), _generator_alone(record, key)]

    return table_csv(COLUMNS, map(row, _keys(record, verdict)))


def _worst_requirement(verdict: Verdict) -> dict[_Key, RequirementResult]:
    worst: dict[_Key, RequirementResult] = {}
    for result in verdict.requirements:
        key = (result.phase, result.requirement.step, result.requirement.metric)
        known = worst.get(key)
        if known is None or _badness(result) > _badness(known):
            worst[key] = result
    return worst


def _badness(result: RequirementResult) -> tuple[int, float]:
    return (result.level, -(result.headroom if result.headroom is not None else -1e9))


def _keys(record: RunRecord, verdict: Verdict) -> Iterator[_Key]:
    """Everything measured, required or compared, in the order of the plan, of the steps and of the registry."""
    found = {(phase.name, step.step, metric) for phase in record.phases for step in phase.steps for metric in step.measurements}
    found |= {(r.phase, r.requirement.step, r.requirement.metric) for r in verdict.requirements}
    found |= {(row.phase, row.step, row.metric) for row in verdict.comparisons}
    phases = _places([*(phase.name for phase in record.plan.phases), *(phase.name for phase in record.phases)])
    steps = _places([ALL_STEPS, *record.plan.steps])
    metrics = _places(list(METRICS))

    def place(key: _Key) -> tuple[int, str, int, str, int]:
        """In the order of the scenario; what it does not know comes last, by name."""
        phase, step, metric = key
        return (phases.get(phase, len(phases)), phase, steps.get(step, len(steps)), step, metrics.get(metric, len(metrics)))

    return iter(sorted(sorted(found), key=place))


def _places(names: list[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(dict.fromkeys(names))}


def _identity(record: RunRecord, verdict: Verdict, key: _Key) -> list[_Cell]:
    phase, step, metric = key
    plan = record.plan
    head = [record.id, plan.scenario, plan.profile, record.revision.sha or "unknown", verdict.level.word]
    return [*head, phase, step, metric, METRICS[metric].kind.value]


def _measured(record: RunRecord, key: _Key) -> list[_Cell]:
    phase, step, metric = key
    summary = record.phase(phase)
    found = summary.measurement(metric, step) if summary else None
    if found is None:
        return [MISSING, MISSING, MISSING, MISSING, ""]
    return [found.value, found.low, found.high, found.n, detail(metric, found)]


def _generator_alone(record: RunRecord, key: _Key) -> _Cell:
    """What the generator alone showed of the same quantile; empty where that is not a question."""
    noise = record.generator_noise
    return None if noise is None else noise.of(key[2])


def _required(result: RequirementResult | None) -> list[_Cell]:
    if result is None:
        return [None] * 7
    wanted = result.requirement
    headroom = MISSING if result.headroom is None else result.headroom
    limits: list[_Cell] = [f"{wanted.comparator.value} {wanted.target!r}", wanted.target, wanted.critical]
    return [*limits, headroom, status_word(result), result.level.word, wanted.source]


def _compared(row: Comparison | None) -> list[_Cell]:
    if row is None:
        return [None] * 15
    figures: list[_Cell] = [
        row.baseline,
        row.change,
        row.change_low,
        row.change_high,
        row.p,
        row.p_adjusted,
        row.noise,
        row.mde,
    ]
    shown = [MISSING if figure is None and row.verdict is not Change.NOT_COMPARED else figure for figure in figures]
    head: list[_Cell] = [row.verdict.value, row.level.word, "primary" if row.primary else "advisory"]
    return [*head, *shown, row.margin, row.k, row.pairs, row_reason(row)]
