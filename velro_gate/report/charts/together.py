"""All charts of a page as one document for its script: JSON that cannot end the script element it stands in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from velro_gate.model.charts.timeline import ChartData
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.charts import aside
from velro_gate.report.charts.over_time import MISSING, OverTime
from velro_gate.report.charts.placed import broken_stretches, held_back_stretches, placed, stretches
from velro_gate.report.charts.shapes import ChartLevel, ChartSet, ChartView, InteractiveChart, MarkedStretch

_HOSTILE = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'\u2028\u2029"}


def chart_set(record: RunRecord, verdict: Verdict, data: ChartData) -> ChartSet:
    """Every chart for which there are figures, and why the others are left out."""
    phases = placed(record, data.timeline)
    if not phases:
        # A search for the capacity is a record without a course.
        found = (aside.capacity_chart(data), aside.trend_chart(record, data))
        return ChartSet(charts=tuple(chart for chart in found if chart is not None))
    made = list(OverTime(record=record, verdict=verdict, phases=phases, timeline=data.timeline).charts())
    others = (aside.spread(record, verdict, data), aside.pairs(verdict, data), aside.trend_chart(record, data))
    drawn = [chart for chart in made if isinstance(chart, InteractiveChart)]
    return ChartSet(
        charts=(*drawn[:2], *(chart for chart in others[:2] if chart is not None), *drawn[2:], *filter(None, others[2:])),
        phases=stretches(phases),
        broken=broken_stretches(phases),
        held_back=held_back_stretches(phases),
        missing=tuple(MISSING[name] for name in made if isinstance(name, str)),
    )


def encoded(charts: ChartSet) -> str:
    """The charts as JSON that is safe inside of a script element: no character in it means anything to HTML."""
    places: dict[tuple[float, ...], int] = {}
    document = {
        "phases": [{"name": one.name, "ramp": one.ramp, "start": one.start, "end": one.end} for one in charts.phases],
        "broken": _marked(charts.broken),
        "held": _marked(charts.held_back),
        "charts": [_chart(chart, places) for chart in charts.charts],
        # Filled while the charts are written: most lines share their places.
        "places": places,
    }
    document["places"] = [list(place) for place in places]
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_HOSTILE)


def _marked(stretches: Sequence[MarkedStretch]) -> list[dict[str, Any]]:
    return [{"name": one.name, "start": one.start, "end": one.end} for one in stretches]


def _chart(chart: InteractiveChart, places: dict[tuple[float, ...], int]) -> dict[str, Any]:
    return {
        "name": chart.name,
        "title": chart.title,
        "kind": chart.kind.value,
        "unit": chart.unit,
        "top": chart.top,
        "choose": chart.choose,
        "views": [_view(view, places) for view in chart.views],
    }


def _view(view: ChartView, places: dict[tuple[float, ...], int]) -> dict[str, Any]:
    return {
        "name": view.name,
        "unit": view.unit,
        "across": view.across,
        "lines": [
            {
                "name": line.name,
                "colour": line.colour,
                "x": places.setdefault(line.x, len(places)),
                "y": line.y,
                "dashed": line.dashed,
                # A single reading makes no line.
                "dots": line.dots or len(line.known) == 1,
            }
            for line in view.lines
        ],
        "limits": _levels(view.limits),
        "bands": _levels(view.bands),
        "marks": view.marks,
        "labels": view.labels,
    }


def _levels(levels: Sequence[ChartLevel]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "start": one.start, "end": one.end, "value": one.value, "low": one.low, "high": one.high}
        for one in levels
    ]
