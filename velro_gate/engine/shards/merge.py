"""What the shards of one run hand on, put together. Pure, and exact wherever something is counted.

All shards have one clock and agree on every phase's begin and end, so counts are added and columns put side by side.
Percentiles are taken from the samples of all shards, after this. Of what is the machine's or a process's own, the worst counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.model.run import FirstFailure, GeneratorHealth, PhaseRun, Progress, Stall, Tick
from velro_gate.model.samples import FIRST_CACHE_LAYER, Samples

N = TypeVar("N", int, float)


def merged_run(runs: Sequence[PhaseRun], *, interrupted: bool) -> PhaseRun:
    """One phase of the whole load, from what at least one shard says of it.

    interrupted: whether the run was asked to end. A shard also ends early because another one ended, and that is reported
    by ``service_gone`` and ``shards_lost``.
    """
    gone = [run.service_gone for run in runs if run.service_gone is not None]
    return PhaseRun(
        name=runs[0].name,
        started=min(run.started for run in runs),
        # Equal in all shards that began; one that could not even begin has no stretch.
        measured_from=max(run.measured_from for run in runs),
        measured_until=max(run.measured_until for run in runs),
        ended=max(run.ended for run in runs),
        users=sum(run.users for run in runs),
        due=added(run.due for run in runs),
        blocked=added(run.blocked for run in runs),
        missed=added(run.missed for run in runs),
        sent_total=sum(run.sent_total for run in runs),
        delivered_total=sum(run.delivered_total for run in runs),
        connections_opened=sum(run.connections_opened for run in runs),
        reconnects=sum(run.reconnects for run in runs),
        retries=sum(run.retries for run in runs),
        ticks=merged_ticks([run.ticks for run in runs]),
        health=merged_health([run.health for run in runs]),
        interrupted=interrupted and any(run.interrupted for run in runs),
        service_gone=_gone(gone, len(runs)),
        redirects_followed=sum(run.redirects_followed for run in runs),
        sessions_reused=sum(run.sessions_reused for run in runs),
        tls_fault=next((run.tls_fault for run in runs if run.tls_fault is not None), None),
        stalls=joined_stalls(stall for run in runs for stall in run.stalls),
        hopeless=next((run.hopeless for run in runs if run.hopeless is not None), None),
        failures=merged_failures([failed for run in runs for failed in run.failures]),
        values=tuple(values for run in runs for values in run.values),
    )


def merged_failures(failures: Sequence[FirstFailure]) -> tuple[FirstFailure, ...]:
    """The first of each kind, with the count of all shards."""
    kinds: dict[tuple[str, str, int, str], list[FirstFailure]] = {}
    for failed in failures:
        kinds.setdefault((failed.step, failed.outcome, failed.status, failed.reason), []).append(failed)
    return tuple(
        replace(min(alike, key=lambda failed: failed.at), count=sum(failed.count for failed in alike))
        for alike in kinds.values()
    )


def joined_stalls(stalls: Iterable[Stall]) -> tuple[Stall, ...]:
    """The stretches in which any shard stood still, in their order, none overlapping another."""
    found: list[Stall] = []
    for stall in sorted(stalls, key=lambda each: each.start):
        if found and stall.start <= found[-1].end:
            found[-1] = Stall(start=found[-1].start, end=max(found[-1].end, stall.end))
        else:
            found.append(stall)
    return tuple(found)


def _gone(reasons: Sequence[str], shards: int) -> str | None:
    if not reasons:
        return None
    return reasons[0] if shards == 1 else f"{reasons[0]} (so {len(reasons)} of {shards} shards)"


def added(books: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by name, summed over the shards' counts."""
    total: dict[str, int] = {}
    for book in books:
        for name, count in book.items():
            total[name] = total.get(name, 0) + count
    return total


