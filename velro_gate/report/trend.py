"""The trend of a figure over the accepted runs as a chart in mermaid, which GitHub draws in comments and summaries.

Mail shows its source instead. So the table of requirements and comparisons stays the authority, and the chart holds nothing
that is not a baseline's or this run's own figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Verdict
from velro_gate.report import figures
from velro_gate.report.phrase import plain
from velro_gate.report.rows import worst_comparisons

MOST = 20
"""Baselines in a chart; beyond that GitHub's narrow column makes the points unreadable."""
_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_Figure = tuple[str, str, str]  # phase, step, metric


def trend(record: RunRecord, verdict: Verdict, history: Sequence[RunRecord]) -> str:
    """A mermaid chart of the figure that matters most, in a fence; empty where there are fewer than two baselines of it.

    history: the comparable accepted runs, oldest first.
    """
    wanted = _telling(record, verdict)
    if wanted is None:
        return ""
    before = [value for run in history[-MOST:] if (value := _value(run, wanted)) is not None]
    now = _value(record, wanted)
    if len(before) < 2 or now is None:
        return ""
    phase, step, metric = wanted
    scale, unit = _scale(metric, max(*before, now))
    points = [value / scale for value in (*before, now)]
    low, high = _axis(points)
    title = f"{plain(figures.subject(metric, step))} in {phase}: {len(before)} baselines, then this run"
    labels = ", ".join(f'"{index - len(before)}"' for index in range(len(before)))
    lines = (
        "```mermaid",
        "xychart-beta",
        f'  title "{_quoted(title)}"',
        f'  x-axis "runs before this one" [{labels}, "now"]',
        f'  y-axis "{unit}" {low:g} --> {high:g}',
        f"  line [{', '.join(f'{point:.4g}' for point in points)}]",
        "```",
    )
    return "\n".join(lines)


def trend_title(record: RunRecord, verdict: Verdict) -> str:
    """What the chart shows, in plain words."""
    wanted = _telling(record, verdict)
    return "" if wanted is None else f"{plain(figures.subject(wanted[2], wanted[1]))} in {wanted[0]}"


def _telling(record: RunRecord, verdict: Verdict) -> _Figure | None:
    """The worst change; else p95 of all requests in the phase of most users."""
    rows = [row for row in worst_comparisons(verdict.comparisons) if row.verdict is not Change.NOT_COMPARED]
    if rows:
        return (rows[0].phase, rows[0].step, rows[0].metric)
    if not record.phases:
        return None
    return (max(record.phases, key=lambda phase: phase.users).name, ALL_STEPS, "p95")


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
    """Ends of the axis: a tenth of room around the points, never below nothing, never one point wide."""
    low, high = min(points), max(points)
    room = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    return _rounded(max(low - room, 0.0), math.floor), _rounded(high + room, math.ceil)


def _rounded(value: float, towards: object) -> float:
    if value == 0.0:
        return 0.0
    size = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    assert callable(towards)
    return float(towards(value / size)) * size


def _quoted(text: str) -> str:
    """Text inside mermaid's quotes: letters, digits and plain signs only, since mermaid has no way to escape a quote."""
    return "".join(character if character.isalnum() or character in " _-.,:%/" else " " for character in text)[:120]
