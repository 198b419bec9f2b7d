"""Rates of several rules against noise, as an SVG of two panels: without a change, and with one.

Geometry is worked out here; the template places it. Colours come with dashes, so that it reads in print,
too. Coordinates are SVG user units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from velro_gate import units
from velro_gate.evaluation.results import CurvePoint
from velro_gate.report.text.templating import template

WIDTH, HEIGHT = 960.0, 380.0
TOP, BOTTOM, LEFT, GAP = 64.0, 92.0, 56.0, 56.0
PANEL = (WIDTH - LEFT - GAP - 28.0) / 2.0
"""Width of each of the two panels, by their noise axes."""
INNER = HEIGHT - TOP - BOTTOM
"""Height of a panel."""

STYLES = (("#0b6e4f", ""), ("#b3261e", "6 4"), ("#7a5195", "2 3"), ("#b26a00", "9 3 2 3"))
"""Colour and dashes of the rules, in their order; ours first."""

LETTER, LINE = 7.0, 58.0
"""Width of a letter of the legend at most, and of what stands before and after a label."""

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where lines are drawn across."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One rule in one panel: the path and its points."""

    colour: str
    dashes: str
    path: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePanel:
    """One panel."""

    title: str
    x: float
    middle: float
    right: float
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]
    """(x, label) of each noise."""
    levels: tuple[tuple[float, str], ...]
    """(y, label) of each rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLegend:
    """What a curve stands for."""

    label: str
    colour: str
    dashes: str
    x: float


def curves_svg(points: Sequence[CurvePoint], note: str) -> str:
    """The picture of these points, one panel for each change, small noise left. note: how they were made, in a line below.

    Raises:
        ValueError: there are no points, or more rules than styles.
    """
    if not points or len(points[0].rates) > len(STYLES):
        raise ValueError("a picture takes points, of at most four rules")
    rules = list(points[0].rates)
    changes = sorted({point.worse for point in points})
    panels = tuple(
        _panel([point for point in points if point.worse == worse], rules, worse, LEFT + number * (PANEL + GAP))
        for number, worse in enumerate(changes)
    )
    starts = accumulate((LINE + LETTER * len(rule) for rule in rules), initial=LEFT)
    legend = tuple(
        CurveLegend(label=rule, colour=colour, dashes=dashes, x=x)
        for rule, (colour, dashes), x in zip(rules, STYLES, starts, strict=False)
    )
    return template("curves.svg.j2").render(
        width=WIDTH, height=HEIGHT, top=TOP, bottom=TOP + INNER, left=LEFT, panels=panels, legend=legend, note=note
    )


def _panel(points: Sequence[CurvePoint], rules: Sequence[str], worse: float, x: float) -> CurvePanel:
    ordered = sorted(points, key=lambda point: point.noise)
    widest = ordered[-1].noise

    def place(noise: float, rate: float) -> tuple[float, float]:
        """Noise and rate as coordinates of the picture."""
        return round(x + PANEL * noise / widest, 1), round(_y(rate), 1)

    drawn = []
    for rule, (colour, dashes) in zip(rules, STYLES, strict=False):
        at = tuple(place(point.noise, point.rates[rule]) for point in ordered)
        path = "M" + "L".join(f"{across} {down}" for across, down in at)
        drawn.append(Curve(colour=colour, dashes=dashes, path=path, points=at))
    said = f"{units.format_change(worse)} of p95: found" if worse else "Nothing changed: false alarms"
    return CurvePanel(
        title=said,
        x=x,
        middle=x + PANEL / 2.0,
        right=x + PANEL,
        curves=tuple(drawn),
        ticks=tuple((place(point.noise, 0.0)[0], units.trim_zeros(units.format_share(point.noise))) for point in ordered),
        levels=tuple((_y(share), units.trim_zeros(units.format_share(share))) for share in _SHARES),
    )


def _y(rate: float) -> float:
    return TOP + INNER * (1.0 - rate)
