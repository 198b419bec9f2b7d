"""The trend of main as one HTML page, and as a table for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.analysis.stored.trend import trend_frame
from velro_gate.model.charts.trend import TrendGroup, TrendSeries
from velro_gate.model.metrics import METRICS, MetricKind
from velro_gate.report.parts.history import (
    MOST_RUNS,
    NO_SERIES,
    event_lines,
    forecast_lines,
    mark_words,
    newest_words,
    series_title,
    span_words,
)
from velro_gate.report.text import figures
from velro_gate.report.text.csv_text import frame_csv
from velro_gate.report.text.templating import rendered

WIDTH, HEIGHT = 1000.0, 100.0
"""Units across a panel and from its top to its bottom: a coordinate is also the percentage at which a label stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One figure of one phase."""

    name: str
    newest: str
    span: str
    describe: str
    first: str
    last: str
    ticks: tuple[_Tick, ...]
    line: str
    dots: str
    left_out: str
    marks: tuple[tuple[str, str], ...]
    """Kind of event and its vertical line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """The panels of one figure, a phase each."""

    title: str
    panels: tuple[_Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    title: str
    runner: str
    environment: str
    runs: str
    rows: tuple[_Row, ...]
    events: tuple[str, ...]
    forecasts: tuple[str, ...]


def trend_html(groups: Sequence[TrendGroup]) -> str:
    """The page; it says so where there is nothing stored."""
    return rendered(
        "trend.html.j2",
        {"groups": [_group(one) for one in groups], "most": units.format_count(MOST_RUNS), "nothing": NO_SERIES},
    )


def trend_csv(groups: Sequence[TrendGroup]) -> str:
    """One row for each figure, phase and stored run that holds it, oldest first."""
    return frame_csv(trend_frame(groups, mark_words))


def _group(group: TrendGroup) -> _Group:
    titles = list(dict.fromkeys(map(series_title, group.series)))
    runs = {point.run for series in group.series for point in series.points}
    return _Group(
        title=f"{group.scenario}/{group.profile}",
        runner=group.runner,
        environment=group.environment,
        runs=f"{len(runs)} run{'' if len(runs) == 1 else 's'}",
        rows=tuple(
            _Row(title=title, panels=tuple(_panel(one) for one in group.series if series_title(one) == title))
            for title in titles
        ),
        events=tuple(event_lines(group.series)),
        forecasts=tuple(forecast_lines(group.series)),
    )


def _panel(series: TrendSeries) -> _Panel:
    values = [point.value for point in series.accepted if point.value is not None]
    least, most = min(values), max(values)
    low, high = _ends(series.metric, least, most)
    count = len(series.points)

    def across(index: int) -> float:
        """The middle of a run's column."""
        return units.round_coordinate((index + 0.5) / count * WIDTH)

    def up(value: float) -> float:
        """Down from the top, as SVG counts."""
        return units.round_coordinate(HEIGHT * (1.0 - (value - low) / (high - low)))

    placed = [(across(index), point) for index, point in enumerate(series.points)]
    kept = [(x, up(point.value)) for x, point in placed if point.value is not None and not point.quarantined]
    # Quarantined runs are drawn as dots off the line: they were measured, but no comparison uses them.
    odd = [(x, up(point.value)) for x, point in placed if point.value is not None and point.quarantined]
    title = series_title(series)
    return _Panel(
        name=series.phase,
        newest=newest_words(series),
        span=span_words(series),
        describe=f"{title} in {series.phase} over {count} runs: {span_words(series)}, newest {newest_words(series)}",
        first=series.points[0].started_at[:10],
        last=series.points[-1].started_at[:10],
        ticks=tuple(_Tick(at=up(value), label=_label(series.metric, value)) for value in (low, (low + high) / 2.0, high)),
        line="".join(f"{'L' if index else 'M'}{x} {y}" for index, (x, y) in enumerate(kept)),
        dots=_dots(kept),
        left_out=_dots(odd),
        marks=tuple((mark.event.value, f"M{x} 0V100") for x, point in placed for mark in point.marks),
    )


def _ends(metric: str, least: float, most: float) -> tuple[float, float]:
    """The ends of an axis: a tenth beyond the values on either side, so that noise does not look like a cliff.

    A share never lies above 1. Where the ends would have one label, the axis begins at zero.
    """
    low, high = units.round_down(least - abs(least) * 0.1), units.round_up(most + abs(most) * 0.1 or 1.0)
    if METRICS[metric].kind is MetricKind.SHARE and most <= 1.0:
        high = min(high, 1.0)
    if _label(metric, low) == _label(metric, high) and least >= 0.0:
        low, high = 0.0, units.round_up(2.0 * most or 1.0)
    return low, high


def _label(metric: str, value: float) -> str:
    return units.trim_zeros(figures.figure(metric, value))


def _dots(places: Sequence[tuple[float, float]]) -> str:
    # A line of no length is drawn as a round dot, however the panel is stretched.
    return "".join(f"M{x} {y}h0" for x, y in places)
