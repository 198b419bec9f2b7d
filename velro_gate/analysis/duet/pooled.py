"""The pooled blocks of one build: what its requirements are checked on, and what the reports show of it.

A block is one observation, so a figure is the median of the blocks' own figures, and its interval shows how far apart they are.
Counts are added up. Of what must hold all the time, the worst block counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

import numpy as np

from velro_gate.analysis.statistics.intervals import wilson
from velro_gate.analysis.statistics.sign_flip import bounds, middle, walsh_averages
from velro_gate.model.metrics import METRICS, Pooling
from velro_gate.model.record import MISS, CacheLayer, Counts, Estimate, PhaseSummary, ResourceSummary, StepSummary, Window
from velro_gate.model.run import FirstFailure, GeneratorHealth

K = TypeVar("K", int, str)
T = TypeVar("T", int, float)


def pool_blocks(blocks: Sequence[PhaseSummary]) -> PhaseSummary:
    """One phase over all blocks of a build, at least one. Windows follow one another as the blocks did."""
    first = blocks[0]
    names = list(dict.fromkeys(step.step for block in blocks for step in block.steps))
    return replace(
        first,
        measured_seconds=sum(block.measured_seconds for block in blocks),
        planned_seconds=sum(block.planned_seconds for block in blocks),
        steps=tuple(_step(name, [step for block in blocks if (step := block.step(name)) is not None]) for name in names),
        windows=tuple(_windows(blocks)),
        resources=tuple(_resources(blocks)),
        health=_health([block.health for block in blocks]),
        sent_total=sum(block.sent_total for block in blocks),
        delivered_total=sum(block.delivered_total for block in blocks),
        connections_opened=sum(block.connections_opened for block in blocks),
        reconnects=sum(block.reconnects for block in blocks),
        redirects_followed=sum(block.redirects_followed for block in blocks),
        tls_fault=next((block.tls_fault for block in blocks if block.tls_fault is not None), None),
        stalled=sum(block.stalled for block in blocks),
        longest_stall=max(block.longest_stall for block in blocks),
        # The verdict of the duet reports a build that crashed; what its blocks showed until then stands.
        interrupted=False,
        service_gone=None,
        hopeless=None,
        failures=tuple(_failures(blocks)),
    )


def _failures(blocks: Sequence[PhaseSummary]) -> Iterable[FirstFailure]:
    kinds: dict[tuple[str, str, int, str], list[FirstFailure]] = {}
    for failed in (failed for block in blocks for failed in block.failures):
        kinds.setdefault((failed.step, failed.outcome, failed.status, failed.reason), []).append(failed)
    for alike in kinds.values():
        yield replace(alike[0], count=sum(failed.count for failed in alike))


def _step(name: str, blocks: Sequence[StepSummary]) -> StepSummary:
    metrics = dict.fromkeys(metric for block in blocks for metric in block.measurements)
    return StepSummary(
        step=name,
        counts=_counts([block.counts for block in blocks]),
        measurements={metric: _estimate(metric, blocks) for metric in metrics},
        statuses=_added(block.statuses for block in blocks),
        outcomes=_added(block.outcomes for block in blocks),
        cache=_added(block.cache for block in blocks),
        layers=tuple(_layers(blocks)),
        received=sum(block.received for block in blocks),
        undelayed=_undelayed(blocks),
    )


def _layers(blocks: Sequence[StepSummary]) -> Iterable[CacheLayer]:
    """Each cache layer over all blocks, the misses last."""
    names = dict.fromkeys(layer.name for block in blocks for layer in block.layers if layer.name != MISS)
    for name in (*names, MISS):
        alike = [layer for block in blocks for layer in block.layers if layer.name == name]
        if alike:
            yield CacheLayer(
                name=name,
                answered=sum(layer.answered for layer in alike),
                reached=sum(layer.reached for layer in alike),
                p50=_middle_of([layer.p50 for layer in alike]),
                p95=_middle_of([layer.p95 for layer in alike]),
            )


def _middle_of(figures: Sequence[Estimate | None]) -> Estimate | None:
    found = [each for each in figures if each is not None]
    return _middle(found, sum(each.n for each in found)) if found else None


def _undelayed(blocks: Sequence[StepSummary]) -> dict[str, float]:
    """The best values over all blocks: each put together as the measured ones are."""
    best = [
        replace(
            block,
            measurements={
                name: Estimate.exact(block.undelayed.get(name, found.value), n=found.n)
                for name, found in block.measurements.items()
            },
        )
        for block in blocks
    ]
    found = {name: _estimate(name, best).value for block in blocks for name in block.undelayed}
    # Pooled error rates are made of counts, which best values have not: their rates are weighted by what was asked.
    for name in (name for name in found if METRICS[name].of_counts):
        asked = [block.counts.ok + block.counts.failed + block.counts.blocked for block in best]
        rates = [block.measurements[name].value if name in block.measurements else 0.0 for block in best]
        found[name] = sum(rate * n for rate, n in zip(rates, asked, strict=True)) / max(sum(asked), 1)
    return found


def _counts(books: Sequence[Counts]) -> Counts:
    names = ("due", "sent", "ok", "failed", "cancelled", "blocked", "missed")
    return Counts(**{name: sum(getattr(counts, name) for counts in books) for name in names})


def _added(tables: Iterable[Mapping[K, int]]) -> dict[K, int]:
    total: Counter[K] = Counter()
    for table in tables:
        total.update(table)
    return dict(total)


def _estimate(metric: str, blocks: Sequence[StepSummary]) -> Estimate:
    found = [block.measurements[metric] for block in blocks if metric in block.measurements]
    n = sum(each.n for each in found)
    match METRICS[metric].pooling:
        case Pooling.LEAST:
            return replace(min(found, key=lambda each: each.value), n=n)
        case Pooling.MOST:
            return replace(max(found, key=lambda each: each.value), n=n)
        case Pooling.COUNTS:
            asked = [block.counts.ok + block.counts.failed + block.counts.blocked for block in blocks]
            return wilson(sum(asked) - sum(block.counts.ok for block in blocks), sum(asked))
        case Pooling.MIDDLE:
            return _middle(found, n)


def _middle(found: Sequence[Estimate], n: int) -> Estimate:
    """Hodges and Lehmann's estimate over the blocks with its 95 % interval; with too few blocks for one, all that they span."""
    values = np.array([each.value for each in found])[:, None]
    walsh = walsh_averages(values)
    value = float(middle(walsh)[0])
    low, high = (float(end[0]) for end in bounds(walsh, len(found), 0.025))
    if not np.isfinite(low):
        low, high = min(each.low for each in found), max(each.high for each in found)
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n, blocks=len(found))


