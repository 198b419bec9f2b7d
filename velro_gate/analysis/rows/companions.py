"""What moved together with a regression: CPU per request, memory, hit rates by layer, pools that are waited for.

Hints for a reviewer, not tests: an advisory figure counts when its row says so; anything else when it lies outside all that the
baselines ever showed, by a tenth of it or by a point of a share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from velro_gate import units
from velro_gate.analysis.rows.rounding import rounded_change
from velro_gate.model.metrics import METRICS, MetricKind, Role
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison

LEAST_BASELINES = 3
"""Fewer show no span that a figure could lie outside of."""

_WAITED_FOR = ("in_use", "blocked", "waiting", "waits", "queue")
_LEAST_CHANGE, _LEAST_POINTS = 0.10, 0.01


def companions(
    phase: str, steps: Sequence[str], rows: Sequence[Comparison], run: PhaseSummary, before: Sequence[PhaseSummary]
) -> tuple[str, ...]:
    """What moved with the regression of ``steps`` in one phase, in a few words each."""
    return (*_figures(phase, rows), *_layers(steps, run, before), *_resources(run, before))


def _figures(phase: str, rows: Sequence[Comparison]) -> Iterator[str]:
    moved = (Change.REGRESSION, Change.SUSPICIOUS, Change.IMPROVEMENT)
    for row in rows:
        metric = METRICS[row.metric]
        # Of times the explanation itself tells.
        told = metric.role not in (Role.PRIMARY, Role.ADVISORY) or metric.quantile is not None
        if row.phase != phase or told or row.verdict not in moved or row.step != ALL_STEPS:
            continue
        if metric.kind is MetricKind.SHARE and row.current is not None and row.baseline is not None:
            size = units.format_points(row.current - row.baseline)
        elif row.change is not None and row.change_low is not None and row.change_high is not None:
            size = rounded_change(row.change, row.change_low, row.change_high)
        else:
            continue
        yield f"{metric.label} {size}"


def _layers(steps: Sequence[str], run: PhaseSummary, before: Sequence[PhaseSummary]) -> Iterator[str]:
    """The share of answers by cache layer, of the step that explains most; its misses are what the hit rate lacks."""
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
            what = "cache misses" if layer == "miss" else f"answers from the {layer} cache"
            of = f" of {step}" if step != ALL_STEPS else ""
            yield f"{what}{of} {units.format_share(usual)} -> {units.format_share(now)}"


def _share(cache: Mapping[str, int], layer: str) -> float:
    return cache.get(layer, 0) / max(sum(cache.values()), 1)


def _resources(run: PhaseSummary, before: Sequence[PhaseSummary]) -> Iterator[str]:
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
        if resource.median > max(known) + _LEAST_CHANGE * max(abs(usual), 1.0):
            name = resource.name.replace("_", " ")
            yield f"{resource.source} {name} {units.format_count(usual)} -> {units.format_count(resource.median)}"
