"""Charts that have an axis of their own: distributions of response times, pairs of a duet, trials of a search, runs of main."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from velro_gate import units
from velro_gate.model.capacity import CapacityResult, LoadUnit, Scalability
from velro_gate.model.charts.timeline import RANKS, ChartData
from velro_gate.model.duet import Pair
from velro_gate.model.metrics import LATENCY_QUANTILES, METRICS
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Comparison, Verdict
from velro_gate.report.charts.shapes import (
    MILLISECONDS,
    RATE,
    SHARE,
    AxisKind,
    ChartView,
    InteractiveChart,
    Line,
    scale_of,
    spans_in_words,
)
from velro_gate.report.parts.rows import worst_comparisons
from velro_gate.report.text import figures
from velro_gate.report.text.escape import visible
from velro_gate.report.text.phrase import plain

MOST_VIEWS = 60
"""Figures that one chart offers: each is drawn into the page, chosen or not."""
MOST_RUNS = 100
"""The newest accepted runs that a chart of the history shows."""
_LONGEST = 1e9
"""Seconds: no response takes longer, whatever a file says."""
_CURVE = 60
"""Pieces of a fitted curve."""
TREND_METRICS = ("p95", "throughput", "hit_rate", "error_rate", "capacity", "capacity_users")


def spread(record: RunRecord, verdict: Verdict, data: ChartData) -> InteractiveChart | None:
    """Of each phase and step the share of responses that were faster, with base build or baselines; None: none succeeded."""
    views = [
        view
        for phase in record.phases
        for step in phase.steps
        if (view := _spread_view(phase, step.step, verdict, data)) is not None
    ]
    if not views:
        return None
    # All steps of each phase before the single steps, and the phase of most users first of all.
    most = max(record.phases, key=lambda phase: phase.users).name
    views.sort(key=lambda view: (view.name != visible(most), " · " in view.name))
    first = views[0]
    this = first.lines[0]
    middle = (
        ""
        if this.dots
        else f" Half of the responses of this run took at most {_at(this, 50.0)}, 99 % at most {_at(this, 99.0)}."
    )
    return InteractiveChart(
        name="spread",
        title="Distribution of response times",
        kind=AxisKind.SPREAD,
        unit=MILLISECONDS.unit,
        described=f"Share of the responses in {first.name} that were at least as fast as a response time.{middle}",
        views=tuple(views[:MOST_VIEWS]),
        choose="Phase and step",
        note="upwards: % of the responses that were at least as fast",
    )


def _at(line: Line, percent: float) -> str:
    near = min(range(len(line.x)), key=lambda index: abs((line.y[index] or 0.0) - percent))
    return units.format_seconds(line.x[near] / MILLISECONDS.factor)


def _spread_view(phase: PhaseSummary, step: str, verdict: Verdict, data: ChartData) -> ChartView | None:
    ran = None if data.timeline is None else data.timeline.phase(phase.name)
    times = () if ran is None else ran.spread.get(step, ())
    lines = []
    if len(times) == len(RANKS):
        lines.append(_spread_line("this run", 1, dict(zip(RANKS, times, strict=True)), dots=False))
    else:
        known = {rank: phase.measurement(name, step) for name, rank in LATENCY_QUANTILES.items()}
        lines.append(
            _spread_line("this run", 1, {rank: found.value for rank, found in known.items() if found is not None}, dots=True)
        )
    before = {
        rank: row.baseline
        for row in verdict.comparisons
        if (row.phase, row.step) == (phase.name, step) and row.baseline is not None
        for name, rank in LATENCY_QUANTILES.items()
        if row.metric == name
    }
    lines.append(_spread_line("base build" if verdict.duet is not None else "baselines", 3, before, dots=True))
    drawn = tuple(line for line in lines if line.x)
    if not drawn or drawn[0].name != "this run":
        return None
    name = visible(phase.name) if step == ALL_STEPS else f"{visible(phase.name)} · {visible(step)}"
    return ChartView(name=name, lines=drawn)


def _spread_line(name: str, colour: int, times: Mapping[float, float], *, dots: bool) -> Line:
    """Only positive times have a place on a log scale."""
    found = sorted((rank, time) for rank, time in times.items() if 0.0 < time < _LONGEST)
    return Line(
        name=name,
        colour=colour,
        x=tuple(value or 0.0 for value in MILLISECONDS.shown([time for _, time in found])),
        y=SHARE.shown([rank for rank, _ in found]),
        dots=dots,
    )


def pairs(verdict: Verdict, data: ChartData) -> InteractiveChart | None:
    """What each pair of blocks showed, the worst figure first; None: nothing was measured in pairs."""
    rows = [*worst_comparisons(verdict.comparisons), *(row for row in verdict.comparisons if row.primary)]
    views: dict[tuple[str, str, str], ChartView] = {}
    for row in rows:
        key = (row.phase, row.step, row.metric)
        view = None if key in views else _pairs_view(row, data.pairs)
        if view is not None and len(views) < MOST_VIEWS:
            views[key] = view
    if not views:
        return None
    first = next(iter(views.values()))
    scale = scale_of(next(iter(views))[2])
    return InteractiveChart(
        name="pairs",
        title="Pairs of blocks, base build and head build",
        kind=AxisKind.PAIRS,
        unit=scale.unit,
        described=f"{first.name} in each pair of blocks: {spans_in_words(first.lines, scale)}.",
        views=tuple(views.values()),
        choose="Figure",
    )


def _pairs_view(row: Comparison, measured: Sequence[Pair]) -> ChartView | None:
    scale = scale_of(row.metric)

    def value(pair: Pair, base: bool) -> float | None:
        """Of one build in one pair."""
        phase = (pair.base if base else pair.head).phase(row.phase)
        found = None if phase is None else phase.measurement(row.metric, row.step)
        return None if found is None else found.value

    places = tuple(float(number + 1) for number in range(len(measured)))
    lines = tuple(
        Line(name=name, colour=colour, x=places, y=scale.shown([value(pair, base) for pair in measured]), dots=True)
        for name, colour, base in (("base build", 3, True), ("head build", 1, False))
    )
    if not all(line.known for line in lines):
        return None
    labels = tuple(f"pair {number + 1}, {pair.first.value} first" for number, pair in enumerate(measured))
    return ChartView(name=_named(row.phase, row.metric, row.step), lines=lines, labels=labels, unit=scale.unit)


def capacity_chart(data: ChartData) -> InteractiveChart | None:
    """What a search for the capacity tried, with the fitted law of scalability; None: nothing was searched."""
    found = data.capacity
    if found is None or not found.trials:
        return None
    views = [_tried(found), *([_law(found, found.scalability)] if found.scalability is not None else [])]
    best = max(trial.throughput for trial in found.trials)
    return InteractiveChart(
        name="capacity",
        title="Throughput of the trials",
        kind=AxisKind.CURVE,
        unit=RATE.unit,
        described=f"Successful responses per second in {units.format_count(len(found.trials))} trials, "
        f"{units.format_rate(best)} at most.",
        views=tuple(views),
        choose="By",
    )


def _tried(found: CapacityResult) -> ChartView:
    groups = (
        ("requirements met", 1, [trial for trial in found.trials if trial.score <= 0.0]),
        ("missed", 4, [trial for trial in found.trials if trial.score > 0.0]),
    )
    marks = [] if found.capacity is None else [(found.capacity.value, "capacity")]
    return ChartView(
        name="load",
        lines=tuple(
            _points(name, colour, [(trial.load, trial.throughput) for trial in trials])
            for name, colour, trials in groups
            if trials
        ),
        marks=(*marks, (found.wanted, "the plan's load")),
        across="offered requests per second" if found.unit is LoadUnit.RATE else "users",
    )


def _law(found: CapacityResult, law: Scalability) -> ChartView:
    known = [(trial.concurrency, trial.throughput) for trial in found.trials if trial.concurrency is not None]
    # A little beyond the last trial: far outside of what was measured the law is a guess.
    last = max((at for at, _ in known), default=1.0) * 1.3
    places = [1.0 + (last - 1.0) * index / _CURVE for index in range(_CURVE + 1)]
    curve = RATE.shown([law.throughput(at) for at in places])
    return ChartView(
        name="requests in flight",
        lines=(
            Line(name="fitted law", colour=2, x=tuple(places), y=curve),
            _points("trials", 1, known),
        ),
        marks=() if law.knee is None else ((law.knee.value, "knee"),),
        across="requests in flight, mean",
    )


def _points(name: str, colour: int, points: Sequence[tuple[float, float]]) -> Line:
    ordered = sorted(points)
    return Line(name=name, colour=colour, x=tuple(x for x, _ in ordered), y=RATE.shown([y for _, y in ordered]), dots=True)


def trend_chart(record: RunRecord, data: ChartData) -> InteractiveChart | None:
    """Each phase's main figures over the accepted runs of main and this run; None: there are fewer than two of them."""
    history = data.history[-MOST_RUNS:]
    found = [
        (metric, view)
        for metric in TREND_METRICS
        for phase in sorted(record.phases, key=lambda phase: -phase.users)
        if (view := _trend_view(phase, metric, history, data.releases)) is not None
    ]
    if not found:
        return None
    metric, first = found[0]
    return InteractiveChart(
        name="trend",
        title="Main and this run",
        kind=AxisKind.TREND,
        unit=first.unit,
        described=f"{first.name} over {units.format_count(len(history))} accepted runs of main and this run: "
        f"{spans_in_words(first.lines, scale_of(metric))}.",
        views=tuple(view for _, view in found[:MOST_VIEWS]),
        choose="Figure",
    )


