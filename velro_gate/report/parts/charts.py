"""Charts as geometry: everything a template needs, worked out here, so that the template only places it.

A chart is a row of panels, one for each phase, that share one vertical scale: phases of two minutes and of half an hour are
equally readable, and the step from one to the next is seen at a glance. On a narrow screen the panels stand below one another.
So a panel has no size of its own: curves are stretched to the width available, and labels are text of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from velro_gate import units
from velro_gate.model.record import ExperimentSummary, PhaseSummary, RunRecord, Window
from velro_gate.model.scenario import ALL_STEPS, Requirement
from velro_gate.report.parts.measured import failure_label
from velro_gate.report.text.escape import visible

WIDTH = 1000.0
"""Units across a panel, whatever its width on a screen."""
HEIGHT = 100.0
"""Units from the top of a panel to its bottom: a coordinate is also the percentage at which a label stands."""
MOST_POINTS = 120
"""Points a line: more than a panel has room for only makes the page heavy."""
MOST_PANELS = 6
"""Phases next to each other in one picture: more become too narrow to read."""
_FAILURE_COLOURS = ("failure-1", "failure-2", "failure-3", "failure-4")
"""The CSS classes of the kinds of failure that have a curve, the most frequent first; the whole rate holds them all."""

Value = Callable[[Window], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridLine:
    """A line of the grid with its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLine:
    """One curve; path is empty when nothing was measured."""

    kind: str
    """The CSS class that colours it."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A stretch in which something was broken on purpose."""

    x: float
    width: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One phase."""

    name: str
    describe: str
    """What it shows, in words, for those who cannot see it."""
    seconds: str
    """How much time it shows, from 0."""
    lines: tuple[ChartLine, ...]
    limit: float | None
    """Where the limit is drawn; None: there is none, or it is beyond the scale."""
    empty: bool
    bands: tuple[Band, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What a colour means."""

    kind: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One row of panels."""

    title: str
    note: str
    ticks: tuple[GridLine, ...]
    panels: tuple[Panel, ...]
    legend: tuple[Legend, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a chart is about."""

    title: str
    curves: tuple[tuple[str, str, Value], ...]
    limits: tuple[str, ...]
    """The metrics whose requirement is drawn."""
    label: Callable[[float], str]
    clip: bool = False
    """Whether rare peaks may leave the scale."""


def _error_share(window: Window) -> float | None:
    answered = window.ok + window.failed
    return window.failed / answered if answered else None


def _share_of(failure: str) -> Value:
    def share(window: Window) -> float | None:
        """Of a window's responses; None for a window without responses."""
        answered = window.ok + window.failed
        return window.errors.get(failure, 0) / answered if answered else None

    return share


_ERRORS = _Kind(
    title="Errors",
    curves=(("errors", "error rate", _error_share),),
    limits=("error_rate",),
    label=units.format_share,
)
_KINDS = (
    _Kind(
        title="Successful responses per second",
        curves=(("rate", "rate", lambda window: window.rate),),
        limits=("sustained_throughput", "throughput"),
        label=units.format_rate,
    ),
    _Kind(
        title="Response time",
        curves=(
            ("p99", "p99", lambda window: window.p99),
            ("p95", "p95", lambda window: window.p95),
            ("p50", "p50", lambda window: window.p50),
        ),
        limits=("p95",),
        label=units.format_seconds,
        clip=True,
    ),
    _ERRORS,
    _Kind(
        title="Virtual users connected",
        curves=(("users", "users", lambda window: float(window.connected)),),
        limits=(),
        label=units.format_count,
    ),
)


def charts(record: RunRecord) -> tuple[Chart, ...]:
    """Rate, response time, errors and users over time, in rows of at most six phases; none without any window."""
    phases = [phase for phase in record.phases if phase.windows]
    kinds = [_by_kind(phases) if kind is _ERRORS else kind for kind in _KINDS]
    chunks = [phases[start : start + MOST_PANELS] for start in range(0, len(phases), MOST_PANELS)]
    return tuple(_chart(kind, chunk, record) for chunk in chunks for kind in kinds)


def _by_kind(phases: Sequence[PhaseSummary]) -> _Kind:
    """Errors with a curve for each of the most frequent kinds; a single kind is named in place of the whole rate."""
    counts = _added([window.errors for phase in phases for window in phase.windows])
    # The sum is what an unknown kind of an earlier version's record still has.
    named = sorted(counts, key=lambda kind: -counts[kind])
    if len(named) == 1:
        return replace(_ERRORS, curves=(("errors", f"error rate ({visible(failure_label(named[0]))})", _error_share),))
    lines = zip(_FAILURE_COLOURS, named, strict=False)
    return replace(
        _ERRORS, curves=(*_ERRORS.curves, *((style, visible(failure_label(kind)), _share_of(kind)) for style, kind in lines))
    )


