"""The page of a running load: the charts of the report, which ask for what is new once a second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from velro_gate import units
from velro_gate.model.run import Progress, Stage
from velro_gate.report.charts.library import library, live_policy, live_program, program
from velro_gate.report.charts.shapes import (
    CORES,
    COUNT,
    MILLISECONDS,
    RATE,
    SHARE,
    AxisKind,
    ChartSet,
    ChartView,
    DisplayScale,
    InteractiveChart,
    Line,
)
from velro_gate.report.charts.together import encoded
from velro_gate.report.text.escape import visible
from velro_gate.report.text.templating import rendered

MOST_ROWS = 7_200
"""Rows that are kept, one a second: two hours. Of a longer run the page shows the last two."""
MOST_SENT = 300
"""Rows of one response: a page that is opened late asks several times, so that none of them takes long."""
_MOST_NAMES = 30
"""Steps, or cache layers, in one row that is sent to the page."""
_STAGES = {Stage.RAMP: "ramping up", Stage.MEASURE: "measuring", Stage.DRAIN: "draining"}
_CHARTS: tuple[tuple[str, str, DisplayScale, tuple[tuple[str, str], ...]], ...] = (
    ("rate", "Requests per second", RATE, (("offered", "offered"), ("successful", "rate"))),
    ("latency", "Response time", MILLISECONDS, (("p99", "p99"), ("p95", "p95"), ("p50", "p50"))),
    ("steps", "p95 by step", MILLISECONDS, ()),
    ("errors", "Error rate", SHARE, (("all steps", "error_rate"),)),
    ("users", "Virtual users connected", COUNT, (("users", "connected"),)),
    ("hits", "Cache hits", SHARE, (("all layers", "hit_rate"),)),
    ("layers", "Look-ups by cache layer", SHARE, ()),
    ("cpu", "CPU of the service", CORES, (("service", "service_cpu"),)),
    ("pool", "Connection pool", COUNT, (("in use", "pool_used"), ("size", "pool_size"))),
    ("lateness", "Lateness of the generator, p99", MILLISECONDS, (("p99", "lateness_p99"),)),
)
"""Name, title, scale, and the lines with the figure of each; those without are made of the names that come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSince:
    """Rows as JSON objects. next: the number to ask for next; more: whether it is there already."""

    rows: tuple[str, ...]
    next: int
    more: bool


class LiveRows:
    """A run so far, a row for each second. Written by the run's loop, read by the server's threads, without a lock."""

    def __init__(self) -> None:
        # The number of the first row, and the rows. Replaced as one, so that a reader never sees one without the other.
        self._kept: tuple[int, list[str]] = (0, [])

    def add(self, at: float, progress: Progress) -> None:
        """Take in the newest state. at: seconds since the page began."""
        first, rows = self._kept
        # A text at once: to encode an hour when somebody looks would hold up the load, which shares the interpreter.
        rows.append(json.dumps(_row(at, progress), ensure_ascii=False, allow_nan=False, separators=(",", ":")))
        if len(rows) >= 2 * MOST_ROWS:
            self._kept = (first + len(rows) - MOST_ROWS, rows[-MOST_ROWS:])

    def since(self, number: int) -> RowsSince:
        """The next rows from this number on."""
        first, rows = self._kept
        count = len(rows)
        begin = max(number - first, count - MOST_ROWS, 0)
        end = min(begin + MOST_SENT, count)
        return RowsSince(rows=tuple(rows[begin:end]), next=first + end, more=end < count)


def _row(at: float, progress: Progress) -> dict[str, Any]:
    used, size = progress.pool or (None, None)
    figures = {
        "offered": (RATE, progress.offered_rate),
        "rate": (RATE, progress.rate),
        "p50": (MILLISECONDS, progress.p50),
        "p95": (MILLISECONDS, progress.p95),
        "p99": (MILLISECONDS, progress.p99),
        "error_rate": (SHARE, progress.error_rate),
        "connected": (COUNT, float(progress.connected)),
        "hit_rate": (SHARE, progress.hit_rate),
        "lateness_p99": (MILLISECONDS, progress.lateness_p99),
        "service_cpu": (CORES, progress.service_cpu),
        "pool_used": (COUNT, used),
        "pool_size": (COUNT, size),
    }
    # How many trials a search makes is not known before it ends.
    place = f"{progress.phase_number}" + (f" of {progress.phase_count}" if progress.phase_count else "")
    return {
        "at": float(int(at * 1e3)),
        "phase": visible(progress.phase),
        "measured": progress.stage is not Stage.RAMP,
        "state": f"{place}: {visible(progress.phase)}, {_STAGES[progress.stage]}, "
        f"{units.format_whole_duration(progress.remaining)} left, {units.format_count(progress.errors)} errors",
        "figures": {name: scale.shown((value,))[0] for name, (scale, value) in figures.items()},
        "steps": _named(progress.steps, MILLISECONDS),
        "layers": _named(progress.layers, SHARE),
    }


def _named(values: Sequence[tuple[str, float]], scale: DisplayScale) -> dict[str, float | None]:
    return {visible(name): scale.shown((value,))[0] for name, value in values[:_MOST_NAMES]}


def live_html(title: str) -> str | None:
    """The page, without any data yet; None: the library that draws is not installed."""
    script = library()
    if script is None:
        return None
    charts = ChartSet(charts=tuple(_empty(name, heading, scale, lines) for name, heading, scale, lines in _CHARTS))
    sources = {name: [figure for _, figure in lines] for name, _, _, lines in _CHARTS}
    # Scripts, and data for them, made safe for the inside of a script element.
    scripts = {
        "encoded": encoded(charts),
        "library": script,
        "program": program(),
        "follow": live_program(),
        "sources": json.dumps(sources),
    }
    safe = {name: Markup(text) for name, text in scripts.items()}  # noqa: S704
    return rendered("live.html.j2", {"title": title, "drawn": charts, "policy": live_policy(), **safe})


def _empty(name: str, title: str, scale: DisplayScale, lines: Sequence[tuple[str, str]]) -> InteractiveChart:
    """A chart that waits for its data."""
    drawn = tuple(
        Line(name=label, colour=_COLOURS.get(label, index + 1), x=(), y=(), dashed=label in ("offered", "size"))
        for index, (label, _) in enumerate(lines)
    )
    views = (ChartView(name="", lines=drawn),)
    return InteractiveChart(
        name=name, title=title, kind=AxisKind.TIME, unit=scale.unit, described=f"{title}, as it happens.", views=views
    )


_COLOURS = {"p50": 1, "p95": 2, "p99": 3, "offered": 3, "successful": 1, "all steps": 4}