def _trend_view(
    phase: PhaseSummary, metric: str, history: Sequence[RunRecord], releases: Mapping[str, str]
) -> ChartView | None:
    scale, now = scale_of(metric), phase.measurement(metric)
    runs = list(_figures_of(history, phase.name, metric))
    if len(runs) < 2 or now is None:
        return None
    places = tuple(float(number) for number in range(len(runs)))
    values = [value for _, value in runs]
    return ChartView(
        name=_named(phase.name, metric, ALL_STEPS),
        lines=(
            Line(name="main", colour=3, x=places, y=scale.shown(values)),
            Line(name="this run", colour=1, x=(float(len(runs)),), y=scale.shown([now.value]), dots=True),
        ),
        labels=(*(f"{run.started_at[:10]} {visible(run.revision.sha[:7] or run.id)}" for run, _ in runs), "this run"),
        marks=tuple(
            (float(number), f"release {visible(releases[run.id])}")
            for number, (run, _) in enumerate(runs)
            if run.id in releases
        ),
        unit=scale.unit,
    )


def _figures_of(history: Sequence[RunRecord], phase: str, metric: str) -> Iterator[tuple[RunRecord, float]]:
    for run in history:
        ran = run.phase(phase)
        found = None if ran is None else ran.measurement(metric)
        if found is not None:
            yield run, found.value


def _named(phase: str, metric: str, step: str) -> str:
    assert metric in METRICS
    return f"{visible(phase)} · {plain(figures.subject_phrase(metric, step))}"
