"""What a cluster costs compared with shards of one machine, at the same rate: lateness and CPU. See ``benchmarks.cluster``."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
import trio

from benchmarks.cluster_load import Sent, send
from benchmarks.nginx import nginx
from benchmarks.table import Table
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local import local_cluster
from velro_gate.cluster.options import ClusterOptions
from velro_gate.model.run import Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import OpenArrivals, Phase

WITHIN = 0.10
_SHARDS, _SETTLED = 2, 2.0


ROLES = {
    "velro_gate.engine.shards.process": "shards",
    "velro_gate.cluster.local_process": "Dask: scheduler and workers",
    "nginx": "service",
}
"""What a process is for, by a word of its command; this process is the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one load."""

    lateness: float
    """Seconds, p99 of the measured stretch."""
    cpu: dict[str, float]
    """Core-seconds for a second of load, by role."""

    @property
    def total(self) -> float:
        """Of everything that sends."""
        return sum(self.cpu.values())


class Usage:
    """CPU time of this process and of all that it has started but the service, between two moments of a load."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._seen: list[tuple[float, dict[str, float]]] = []

    def observe(self, progress: Progress) -> None:
        """Once a second; at the beginning and at the end it looks, since that takes CPU itself."""
        begins = not self._seen and progress.elapsed >= _SETTLED
        ends = len(self._seen) == 1 and progress.elapsed >= self._until - _SETTLED
        if begins or ends:
            self._seen.append((progress.elapsed, _cpu_by_role()))

    def rates(self) -> dict[str, float]:
        """Core-seconds a second; empty where the load ended before it was seen twice."""
        if len(self._seen) < 2:
            return {}
        (first, before), (last, after) = self._seen
        return {role: (seconds - before.get(role, 0.0)) / (last - first) for role, seconds in after.items()}


def _cpu_by_role() -> dict[str, float]:
    total: dict[str, float] = {}
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        role = "head" if process == here else next((role for word, role in ROLES.items() if word in command), "other")
        if role != "service":
            total[role] = total.get(role, 0.0) + times.user + times.system
    return total


def overhead(rate: float, seconds: float, pairs: int) -> Table:
    """Two shards and two workers by turns, against nginx. The cluster is there only while it sends."""
    phase = Phase(name="p", users=200, ramp=1.0, duration=seconds, arrivals=OpenArrivals(rate=rate))
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with nginx() as server:
        for pair in range(pairs):
            for clustered in (pair % 2 == 0, pair % 2 == 1):
                usage = Usage(seconds)
                costs[clustered].append(_cost(_sent(server.url, phase, usage.observe, clustered=clustered), usage))
    shards, workers = costs[False], costs[True]
    rows = [
        _row("lateness p99", [each.lateness * 1e3 for each in shards], [each.lateness * 1e3 for each in workers], "{:.3f} ms"),
        _row("CPU of everything that sends", [each.total for each in shards], [each.total for each in workers], "{:.3f} cores"),
    ]
    for role in ("head", *dict.fromkeys(ROLES.values()), "other"):
        of = [[each.cpu.get(role, 0.0) for each in side] for side in (shards, workers)]
        if any(map(any, of)):
            rows.append(_row(f"of it: {role}", *of, "{:.3f} cores"))
    return Table(
        title=f"{rate:,.0f} requests/s for {seconds:.0f} s by {_SHARDS} shards, and by as many workers: medians of {pairs} "
        f"(target: within {WITHIN:.0%})",
        columns=("figure", "--shards", "--cluster", "change", "smallest and largest change of a pair"),
        rows=tuple(rows),
    )


def _row(name: str, shards: list[float], workers: list[float], shape: str) -> tuple[str, ...]:
    one, other = statistics.median(shards), statistics.median(workers)
    if not one:
        return name, shape.format(one), shape.format(other), "", ""
    changes = [after / before - 1.0 for before, after in zip(shards, workers, strict=True) if before]
    spread = f"{min(changes):+.1%} to {max(changes):+.1%}"
    return name, shape.format(one), shape.format(other), f"{other / one - 1.0:+.1%}", spread


def _sent(url: str, phase: Phase, observe: Callable[[Progress], None], *, clustered: bool) -> Sent:
    async def main(cluster: Cluster | None) -> Sent:
        return await send(url, phase, cluster, observe, shards=_SHARDS)

    if not clustered:
        return trio.run(main, None)
    with local_cluster(_SHARDS) as local:
        asked = ClusterOptions(address=local.address, workers=_SHARDS, wait=30.0)
        with client_of(local.address, asked, local.security) as client:
            client.wait_for_workers(_SHARDS, timeout=30)
            with workers_by_client(client, asked, lambda _: None) as cluster:
                return trio.run(main, cluster)


def _cost(sent: Sent, usage: Usage) -> Cost:
    (run,) = sent.result.phases
    whole = Samples.concatenate(sent.parts)
    late = whole.lateness[whole.due >= run.measured_from]
    return Cost(lateness=float(np.quantile(late, 0.99)), cpu=usage.rates())