def merged_ticks(shards: Sequence[Sequence[Tick]]) -> tuple[Tick, ...]:
    """The state of all shards, second by second; a shard that has ended stands with its last state.

    Every shard ticks a whole number of seconds after the common begin and leaves none out, so the n-th ticks belong together.
    """
    ticking = [ticks for ticks in shards if ticks]
    seconds = max(map(len, ticking), default=0)
    merged = []
    for second in range(seconds):
        now = [ticks[min(second, len(ticks) - 1)] for ticks in ticking]
        merged.append(
            Tick(
                at=max(tick.at for tick in now),
                connected=sum(tick.connected for tick in now),
                in_flight=sum(tick.in_flight for tick in now),
                sent=sum(tick.sent for tick in now),
                ok=sum(tick.ok for tick in now),
                failed=sum(tick.failed for tick in now),
            )
        )
    return tuple(merged)


def merged_health(shards: Sequence[GeneratorHealth]) -> GeneratorHealth:
    """The health of the worst shard, figure by figure; memory and collections are added up.

    The sum of the peaks of memory is an upper bound. The ports are those of one machine, as each shard saw them.
    """
    return GeneratorHealth(
        cpu_share=max(health.cpu_share for health in shards),
        steal_share=_known(max, (health.steal_share for health in shards)),
        loop_lag_p99=max(health.loop_lag_p99 for health in shards),
        loop_lag_max=max(health.loop_lag_max for health in shards),
        gc_full_collections=sum(health.gc_full_collections for health in shards),
        gc_pause_max=max(health.gc_pause_max for health in shards),
        rss_start=sum(health.rss_start for health in shards),
        rss_peak=sum(health.rss_peak for health in shards),
        descriptors_free=_known(min, (health.descriptors_free for health in shards)),
        ports_free=_known(min, (health.ports_free for health in shards)),
        memory_free=_known(min, (health.memory_free for health in shards)),
        throttled_share=_known(max, (health.throttled_share for health in shards)),
    )


def _known(worst: Callable[[list[N]], N], values: Iterable[N | None]) -> N | None:
    known = [value for value in values if value is not None]
    return worst(known) if known else None


def merged_progress(shards: Sequence[Progress]) -> Progress:
    """A view of all shards. Latencies are those of the worst shard, rates of error and hits the mean: it is a view only."""
    hits = [seen.hit_rate for seen in shards if seen.hit_rate is not None]
    offered = [seen.offered_rate for seen in shards if seen.offered_rate is not None]
    steps: dict[str, float] = {}
    layers: dict[str, float] = {}
    for seen in shards:
        for step, p95 in seen.steps:
            steps[step] = max(steps.get(step, 0.0), p95)
        for layer, share in seen.layers:
            layers[layer] = layers.get(layer, 0.0) + share / len(shards)
    return replace(
        shards[0],
        users=sum(seen.users for seen in shards),
        connected=sum(seen.connected for seen in shards),
        rate=_known(sum, (seen.rate for seen in shards)),
        offered_rate=sum(offered) if offered else None,
        p50=_known(max, (seen.p50 for seen in shards)),
        p95=_known(max, (seen.p95 for seen in shards)),
        p99=_known(max, (seen.p99 for seen in shards)),
        errors=sum(seen.errors for seen in shards),
        error_rate=sum(seen.error_rate for seen in shards) / len(shards),
        hit_rate=sum(hits) / len(hits) if hits else None,
        lateness_p99=_known(max, (seen.lateness_p99 for seen in shards)),
        elapsed=max(seen.elapsed for seen in shards),
        remaining=max(seen.remaining for seen in shards),
        steps=tuple(steps.items()),
        layers=tuple(layers.items()),
    )


class LayerNames:
    """The cache layers of the whole run, numbered in the order in which any shard first names them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def renumbered(self, samples: Samples, layers: Sequence[str]) -> Samples:
        """A shard's samples under the run's own cache codes. layers: the shard's names, in the order of its codes."""
        return replace(samples, cache=self.codes(layers)[samples.cache])

    def codes(self, layers: Sequence[str]) -> npt.NDArray[np.uint8]:
        """The run's own code of each of a shard's."""
        # From each of a shard's codes to the run's, so that a whole column is renumbered by one look-up.
        codes = np.arange(256, dtype=np.uint8)
        for code, name in enumerate(layers, start=FIRST_CACHE_LAYER):
            if name not in self.names and len(self.names) < CacheLayers.MOST:
                self.names.append(name)
            index = self.names.index(name) if name in self.names else CacheLayers.MOST - 1
            codes[code] = FIRST_CACHE_LAYER + index
        return codes
