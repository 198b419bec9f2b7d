"""Charts over the whole run, on one time axis: what was asked, how it was answered, and what the service needed for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from velro_gate.model.charts.timeline import Timeline
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import MISS, PhaseSummary, RunRecord, Window
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Verdict
from velro_gate.report.charts.placed import Placed, milliseconds
from velro_gate.report.charts.shapes import (
    BYTES,
    CORES,
    COUNT,
    MILLISECONDS,
    RATE,
    SHARE,
    AxisKind,
    ChartLevel,
    ChartView,
    DisplayScale,
    InteractiveChart,
    Line,
    mean,
    scale_of,
    spans_in_words,
    thinned,
)
from velro_gate.report.parts.measured import failure_label
from velro_gate.report.text.escape import visible

MOST_STEPS = 30
"""Steps that can be chosen: a page is to stay small."""

Read = Callable[[Window], float | None]
ReadPhase = Callable[[PhaseSummary], Sequence[float | None]]
"""The values of all windows of a phase."""
Together = Callable[[list[float]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """Makes the charts of one run."""

    record: RunRecord
    verdict: Verdict
    phases: tuple[Placed, ...]
    timeline: Timeline | None

    def charts(self) -> Iterator[InteractiveChart | str]:
        """Each chart, or why it is missing."""
        yield self._rate()
        yield self._latency()
        yield self._errors()
        yield self._chart("users", "Virtual users connected", [self._users()], COUNT)
        yield self._hit_rates()
        yield from self._cache_times()
        yield from self._own_metrics()
        yield self._watched("cpu", "CPU", _CPU, CORES)
        yield self._watched("memory", "Memory", _MEMORY, BYTES)
        yield self._watched("pool", "Connection pool", _POOL, COUNT)
        yield self._watched("connections", "Connections", _CONNECTIONS, COUNT)
        yield self._chart("lateness", "Lateness of the generator", [self._lateness()], MILLISECONDS)

    def _chart(
        self, name: str, title: str, lines: Sequence[Line], scale: DisplayScale, limits: tuple[ChartLevel, ...] = ()
    ) -> InteractiveChart | str:
        """A chart of one view; its name where nothing was measured."""
        drawn = tuple(line for line in lines if line.known)
        if not drawn:
            return name
        described = f"{title} over the run: {spans_in_words(drawn, scale)}."
        views = (ChartView(name="", lines=drawn, limits=limits),)
        return InteractiveChart(name=name, title=title, kind=AxisKind.TIME, unit=scale.unit, described=described, views=views)

    def _over_windows(
        self, name: str, colour: int, read: ReadPhase, scale: DisplayScale, together: Together, **more: bool
    ) -> Line:
        """A value of each window; a gap between two phases. read: the values of all windows of a phase."""
        x: list[float] = []
        y: list[float | None] = []
        for one in self.phases:
            windows, values = one.phase.windows, read(one.phase)
            if x:
                # A point without a value breaks the line: nothing was measured between two phases.
                x.append(milliseconds(one.ramp))
                y.append(None)
            # What the samples do not fit is left out: both come from files.
            known = values if len(values) == len(windows) else [None] * len(windows)
            x += [milliseconds(one.start + window.start + window.seconds / 2.0) for window in windows]
            y += known
        places, thin = thinned(x, y, together)
        return Line(name=name, colour=colour, x=places, y=scale.shown(thin), **more)

    def _rate(self) -> InteractiveChart | str:
        # What was asked for, so that a curve of responses below it is seen at once; a closed loop offers nothing by itself.
        offered = self._over_windows(
            "offered", 3, lambda phase: [phase.offered_rate] * len(phase.windows), RATE, mean, dashed=True
        )
        sent = self._over_windows("sent", 3, _each(lambda window: window.sent / window.seconds), RATE, mean, dashed=True)
        good = self._over_windows("successful", 1, _each(lambda window: window.rate), RATE, mean)
        lines = [offered if offered.known else sent, good]
        limits = self._limits(("sustained_throughput", "throughput"), ALL_STEPS, RATE)
        return self._chart("rate", "Requests per second", lines, RATE, limits=limits)

    def _latency(self) -> InteractiveChart | str:
        whole = self._latency_view("all steps", ALL_STEPS, {level: _each(_level_of(level)) for level in _LEVELS})
        steps = [] if self.timeline is None else list(self.record.plan.steps[:MOST_STEPS])
        views = [whole, *(self._latency_view(visible(step), step, self._of_step(step)) for step in steps)]
        kept = tuple(view for view in views if any(line.known for line in view.lines))
        if not kept:
            return "latency"
        return InteractiveChart(
            name="latency",
            title="Response time",
            kind=AxisKind.TIME,
            unit=MILLISECONDS.unit,
            described=f"Response time over the run, {kept[0].name}: {spans_in_words(kept[0].lines, MILLISECONDS)}.",
            views=kept,
            choose="Step",
            note="peaks may leave the scale; zoom in to see them",
            top=_top(kept[0]),
        )

    def _of_step(self, step: str) -> dict[str, ReadPhase]:
        def read(level: str) -> ReadPhase:
            """What reads this level of the step's timeline."""

            def values(phase: PhaseSummary) -> Sequence[float | None]:
                """Of one phase; nothing where its samples are not kept."""
                ran = None if self.timeline is None else self.timeline.phase(phase.name)
                found = None if ran is None else next((one for one in ran.steps if one.step == step), None)
                return () if found is None else getattr(found, level)

            return values

        return {level: read(level) for level in _LEVELS}

    def _latency_view(self, name: str, step: str, reads: Mapping[str, ReadPhase]) -> ChartView:
        lines = tuple(
            self._over_windows(level, colour, reads[level], MILLISECONDS, max)
            # p99 first, so that the curve of most importance is drawn over the others.
            for colour, level in ((3, "p99"), (2, "p95"), (1, "p50"))
        )
        return ChartView(
            name=name,
            lines=tuple(line for line in lines if line.known),
            limits=self._limits(("p95",), step, MILLISECONDS),
            bands=self._bands("p95", step),
        )

    def _errors(self) -> InteractiveChart | str:
        kinds: dict[str, float] = {}
        for one in self.phases:
            for kind, rates in self._failures(one.phase).items():
                kinds[kind] = kinds.get(kind, 0.0) + sum(rates)
        lines = [
            self._over_windows(failure_label(kind), 4 if index == 0 else index, self._of_kind(kind), RATE, mean)
            for index, kind in enumerate(sorted(kinds, key=lambda kind: -kinds[kind])[:8])
        ]
        failed = self._over_windows("failed", 4, _each(lambda window: window.failed / window.seconds), RATE, mean)
        if not any(failed.known):
            return "errors"
        return self._chart("errors", "Failed requests per second", lines or [failed], RATE)

    def _of_kind(self, kind: str) -> ReadPhase:
        return lambda phase: self._failures(phase).get(kind, [0.0] * len(phase.windows))

    def _failures(self, phase: PhaseSummary) -> Mapping[str, Sequence[float]]:
        """Kind of failure -> failed requests a second in each window; empty: a record of before kinds were kept, alone."""
        ran = None if self.timeline is None else self.timeline.phase(phase.name)
        if ran is not None:
            return ran.errors
        kinds = dict.fromkeys(kind for window in phase.windows for kind in window.errors)
        return {kind: [window.errors.get(kind, 0) / window.seconds for window in phase.windows] for kind in kinds}

    def _users(self) -> Line:
        if self.timeline is None or not self.timeline.connected.at:
            return self._over_windows("users", 1, _each(lambda window: float(window.connected)), COUNT, min)
        x, y = thinned([milliseconds(at) for at in self.timeline.connected.at], self.timeline.connected.value, min)
        return Line(name="users", colour=1, x=x, y=COUNT.shown(y))

    def _lateness(self) -> Line:
        return self._over_windows("p99", 2, _each(lambda window: window.lateness_p99), MILLISECONDS, max)

    def _hit_rates(self) -> InteractiveChart | str:
        layers = list(
            dict.fromkeys(name for one in self.phases for window in one.phase.windows for name in window.cache if name != MISS)
        )
        whole = self._over_windows("all layers", 2, _each(lambda window: window.hit_rate), SHARE, mean)
        parts = [
            self._over_windows(visible(name), colour, _each(_share_of(name)), SHARE, mean)
            for colour, name in zip((1, 3, 5, 6), layers, strict=False)
        ]
        lines = [whole, *(parts if len(layers) > 1 else [])]
        limits = self._limits(("hit_rate",), ALL_STEPS, SHARE)
        title = "Cache hits" + (" by layer, share of all look-ups" if len(layers) > 1 else "")
        return self._chart("hits", title, lines, SHARE, limits=limits)

    def _cache_times(self) -> Iterator[InteractiveChart | str]:
        """What a hit of each layer and a miss took; nothing where the record does not say it, as older ones do not."""
        names = dict.fromkeys(name for one in self.phases for window in one.phase.windows for name in window.cache_p50)
        layers = [name for name in names if name != MISS][:4]
        lines = [
            self._over_windows("misses" if name == MISS else visible(name), colour, _each(_median_of(name)), MILLISECONDS, max)
            for colour, name in zip((1, 3, 5, 6, 2), [*layers, *({MISS} & names.keys())], strict=False)
        ]
        if lines:
            yield self._chart("cache_times", "Median response time of cache hits and misses", lines, MILLISECONDS)

    def _own_metrics(self) -> Iterator[InteractiveChart]:
        """The metrics that the scenario defines itself, one of them at a time; nothing where it defines none."""
        names = dict.fromkeys(name for one in self.phases for window in one.phase.windows for name in window.own)
        views = []
        for metric in list(names)[:MOST_STEPS]:
            scale = scale_of(metric)
            label = visible(METRICS[metric].label)
            line = self._over_windows(label, 1, _each(_own_value(metric)), scale, mean)
            limits = self._limits((metric,), ALL_STEPS, scale)
            views.append(ChartView(name=label, lines=(line,), limits=limits, unit=scale.unit))
        if views:
            first, scale = views[0], scale_of(next(iter(names)))
            yield InteractiveChart(
                name="own",
                title="Metrics of this scenario",
                kind=AxisKind.TIME,
                unit=first.unit,
                described=f"{first.name} over the run: {spans_in_words(first.lines, scale)}.",
                views=tuple(views),
                choose="Metric",
            )

    def _watched(
        self, name: str, title: str, wanted: Sequence[tuple[str, str, str, bool]], scale: DisplayScale
    ) -> InteractiveChart | str:
        lines = []
        for index, (source, series, label, dashed) in enumerate(wanted):
            found = None if self.timeline is None else self.timeline.readings.get((source, series))
            if found is None:
                continue
            # The share of all cores, in cores, so that it can be compared with what the service uses of them.
            factor = float(self.record.environment.cores) if (source, series) == ("runner", "cpu_share") else 1.0
            x, y = thinned([milliseconds(at) for at in found.at], found.value, max)
            shown = scale.shown([None if value is None else value * factor for value in y])
            lines.append(Line(name=label, colour=index + 1, x=x, y=shown, dashed=dashed))
        return self._chart(name, title, lines, scale)

    def _limits(self, metrics: Sequence[str], step: str, scale: DisplayScale) -> tuple[ChartLevel, ...]:
        found = []
        for one in self.phases:
            wanted = next((phase.requirements for phase in self.record.plan.phases if phase.name == one.phase.name), ())
            for metric in metrics:
                targets = [each.target for each in wanted if each.metric == metric and each.step == step]
                if targets:
                    (value,) = scale.shown(targets[:1])
                    found.append(
                        ChartLevel(name="limit", start=milliseconds(one.start), end=milliseconds(one.end), value=value or 0.0)
                    )
                    break
        return tuple(found)

    def _bands(self, metric: str, step: str) -> tuple[ChartLevel, ...]:
        """The baselines' or the base build's figure of each phase, two standard deviations of one run to either side."""
        name = "base build, p95" if self.verdict.duet is not None else "baselines, p95"
        found = []
        for one in self.phases:
            row = next(
                (
                    row
                    for row in self.verdict.comparisons
                    if (row.phase, row.step, row.metric) == (one.phase.name, step, metric)
                ),
                None,
            )
            if row is None or row.baseline is None:
                continue
            spread = 1.0 if row.noise is None else math.exp(2.0 * min(row.noise, 1.0))
            # The noise of a latency is that of its logarithm, so the band is a ratio to either side; the cap keeps a hopelessly
            # noisy metric from squeezing the measured line flat.
            value, low, high = MILLISECONDS.shown((row.baseline, row.baseline / spread, row.baseline * spread))
            if value is None:
                continue
            found.append(
                ChartLevel(name=name, start=milliseconds(one.start), end=milliseconds(one.end), value=value, low=low, high=high)
            )
        return tuple(found)