def _windows(blocks: Sequence[PhaseSummary]) -> Iterable[Window]:
    begin = 0.0
    for block in blocks:
        for window in block.windows:
            yield replace(window, start=begin + window.start)
        begin += block.measured_seconds


def _resources(blocks: Sequence[PhaseSummary]) -> Iterable[ResourceSummary]:
    kinds: dict[tuple[str, str], list[ResourceSummary]] = {}
    for block in blocks:
        for resource in block.resources:
            kinds.setdefault((resource.source, resource.name), []).append(resource)
    for (source, name), alike in kinds.items():
        yield ResourceSummary(
            source=source,
            name=name,
            least=min(each.least for each in alike),
            median=median(each.median for each in alike),
            most=max(each.most for each in alike),
            n=sum(each.n for each in alike),
            falls=max(each.falls for each in alike),
            rate=median(rates) if (rates := [each.rate for each in alike if each.rate is not None]) else None,
        )


def _health(blocks: Sequence[GeneratorHealth]) -> GeneratorHealth:
    """The worst of the blocks in everything: that is what one must trust."""
    return GeneratorHealth(
        cpu_share=max(each.cpu_share for each in blocks),
        steal_share=_known(max, (each.steal_share for each in blocks)),
        loop_lag_p99=max(each.loop_lag_p99 for each in blocks),
        loop_lag_max=max(each.loop_lag_max for each in blocks),
        gc_full_collections=sum(each.gc_full_collections for each in blocks),
        gc_pause_max=max(each.gc_pause_max for each in blocks),
        rss_start=blocks[0].rss_start,
        rss_peak=max(each.rss_peak for each in blocks),
        descriptors_free=_known(min, (each.descriptors_free for each in blocks)),
        ports_free=_known(min, (each.ports_free for each in blocks)),
        memory_free=_known(min, (each.memory_free for each in blocks)),
        throttled_share=_known(max, (each.throttled_share for each in blocks)),
    )


def _known(worst: Callable[[list[T]], T], values: Iterable[T | None]) -> T | None:
    found = [value for value in values if value is not None]
    return worst(found) if found else None
