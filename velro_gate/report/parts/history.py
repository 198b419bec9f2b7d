"""Figures of main over its stored runs in words: the newest and the range of each, and what happened at which run."""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate import units
from velro_gate.model.charts.trend import Mark, TrendEvent, TrendSeries
from velro_gate.report.sentences.baselines import outlook_sentence
from velro_gate.report.text import figures
from velro_gate.report.text.bars import BLOCKS, bars
from velro_gate.report.text.words import subject

NO_SERIES = (
    "no accepted run holds one of these figures ('velro-gate baseline list' shows what is stored, and why it is not accepted)"
)
"""What is said where the stored runs of a plan show nothing."""

MOST_RUNS = 200
"""The newest runs that are shown: a page is to stay small, however long a history is."""


def sparkline(series: TrendSeries, most: int = 40) -> str:
    """The last accepted values as block characters, from the least to the greatest; all in the middle where they are equal."""
    values = [point.value for point in series.accepted if point.value is not None][-most:]
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return BLOCKS[3] * len(values)
    return bars(values, low, high)


def mark_words(mark: Mark) -> str:
    """``+20 %, not accepted``, ``release v1.4.0``."""
    match mark.event:
        case TrendEvent.RELEASE:
            return f"release {mark.name}"
        case TrendEvent.ACCEPTED:
            return f"{units.format_change(mark.change)}, accepted" if mark.change is not None else "change accepted"
        case TrendEvent.BETTER:
            return f"{units.format_change(mark.change)}, better"
        case TrendEvent.WORSE:
            return f"{units.format_change(mark.change)}, not accepted"


def series_title(series: TrendSeries) -> str:
    """``p95 of all requests``."""
    return subject(series.metric, series.step)


def newest_words(series: TrendSeries) -> str:
    """The newest accepted value; ``not measured`` where there is none."""
    known = series.accepted
    return figures.figure(series.metric, known[-1].value if known else None)


def span_words(series: TrendSeries) -> str:
    """The least and the greatest accepted value; one where they do not differ."""
    values = [point.value for point in series.accepted if point.value is not None]
    if not values:
        return figures.MISSING
    low, high = (figures.figure(series.metric, value) for value in (min(values), max(values)))
    return low if low == high else units.join_range(low, high)


def forecast_lines(series: Sequence[TrendSeries]) -> list[str]:
    """Which figure reaches which limit in about how many merges; none where no slope is shown."""
    return [outlook_sentence(found) for one in series for found in one.outlooks]


def event_lines(series: Sequence[TrendSeries]) -> list[str]:
    """What happened at which run, each event of a figure once, oldest first; releases once for all figures."""
    found: dict[tuple[str, str], None] = {}
    for one in series:
        for point in one.points:
            for mark in point.marks:
                about = "" if mark.event is TrendEvent.RELEASE else f"{series_title(one)} in {one.phase}: "
                at = f"{point.started_at[:10]} {point.revision[:7] or 'unknown revision'}"
                found[point.started_at, f"{at}: {about}{mark_words(mark)}"] = None
    return [words for _, words in sorted(found)]
