"""The trend of main as a pandas frame: a row for each figure, phase and stored run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING

from velro_gate.analysis.summaries.frames import MOMENT, NUMBER, TEXT, Columns, frame_of, moment
from velro_gate.model.charts.trend import Mark, TrendGroup

if TYPE_CHECKING:
    from pandas import DataFrame

TREND: Columns = MappingProxyType(
    {"scenario": TEXT, "profile": TEXT, "environment": TEXT, "run": TEXT, "started_at": MOMENT, "revision": TEXT}
    | {"phase": TEXT, "step": TEXT, "metric": TEXT, "value": NUMBER, "quarantined": TEXT, "events": TEXT}
)
"""environment: fingerprint of the machine; value: in base units; quarantined: why the run is not a baseline, empty if it
is one; events: what began with the run, empty if nothing did."""


def trend_frame(groups: Iterable[TrendGroup], words: Callable[[Mark], str]) -> DataFrame:
    """Each figure of each stored run that holds it, oldest first: the columns ``TREND``.

    words: what an event is called.
    """
    rows = [
        (
            *(group.scenario, group.profile, group.environment, point.run, moment(point.started_at), point.revision),
            *(series.phase, series.step, series.metric, point.value, point.quarantined, "; ".join(map(words, point.marks))),
        )
        for group in groups
        for series in group.series
        for point in series.points
        if point.value is not None
    ]
    return frame_of(rows, TREND)
