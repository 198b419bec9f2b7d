"""How each cache layer answered: how often, and how fast its hits and the misses were.

A layer is reached by what no layer nearer to the user had. Only successful responses that show how a cache answered count. The
share of p95 that misses explain is the part of it that would be gone if every response had been as fast as the hits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from velro_gate.analysis.statistics import intervals
from velro_gate.analysis.summaries.quantiles import Ordered, sample_quantile
from velro_gate.analysis.summaries.windows import Grid
from velro_gate.model.record import MISS, CacheLayer, Estimate
from velro_gate.model.run import PhaseRun
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Samples

LEAST_ANSWERS = 20
"""Fewer misses, or fewer hits, show no quantile of theirs."""

_WARM_UP_WINDOWS = 60
"""Windows of a phase in which the hit rate is followed, each of a second at least."""


def layer_name(code: int, layers: Sequence[str]) -> str:
    """What a cache code stands for."""
    if code == CACHE_MISS:
        return MISS
    index = code - FIRST_CACHE_LAYER
    return layers[index] if index < len(layers) else f"layer {index + 1}"


def cache_layers(rows: Samples, layers: Sequence[str]) -> tuple[CacheLayer, ...]:
    """The layers in their order, then the misses. Empty where no answer says how a cache answered."""
    said = rows.where(rows.ok & (rows.cache != NO_CACHE_HEADER))
    if not len(said):
        return ()
    times = said.response_time
    seen = np.unique(said.cache).tolist()
    return layers_of({code: np.sort(times[said.cache == code]) for code in seen}, layers)


def layers_of(times: Mapping[int, Ordered], layers: Sequence[str]) -> tuple[CacheLayer, ...]:
    """The layers in their order, then the misses. times: response times by cache code, of those codes that came."""
    codes = [*range(FIRST_CACHE_LAYER, max(max(times) + 1, FIRST_CACHE_LAYER + len(layers))), CACHE_MISS]
    reached = sum(map(len, times.values()))
    found: list[CacheLayer] = []
    for code in codes:
        own = times.get(code, np.empty(0))
        p50, p95 = (_quantile(own, rank) for rank in (0.50, 0.95))
        found.append(CacheLayer(name=layer_name(code, layers), answered=len(own), reached=reached, p50=p50, p95=p95))
        # A look-up goes on from layer to layer until one has it.
        reached -= len(own)
    return tuple(found)


def cache_figures(rows: Samples) -> dict[str, Estimate]:
    """The metrics of hits and misses together, by name, as far as there are enough of both."""
    good = rows.ok
    times = rows.response_time
    hits = np.sort(times[good & (rows.cache >= FIRST_CACHE_LAYER)])
    misses = np.sort(times[good & (rows.cache == CACHE_MISS)])
    return figures_of_caches(hits, misses, np.sort(np.concatenate([hits, misses])))


def figures_of_caches(hits: Ordered, misses: Ordered, both: Ordered) -> dict[str, Estimate]:
    """``cache_figures`` from response times: of hits, of misses, and of both."""
    figures = {}
    for name, values in (("hit", hits), ("miss", misses)):
        for metric, rank in ((f"{name}_p50", 0.50), (f"{name}_p95", 0.95)):
            found = _quantile(values, rank) if len(values) >= LEAST_ANSWERS else None
            if found is not None:
                figures[metric] = found
    if "hit_p95" in figures:
        # Of hits and misses together, without what said nothing about caches: the two figures compared must be of the same
        # requests.
        whole = sample_quantile(both, 0.95)
        share = max(1.0 - figures["hit_p95"].value / whole, 0.0) if whole > 0.0 else 0.0
        figures["p95_from_misses"] = Estimate.exact(share, n=len(both))
    return figures


def warm_up_curve(samples: Samples, run: PhaseRun) -> tuple[tuple[float, float], ...]:
    """(seconds since the phase began, hit rate of the seconds before), from all samples of a phase, ramp included."""
    seconds = run.measured_until - run.started
    said = samples.where(samples.cache != NO_CACHE_HEADER)
    if seconds <= 0.0 or not len(said):
        return ()
    grid = Grid(seconds=seconds, width=max(seconds / _WARM_UP_WINDOWS, 1.0))
    index = grid.index(said.due - run.started)
    inside = index >= 0
    asked = np.bincount(index[inside], minlength=grid.count)
    hits = np.bincount(index[inside & (said.cache >= FIRST_CACHE_LAYER)], minlength=grid.count)
    ends = grid.edges[1:].tolist()
    return tuple((end, hit / n) for end, hit, n in zip(ends, hits.tolist(), asked.tolist(), strict=True) if n)


def _quantile(ordered: Ordered, rank: float) -> Estimate | None:
    n = len(ordered)
    if not n:
        return None
    value = sample_quantile(ordered, rank)
    first, last = intervals.rank_range(n, rank)
    return Estimate(value=value, low=min(float(ordered[first]), value), high=max(float(ordered[last]), value), n=n)
