"""What a cluster costs compared with shards of one machine, at the same rate: lateness and CPU. See ``benchmarks.cluster``."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trio

from benchmarks.cluster_load import Sent, send
from benchmarks.nginx import nginx
from benchmarks.processes import Meter
from benchmarks.table import Table
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local import LocalCluster, local_cluster
from velro_gate.cluster.options import ClusterOptions
from velro_gate.model.run import Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import OpenArrivals, Phase

WITHIN = 0.10
_SHARDS, _SETTLED = 2, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one load."""

    lateness: float
    """Seconds, p99 of the measured stretch."""
    cpu: float
    """Core-seconds of everything that sends, for a second of load."""
    shard: float
    """Share of a core of the busiest shard."""


class Usage:
    """CPU time of this process and of all that it has started but the service, between two moments of a load."""

    def __init__(self, service: Meter, until: float) -> None:
        self._all, self._service, self._until = Meter(os.getpid()), service, until
        self._seen: list[tuple[float, float]] = []

    def observe(self, progress: Progress) -> None:
        """Once a second."""
        if _SETTLED <= progress.elapsed <= self._until:
            self._seen.append((progress.elapsed, self._all.cpu_seconds() - self._service.cpu_seconds()))

    @property
    def rate(self) -> float:
        """Core-seconds a second; NaN where the load ended before it was seen twice."""
        if len(self._seen) < 2:
            return math.nan
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first)


def overhead(rate: float, seconds: float, pairs: int) -> Table:
    """Two shards and two workers by turns, against nginx."""
    phase = Phase(name="p", users=200, ramp=1.0, duration=seconds, arrivals=OpenArrivals(rate=rate))
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with nginx() as server, local_cluster(_SHARDS) as local:
        for pair in range(pairs):
            for clustered in (pair % 2 == 0, pair % 2 == 1):
                usage = Usage(server.meter, seconds)
                costs[clustered].append(_cost(_sent(server.url, phase, local if clustered else None, usage.observe), usage))
    shards, workers = costs[False], costs[True]
    rows = (
        _row("lateness p99", [each.lateness * 1e3 for each in shards], [each.lateness * 1e3 for each in workers], "{:.3f} ms"),
        _row(
            "CPU of the busiest shard, of a core", [each.shard for each in shards], [each.shard for each in workers], "{:.1%}"
        ),
        _row("CPU of everything that sends", [each.cpu for each in shards], [each.cpu for each in workers], "{:.3f} cores"),
    )
    return Table(
        title=f"{rate:,.0f} requests/s for {seconds:.0f} s by {_SHARDS} shards, and by as many workers: medians of {pairs} "
        f"(target: within {WITHIN:.0%})",
        columns=("figure", "--shards", "--cluster", "change", "largest and smallest of --shards"),
        rows=rows,
    )


def _row(name: str, shards: list[float], workers: list[float], shape: str) -> tuple[str, ...]:
    one, other = statistics.median(shards), statistics.median(workers)
    spread = f"{shape.format(min(shards))} to {shape.format(max(shards))}"
    return name, shape.format(one), shape.format(other), f"{other / one - 1.0:+.1%}", spread


def _sent(url: str, phase: Phase, local: LocalCluster | None, observe: Callable[[Progress], None]) -> Sent:
    async def main(cluster: Cluster | None) -> Sent:
        return await send(url, phase, cluster, observe, shards=_SHARDS)

    if local is None:
        return trio.run(main, None)
    asked = ClusterOptions(address=local.address, workers=_SHARDS, wait=30.0)
    with client_of(local.address, asked, local.security) as client:
        client.wait_for_workers(_SHARDS, timeout=30)
        with workers_by_client(client, asked, lambda _: None) as cluster:
            return trio.run(main, cluster)


def _cost(sent: Sent, usage: Usage) -> Cost:
    (run,) = sent.result.phases
    whole = Samples.concatenate(sent.parts)
    late = (whole.sent - whole.due)[whole.due >= run.measured_from]
    return Cost(lateness=float(np.quantile(late, 0.99)), cpu=usage.rate, shard=run.health.cpu_share)
