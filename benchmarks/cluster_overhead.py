"""What a cluster costs compared with shards of one machine, at the same rate: lateness and CPU. See ``benchmarks.cluster``.

Loads are short and many, by shards and by workers in the order A-B-B-A, so that other work on the machine meets both alike.
What counts is the change within each pair: the median of all, with an interval that assumes nothing of how they are spread. The
same between shards and the shards of the next pair shows what the machine alone makes of it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import trio

from benchmarks.cluster_load import Sent, send
from benchmarks.nginx import nginx
from benchmarks.table import Table
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local.cluster import local_cluster
from velro_gate.cluster.options import ClusterOptions
from velro_gate.model.run import Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import OpenArrivals, Phase

WITHIN = 0.10
_SHARDS, _SETTLED = 2, 2.0


ROLES = {
    "velro_gate.engine.shards.process": "shards",
    "velro_gate.cluster.local.process": "Dask: scheduler and workers",
    "nginx": "service",
}
"""What a process is for, by a word of its command; this process is the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one load."""

    lateness: float
    """Seconds, p99 of the measured stretch."""
    usual: float
    """Seconds, the median of the p99 of each of its seconds: one stop of the machine does not move it."""
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
            command, seconds = " ".join(process.cmdline()), cpu_clock(process.pid)
        except (psutil.NoSuchProcess, OSError):
            continue
        role = "head" if process == here else next((role for word, role in ROLES.items() if word in command), "other")
        if role != "service":
            total[role] = total.get(role, 0.0) + seconds
    return total


def cpu_clock(pid: int) -> float:
    """CPU seconds of a process and all its threads, ended ones included, to the nanosecond: /proc counts in hundredths.

    Raises:
        OSError: there is no such process.
    """
    # As clock_getcpuclockid(3) makes the clock's number.
    return time.clock_gettime(~pid << 3 | 2)


def overhead(rate: float, seconds: float, pairs: int) -> Table:
    """Two shards and two workers by turns, against nginx. The cluster is there only while it sends."""
    phase = Phase(name="p", users=200, ramp=1.0, duration=seconds, arrivals=OpenArrivals(rate=rate))
    costs: dict[bool, list[Cost]] = {True: [], False: []}
    with nginx() as server:
        for pair in range(pairs):
            for clustered in (pair % 2 == 1, pair % 2 == 0):
                usage = Usage(seconds)
                costs[clustered].append(_cost(_sent(server.url, phase, usage.observe, clustered=clustered), usage))
    shards, workers = costs[False], costs[True]
    figures: dict[str, Callable[[Cost], float]] = {
        "lateness p99, ms": lambda cost: cost.lateness * 1e3,
        "lateness p99 of a usual second, ms": lambda cost: cost.usual * 1e3,
        "CPU of everything that sends, cores": lambda cost: cost.total,
    }
    rows = [
        _row(name, [of(each) for each in shards], [of(each) for each in workers], judged=True) for name, of in figures.items()
    ]
    for role in ("head", *dict.fromkeys(ROLES.values()), "other"):
        sides = [[each.cpu.get(role, 0.0) for each in side] for side in (shards, workers)]
        if any(map(any, sides)):
            rows.append(_row(f"of it: {role}", *sides, judged=False))
    for name, of in figures.items():
        alone = [of(each) for each in shards]
        rows.append(_row(f"{name}: shards against the next ones", alone[:-1:2], alone[1::2], judged=False))
    return Table(
        title=f"{rate:,.0f} requests/s for {seconds:.0f} s by {_SHARDS} shards, and by as many workers, {pairs} pairs "
        f"(target: change within {WITHIN:.0%})",
        columns=("figure", "--shards", "--cluster", "change", "95 % interval", "smallest, largest", ""),
        rows=tuple(rows),
    )


def _row(name: str, shards: Sequence[float], workers: Sequence[float], *, judged: bool) -> tuple[str, ...]:
    one, other = statistics.median(shards), statistics.median(workers)
    changes = [after / before - 1.0 for before, after in zip(shards, workers, strict=True) if before]
    if not changes:
        return name, f"{one:.3f}", f"{other:.3f}", "", "", "", ""
    found = median_interval(changes)
    said = "too few pairs" if found is None else f"{found[0]:+.1%} to {found[1]:+.1%}"
    whole = f"{min(changes):+.1%}, {max(changes):+.1%}"
    return (
        name,
        f"{one:.3f}",
        f"{other:.3f}",
        f"{statistics.median(changes):+.1%}",
        said,
        whole,
        verdict(found) if judged else "",
    )


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """An interval of the median that holds whatever the distribution: between two of the values, by the binomial distribution.

    None: there are too few values.
    """
    count, ordered = len(values), sorted(values)
    outside, found = 0.0, None
    for below in range(count // 2):
        # The median lies under the value number ``below`` where at most that many of all values do, likewise above.
        outside += 2.0 * math.comb(count, below) / 2.0**count
        if outside > 1.0 - confidence:
            break
        found = ordered[below], ordered[count - 1 - below]
    return found


def verdict(interval: tuple[float, float] | None) -> str:
    """Whether the whole interval lies within the target, or above it."""
    if interval is not None and interval[1] <= WITHIN:
        return "reached"
    if interval is not None and interval[0] > WITHIN:
        return "NOT reached"
    return "not decided: more pairs, or a quieter machine"


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
    measured = whole.due >= run.measured_from
    late, second = whole.lateness[measured], whole.due[measured].astype(int)
    each = [float(np.quantile(late[second == one], 0.99)) for one in np.unique(second)]
    return Cost(lateness=float(np.quantile(late, 0.99)), usual=statistics.median(each), cpu=usage.rates())