_LEVELS = ("p50", "p95", "p99")
_CPU = (
    ("service", "cpu_seconds", "service", False),
    ("service", "cpu_busiest", "its busiest process", False),
    ("runner", "cpu_share", "this machine", True),
)
_MEMORY = (("service", "rss", "service", False), ("redis", "memory", "Redis", False))
_POOL = (
    ("service", "database_pool_in_use", "in use", False),
    ("service", "database_pool_waiting", "requests waiting", False),
    ("service", "database_pool_size", "size", True),
)
_CONNECTIONS = (
    ("service", "connections", "to the service", False),
    ("database", "connections", "to PostgreSQL", False),
    ("database", "connections_active", "of them active", False),
    ("redis", "clients", "to Redis", False),
    ("runner", "tcp_established", "of this machine", True),
)
MISSING = {
    "rate": "requests per second (no phase was measured)",
    "latency": "response time (no request succeeded)",
    "errors": "failed requests (there were none)",
    "users": "virtual users (no phase was measured)",
    "hits": "cache hits (no response says how a cache answered)",
    "cpu": "CPU (not watched)",
    "memory": "memory (not watched)",
    "pool": "connection pool (the service shows none)",
    "connections": "connections (not watched)",
    "lateness": "lateness of the generator (no phase was measured)",
}
"""Why a chart is left out, by its name."""


def _each(read: Read) -> ReadPhase:
    return lambda phase: [read(window) for window in phase.windows]


def _level_of(level: str) -> Read:
    def read(window: Window) -> float | None:
        """This level in one window."""
        found: float | None = getattr(window, level)
        return found

    return read


def _share_of(layer: str) -> Read:
    def share(window: Window) -> float | None:
        """Of the responses with a cache header in one window."""
        asked = sum(window.cache.values())
        return window.cache.get(layer, 0) / asked if asked else None

    return share


def _median_of(layer: str) -> Read:
    return lambda window: window.cache_p50.get(layer)


def _own_value(metric: str) -> Read:
    return lambda window: window.own.get(metric)


def _top(view: ChartView) -> float:
    """The end of the scale: all limits and bands, and the values without the rarest peaks."""
    values = sorted(value for line in view.lines for value in line.known)
    levels = [level.value for level in (*view.limits, *view.bands)]
    return max(values[int((len(values) - 1) * 0.98)], *levels, 1e-9) * 1.08