def _chart(kind: _Kind, phases: Sequence[PhaseSummary], record: RunRecord) -> Chart:
    thinned = {phase.name: thin(phase.windows) for phase in phases}
    limits = {phase.name: _limit(kind, record, phase.name) for phase in phases}
    top = _top(kind, list(thinned.values()), [limit for limit in limits.values() if limit is not None])
    # One scale for all phases of a chart: panels next to each other are compared by eye.
    ticks = units.round_ticks(top)
    scale = max(top, ticks[-1])
    panels = tuple(_panel(kind, phase, thinned[phase.name], limits[phase.name], scale) for phase in phases)
    legend = [Legend(kind=style, label=label) for style, label, _ in kind.curves]
    if any(panel.limit is not None for panel in panels):
        legend.append(Legend(kind="limit", label="limit"))
    return Chart(
        title=kind.title,
        note="peaks of p99 may leave the scale" if kind.clip else "",
        ticks=tuple(_tick(value, scale, kind) for value in ticks),
        panels=panels,
        legend=tuple(legend),
    )


def _tick(value: float, scale: float, kind: _Kind) -> GridLine:
    return GridLine(at=_y(value, scale), label=units.trim_zeros(kind.label(value)) if value else "0")


def thin(windows: Sequence[Window]) -> tuple[Window, ...]:
    """At most ``MOST_POINTS`` windows: neighbours are merged, rates averaged, the worst latency kept, so no spike is lost."""
    size = -(-len(windows) // MOST_POINTS)
    if size <= 1:
        return tuple(windows)
    return tuple(_merged(windows[start : start + size]) for start in range(0, len(windows), size))


def _merged(windows: Sequence[Window]) -> Window:
    def worst(values: Sequence[float | None]) -> float | None:
        """The highest that is known."""
        return max((value for value in values if value is not None), default=None)

    rates = [window.hit_rate for window in windows if window.hit_rate is not None]
    return Window(
        start=windows[0].start,
        seconds=sum(window.seconds for window in windows),
        sent=sum(window.sent for window in windows),
        ok=sum(window.ok for window in windows),
        failed=sum(window.failed for window in windows),
        errors=_added([window.errors for window in windows]),
        connected=windows[-1].connected,
        # Quantiles of windows cannot be put together exactly; the worst of them hides no peak.
        p50=worst([window.p50 for window in windows]),
        p95=worst([window.p95 for window in windows]),
        p99=worst([window.p99 for window in windows]),
        hit_rate=sum(rates) / len(rates) if rates else None,
        lateness_p99=worst([window.lateness_p99 for window in windows]),
    )


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    kinds = dict.fromkeys(kind for each in counts for kind in each)
    return {kind: sum(each.get(kind, 0) for each in counts) for kind in kinds}


def _limit(kind: _Kind, record: RunRecord, phase: str) -> float | None:
    wanted: tuple[Requirement, ...] = next((one.requirements for one in record.plan.phases if one.name == phase), ())
    for metric in kind.limits:
        for requirement in wanted:
            if requirement.metric == metric and requirement.step == ALL_STEPS:
                return requirement.target
    return None


def _top(kind: _Kind, series: Sequence[Sequence[Window]], limits: Sequence[float]) -> float:
    """The end of the scale: all values and limits, or without the rarest peaks where a chart may be clipped."""
    values = sorted(
        value for windows in series for window in windows for _, _, read in kind.curves if (value := read(window)) is not None
    )
    if not values:
        return max(limits, default=1.0) * 1.1
    highest = values[int((len(values) - 1) * 0.98)] if kind.clip else values[-1]
    return max(highest, *limits, 1e-9) * 1.08


def _panel(kind: _Kind, phase: PhaseSummary, windows: Sequence[Window], limit: float | None, scale: float) -> Panel:
    start, end = windows[0].start, windows[-1].start + windows[-1].seconds

    def across(window: Window) -> float:
        """The middle of a window."""
        return (window.start + window.seconds / 2.0 - start) / (end - start) * WIDTH

    lines = tuple(
        ChartLine(kind=style, path=_path([(across(window), read(window)) for window in windows], scale))
        for style, _, read in kind.curves
    )
    name, seconds = visible(phase.name), units.format_whole_duration(end - start)
    return Panel(
        name=name,
        describe=f"{kind.title} in {name}, over {seconds}",
        seconds=seconds,
        lines=lines,
        limit=None if limit is None or limit > scale else _y(limit, scale),
        empty=not any(line.path for line in lines),
        bands=tuple(_band(each, start, end) for each in phase.experiments if each.begun < end),
    )


def _band(experiment: ExperimentSummary, start: float, end: float) -> Band:
    """Of an experiment that was not undone, all that follows."""
    last = end if experiment.ended is None else min(experiment.ended, end)
    scale = WIDTH / (end - start)
    begin = max(experiment.begun, start)
    return Band(
        x=units.round_coordinate((begin - start) * scale),
        width=units.round_coordinate(max(last - begin, 0.0) * scale),
        name=visible(experiment.name),
    )


def _path(points: Sequence[tuple[float, float | None]], scale: float) -> str:
    """An SVG path that breaks where nothing was measured; a lone point becomes a short dash."""
    parts: list[str] = []
    pen_down = False
    for index, (x, value) in enumerate(points):
        if value is None:
            pen_down = False
            continue
        y = _y(value, scale)
        parts.append(f"{'L' if pen_down else 'M'}{units.round_coordinate(x)} {y}")
        if not pen_down and (index + 1 == len(points) or points[index + 1][1] is None):
            parts.append("h6")
        pen_down = True
    return "".join(parts)


def _y(value: float, scale: float) -> float:
    """The height of a value; the edge of the panel cuts what lies above the scale."""
    return units.round_coordinate(HEIGHT * (1.0 - min(value / scale, 1.5)))
