"""What moved together with a regression: CPU per request, memory, hit rates by layer, pools that requests wait for.

Hints for a reviewer, not tests: an advisory figure counts when its row says so; anything else when it lies outside the range of
the baselines, by a tenth of its value or, for a share, by one percentage point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from velro_gate.model.facts.explanations import CacheMoved, Companion, FigureMoved, ResourceMoved, ShareMoved
from velro_gate.model.metrics import METRICS, MetricKind, Role
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison

LEAST_BASELINES = 3
"""Fewer show no range that a figure could lie outside of."""

_WAITED_FOR = ("in_use", "blocked", "waiting", "waits", "queue")
_LEAST_CHANGE, _LEAST_POINTS = 0.10, 0.01


def companions(
    phase: str, steps: Sequence[str], rows: Sequence[Comparison], run: PhaseSummary, before: Sequence[PhaseSummary]
) -> tuple[Companion, ...]:
    """What moved with the regression of ``steps`` in one phase."""
    return (*_figures(phase, rows), *_layers(steps, run, before), *_resources(run, before))


def _figures(phase: str, rows: Sequence[Comparison]) -> Iterator[FigureMoved | ShareMoved]:
    moved = (Change.REGRESSION, Change.SUSPICIOUS, Change.IMPROVEMENT)
    for row in rows:
        metric = METRICS[row.metric]
        # Response times are what the explanation itself is about.
        elsewhere = metric.role not in (Role.PRIMARY, Role.ADVISORY) or metric.quantile is not None
        if row.phase != phase or elsewhere or row.verdict not in moved or row.step != ALL_STEPS:
            continue
        if metric.kind is MetricKind.SHARE and row.current is not None and row.baseline is not None:
            yield ShareMoved(metric=row.metric, difference=row.current - row.baseline)
        elif row.change is not None and row.change_low is not None and row.change_high is not None:
            yield FigureMoved(metric=row.metric, change=row.change, low=row.change_low, high=row.change_high)


def _layers(steps: Sequence[str], run: PhaseSummary, before: Sequence[PhaseSummary]) -> Iterator[CacheMoved]:
    """The share of responses by cache layer, of the one slower step or of all steps; misses are what the hit rate lacks."""
    step = steps[0] if len(steps) == 1 else ALL_STEPS
    own = run.step(step)
    known = [found.cache for each in before if (found := each.step(step)) is not None and found.cache]
    if own is None or not own.cache or len(known) < LEAST_BASELINES:
        return
    for layer in dict.fromkeys((*own.cache, *(name for cache in known for name in cache))):
        now, spans = _share(own.cache, layer), [_share(cache, layer) for cache in known]
        beyond = max(now - max(spans), min(spans) - now)
        if beyond >= _LEAST_POINTS:
            usual = sorted(spans)[len(spans) // 2]
            yield CacheMoved(layer=layer, step=step, before=usual, now=now)


def _share(cache: Mapping[str, int], layer: str) -> float:
    return cache.get(layer, 0) / max(sum(cache.values()), 1)


def _resources(run: PhaseSummary, before: Sequence[PhaseSummary]) -> Iterator[ResourceMoved]:
    for resource in run.resources:
        if not resource.name.endswith(_WAITED_FOR):
            continue
        known = [
            other.median
            for each in before
            for other in each.resources
            if (other.source, other.name) == (resource.source, resource.name)
        ]
        if len(known) < LEAST_BASELINES:
            continue
        usual = sorted(known)[len(known) // 2]
        # More than in any baseline, and by a margin: a companion is shown as a possible cause, so it must not be chance.
        if resource.median > max(known) + _LEAST_CHANGE * max(abs(usual), 1.0):
            yield ResourceMoved(source=resource.source, name=resource.name, before=usual, now=resource.median)
