"""The trend of figures over the accepted runs: block characters in the row of each required one, a chart of the one that
matters most.

GitHub draws the chart, which is mermaid, in comments and summaries; mail shows its source instead. So the tables stay the
authority, and neither form holds anything that is not a baseline's or this run's own figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.model.metrics import METRICS, TAIL
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.report.parts.rows import worst_comparisons
from velro_gate.report.text import figures
from velro_gate.report.text.bars import bars
from velro_gate.report.text.phrase import Phrase, plain

MOST = 20
"""Baselines in a chart; beyond that GitHub's narrow column makes the points unreadable."""
_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_COLOUR = '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#0969da"}}}}%%'
"""Mermaid's own first colour is next to invisible on white."""
_Figure = tuple[str, str, str]  # phase, step, metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A chart of one figure over the accepted runs."""

    title: str
    """What it shows, in plain words."""
    chart: str
    """The fenced mermaid source."""


def comment_trend(record: RunRecord, verdict: Verdict, history: Sequence[RunRecord]) -> Trend | None:
    """The series of the figure that matters most; None where there are fewer than two baselines of it, or nothing is judged.

    history: the comparable accepted runs, oldest first.
    """
    wanted = _most_important(record, verdict)
    if wanted is None or verdict.level is Level.BROKEN:
        return None
    series = _series(_value(record, wanted), history, wanted)
    if not series:
        return None
    phase, step, metric = wanted
    scale, unit = _scale(metric, max(series))
    # Mermaid draws no unit prefixes of its own: values are given in the unit that the axis names.
    points = [value / scale for value in series]
    low, high = _axis(points)
    count = len(series) - 1
    labels = ", ".join(f'"{index - count}"' for index in range(count))
    lines = (
        "```mermaid",
        _COLOUR,
        "xychart-beta",
        f'  x-axis "runs before this one" [{labels}, "now"]',
        f'  y-axis "{unit}" {units.format_number(low)} --> {units.format_number(high)}',
        f"  line [{', '.join(units.format_number(point, digits=4) for point in points)}]",
        "```",
    )
    title = f"{plain(figures.subject_phrase(metric, step))} in {phase} over {count} baselines and this run"
    return Trend(title=title, chart="\n".join(lines))


def blocks(verdict: Verdict, history: Sequence[RunRecord]) -> dict[tuple[str, Phrase], str]:
    """The series of each required figure by phase and subject, old to new and this run last.

    A figure of which there are fewer than two baselines, or that this run has not measured, is left out. Empty where nothing is
    judged.
    """
    if verdict.level is Level.BROKEN:
        return {}
    found = {}
    for result in verdict.requirements:
        wanted, now = result.requirement, result.estimate
        points = _series(None if now is None else now.value, history, (result.phase, wanted.step, wanted.metric))
        if points:
            found[result.phase, figures.subject_phrase(wanted.metric, wanted.step)] = _drawn(points)
    return found


def _drawn(points: Sequence[float]) -> str:
    low, high = _axis(points)
    return bars(points, low, high)


def _series(now: float | None, history: Sequence[RunRecord], wanted: _Figure) -> list[float]:
    """A figure of the last baselines and now; empty where there are fewer than two baselines of it."""
    before = [value for run in history[-MOST:] if (value := _value(run, wanted)) is not None]
    return [] if len(before) < 2 or now is None else [*before, now]


def _most_important(record: RunRecord, verdict: Verdict) -> _Figure | None:
    """The worst change; else p95 of all requests in the phase of most users."""
    rows = [row for row in worst_comparisons(verdict.comparisons) if row.verdict is not Change.NOT_COMPARED]
    if rows:
        return (rows[0].phase, rows[0].step, rows[0].metric)
    if not record.phases:
        return None
    return (max(record.phases, key=lambda phase: phase.users).name, ALL_STEPS, TAIL)


def _value(run: RunRecord, wanted: _Figure) -> float | None:
    phase = run.phase(wanted[0])
    found = phase.measurement(wanted[2], wanted[1]) if phase else None
    return found.value if found else None


def _scale(metric: str, largest: float) -> tuple[float, str]:
    """Which unit the axis has: the registry's base unit is divided by the first figure."""
    known = METRICS[metric].kind.value
    match known:
        case "seconds":
            return next(((size, name) for size, name in _SCALES if largest >= size), _SCALES[-1])
        case "share":
            return 0.01, "%"
        case "bytes":
            return 2.0**20, "MiB"
    return 1.0, known


def _axis(points: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: a tenth of the figure beyond the points on either side, so that noise does not look like a cliff."""
    low, high = min(points), max(points)
    return units.round_down(low * 0.9), units.round_up(high * 1.1 or 1.0)
