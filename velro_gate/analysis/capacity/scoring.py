"""One measured stretch as a trial: how far the requirement that is nearest to its limit, or furthest beyond it, is from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from velro_gate.analysis.capacity.estimate import CLIP, LEAST_ERROR
from velro_gate.model.capacity import Trial
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.metrics import METRICS, Decides, Direction, MetricKind, Party, Scaling
from velro_gate.model.record import Estimate, PhaseSummary
from velro_gate.model.run import PhaseRun, Progress, Stage
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement

KEEPS_UP = 0.95
"""The share of the offered requests that must succeed, whatever the requirements say: a service that falls behind is full."""

HOPELESS = 3.0
"""Times its latency limit at which the median response time shows that the service is drowning."""

HOPELESS_ERRORS = 0.5
"""Share of failed requests above which a trial is ended: no requirement allows it, and the service would recover for longer."""
DROWNS_AFTER = 2
"""Looks in a row, about a second apart, that must show it."""


def load_requirements(phase: Phase) -> tuple[Requirement, ...]:
    """The requirements that too much load can miss: those on times, errors and shares, but not on the load itself."""
    return tuple(
        wanted
        for wanted in phase.requirements
        if wanted.definition.scaling is Scaling.NONE
        and wanted.definition.party is Party.SERVICE
        and wanted.definition.decides is Decides.VALUE
        and wanted.definition.kind in (MetricKind.SECONDS, MetricKind.SHARE)
        and wanted.target > 0.0
    )


def trial_of(load: float, requirements: Sequence[Requirement], summary: PhaseSummary, ran: PhaseRun) -> Trial:
    """The trial that a stretch of load comes to. requirements: those that are ``load_requirements``."""
    throughput = summary.measurement("throughput")
    p95 = summary.measurement("p95")
    scores = list(_scores(requirements, summary))
    drowned = not summary.complete or not scores or throughput is None
    score, error, figure = max(scores, default=(CLIP, LEAST_ERROR, None), key=lambda one: one[0])
    return Trial(
        load=load,
        # What was measured until a service drowned looks better than what it was heading for.
        score=max(score, CLIP) if drowned else score,
        error=max(error, LEAST_ERROR),
        seconds=summary.measured_seconds,
        throughput=0.0 if throughput is None else throughput.value,
        concurrency=_concurrency(ran),
        p95=None if p95 is None else p95.value,
        figure=figure,
        drowned=drowned,
    )


def _scores(requirements: Sequence[Requirement], summary: PhaseSummary) -> Iterator[tuple[float, float, FigureName | None]]:
    for wanted in requirements:
        found = summary.measurement(wanted.metric, wanted.step)
        if found is not None:
            yield _score(found, wanted.metric, wanted.step, wanted.target)
    # Whatever the plan requires, a service that does not keep up with what is offered is beyond its capacity.
    kept = summary.measurement("achieved_share")
    if summary.offered_rate is not None and kept is not None:
        yield _score(kept, "achieved_share", ALL_STEPS, KEEPS_UP)


def _score(found: Estimate, metric: str, step: str, limit: float) -> tuple[float, float, FigureName | None]:
    """ln(value / limit), of a share that must be high: ln(missing / allowed to be missing); and its standard error."""
    definition = METRICS[metric]
    value, low, high = found.value, found.low, found.high
    if definition.direction is Direction.HIGHER:
        value, low, high, limit = 1.0 - value, 1.0 - high, 1.0 - low, 1.0 - limit
    # Half an event: no failure among n is not a rate of 0.
    least = 0.5 / (found.n + 1.0) if definition.kind is MetricKind.SHARE else 1e-9
    limit = max(limit, least)
    score, below, above = (math.log(max(one, least) / limit) for one in (value, low, high))
    return score, (above - below) / (2.0 * 1.96), FigureName(step=step, metric=metric)


def _concurrency(ran: PhaseRun) -> float | None:
    """Mean requests in flight over the measured stretch."""
    seen = [tick.in_flight for tick in ran.ticks if ran.measured_from <= tick.at < ran.measured_until]
    return sum(seen) / len(seen) if seen else None


def points_of(runs: Sequence[PhaseRun]) -> list[tuple[float, float]]:
    """Concurrency and throughput of each phase of a run, for the law of scalability. Phases that are too short are left out."""
    points = []
    for ran in runs:
        ticks = [tick for tick in ran.ticks if ran.measured_from <= tick.at < ran.measured_until]
        if len(ticks) < 3:
            continue
        seconds = ticks[-1].at - ticks[0].at
        points.append((sum(tick.in_flight for tick in ticks) / len(ticks), (ticks[-1].ok - ticks[0].ok) / seconds))
    return points


class Drowning:
    """Whether a service falls so far behind that measuring on only makes it worse. limit: the tightest latency limit."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._looks = 0

    def seen(self, progress: Progress) -> bool:
        """Look once more; True from the look on that shows it for the second time in a row."""
        slow = self._limit is not None and progress.p50 is not None and progress.p50 > HOPELESS * self._limit
        failing = progress.error_rate > HOPELESS_ERRORS and progress.errors > 0
        silent = progress.p50 is None and progress.stage is Stage.MEASURE
        self._looks = self._looks + 1 if slow or failing or silent else 0
        return self._looks >= DROWNS_AFTER
