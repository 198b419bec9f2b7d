"""What a chart is made of. Values are in the unit that is shown, times in milliseconds since the start of the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from velro_gate import units
from velro_gate.model.charts.timeline import Values
from velro_gate.model.metrics import METRICS, MetricKind

MOST_POINTS = 1_200
"""Points a line: more than a screen has columns for only makes the page heavy."""
_DIGITS = 4
"""Significant digits of a point: more cannot be seen, and make the page heavy."""


class AxisKind(Enum):
    """What the horizontal axis of a chart is."""

    TIME = "time"
    SPREAD = "spread"  # response times on a log scale against the share of responses that were faster
    PAIRS = "pairs"  # the pairs of a duet, base and head of each
    TREND = "trend"  # the runs of main and this one
    CURVE = "curve"  # any other figure


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayScale:
    """How values in base units are shown: times ``factor``, with ``unit`` behind them; ``words`` formats them in a sentence."""

    unit: str
    factor: float
    words: Callable[[float], str]

    def shown(self, values: Sequence[float | None]) -> Values:
        """The values as a chart holds them: no more digits than a screen can show, and nothing that is not finite."""
        scaled = (None if value is None else value * self.factor for value in values)
        return tuple(None if at is None or not math.isfinite(at) else units.significant(at, _DIGITS) for at in scaled)


MILLISECONDS = DisplayScale(unit="ms", factor=1e3, words=units.format_seconds)
RATE = DisplayScale(unit="/s", factor=1.0, words=units.format_rate)
SHARE = DisplayScale(unit="%", factor=100.0, words=units.format_share)
COUNT = DisplayScale(unit="", factor=1.0, words=units.format_count)
BYTES = DisplayScale(unit="MiB", factor=2.0**-20, words=units.format_bytes)
CORES = DisplayScale(unit="cores", factor=1.0, words=units.format_count)
_OF_KIND = {
    MetricKind.SECONDS: MILLISECONDS,
    MetricKind.PER_SECOND: RATE,
    MetricKind.SHARE: SHARE,
    MetricKind.BYTES: BYTES,
}


def scale_of(metric: str) -> DisplayScale:
    """How values of a metric are shown."""
    return _OF_KIND.get(METRICS[metric].kind, COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    colour: int
    """Number of one of the page's colours."""
    x: tuple[float, ...]
    y: Values
    """Of the same length as ``x``."""
    dashed: bool = False
    dots: bool = False
    """Points that no line joins."""

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"line {self.name}: {len(self.x)} places and {len(self.y)} values")

    @property
    def known(self) -> list[float]:
        """The values that were measured."""
        return [value for value in self.y if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLevel:
    """A level over a stretch: a limit, or the baselines' figure with its band."""

    name: str
    start: float
    end: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """One of the things that a chart can show, such as one step."""

    name: str
    lines: tuple[Line, ...]
    limits: tuple[ChartLevel, ...] = ()
    """Limits of requirements."""
    bands: tuple[ChartLevel, ...] = ()
    """What the baselines span."""
    marks: tuple[tuple[float, str], ...] = ()
    """Places on the horizontal axis, with what is there."""
    labels: tuple[str, ...] = ()
    """Of each place on an axis that counts."""
    unit: str = ""
    """Where it differs from that of the chart."""
    across: str = ""
    """What the horizontal axis is, where that is not plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractiveChart:
    """One chart."""

    name: str
    title: str
    kind: AxisKind
    unit: str
    described: str
    """What it shows, in words, for readers who cannot see it."""
    views: tuple[ChartView, ...]
    choose: str = ""
    """What the views are a choice of, such as ``Step``."""
    note: str = ""
    top: float | None = None
    """End of the scale, where peaks may leave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A phase on the time axis: its ramp begins at ``ramp``; measured from ``start`` to ``end``."""

    name: str
    ramp: float
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedStretch:
    """A stretch in which something was broken on purpose, or in which a bottleneck was found."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSet:
    """All charts of a page, and what lies on their common time axis."""

    charts: tuple[InteractiveChart, ...]
    phases: tuple[Stretch, ...] = ()
    broken: tuple[MarkedStretch, ...] = ()
    held_back: tuple[MarkedStretch, ...] = ()
    missing: tuple[str, ...] = field(default=())
    """What has no chart, with the reason."""


def thinned(
    x: Sequence[float], y: Sequence[float | None], put_together: Callable[[list[float]], float]
) -> tuple[tuple[float, ...], Values]:
    """At most ``MOST_POINTS`` of the points: neighbours are put together, and a gap stays one."""
    size = -(-len(x) // MOST_POINTS)
    if size <= 1:
        return tuple(x), tuple(y)
    places, values = [], []
    for start in range(0, len(x), size):
        known = [value for value in y[start : start + size] if value is not None]
        places.append(x[min(start + size // 2, len(x) - 1)])
        values.append(put_together(known) if known else None)
    return tuple(places), tuple(values)


def mean(values: list[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)


def spans_in_words(lines: Sequence[Line], scale: DisplayScale) -> str:
    """``good 980 to 1,103/s; offered 1,100/s``: the least and the greatest value of each line."""
    said = []
    for line in lines:
        known = line.known
        if known:
            low, high = (scale.words(value / scale.factor) for value in (min(known), max(known)))
            said.append(f"{line.name} {low if low == high else units.join_range(low, high)}")
    return "; ".join(said)
