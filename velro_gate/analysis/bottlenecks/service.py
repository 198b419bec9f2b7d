"""Rules over what was read of the service and of what it depends on: CPU, memory, pool, locks, statements, dependencies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from velro_gate.analysis.bottlenecks.observed import Observed, longest_run
from velro_gate.analysis.summaries.growth import growth
from velro_gate.model.facts.bottlenecks import (
    Bottleneck,
    DependencyDown,
    LockWaits,
    MemoryGrowth,
    PoolExhausted,
    ServiceCpu,
    SlowQuery,
)
from velro_gate.model.metrics import LONG_STRETCH

LEAST_READINGS = 3
"""Fewer are no series."""

BUSY = 0.9
"""Of a core, from which on a process has none left."""

GROWTH = 0.10
"""Of resident memory a minute, and GROWTH_BYTES: what a short phase can distinguish from a warm-up. Long phases are
judged by ``rss_growth`` itself."""

GROWTH_BYTES = 16.0 * 2**20
"""Bytes a minute."""

SHORT_GROWTH = 0.4
"""The most that growth in a stretch under LONG_STRETCH weighs: a process that has just started grows as a leak does."""

SLOW_QUERY = 0.5
"""Seconds of one statement that many requests of a service cannot afford."""

_DEPENDENCIES = ("redis", "database")


def pool_exhausted(seen: Observed) -> Iterator[Bottleneck]:
    """All connections in use, and requests that wait for one; without a count of these, in nearly all readings."""
    at, used = seen.gauge("service", "database_pool_in_use")
    _, size = seen.gauge("service", "database_pool_size")
    if len(at) < LEAST_READINGS or len(size) != len(at):
        return
    _, waiting = seen.gauge("service", "database_pool_waiting")
    full = (used >= 0.95 * size) & (size > 0.0)
    known = len(waiting) == len(at)
    if known:
        full &= waiting >= 1.0
    share = float(full.mean())
    # A pool that is full is only well used; it holds requests back where some wait. Where nobody counts those, it has to be
    # full nearly always.
    if share < (0.4 if known else 0.8):
        return
    moments = at[full]
    yield Bottleneck(
        start=seen.since(float(moments[0])),
        end=seen.since(float(moments[-1])),
        strength=share,
        series=("service/database_pool_in_use", "service/database_pool_size")
        + (("service/database_pool_waiting",) if known else ()),
        facts=PoolExhausted(
            size=float(np.median(size)), share=share, waiting=float(np.median(waiting[full])) if known else None
        ),
    )


def cpu_bound_service(seen: Observed) -> Iterator[Bottleneck]:
    """The service's busiest process uses a whole core for half of the stretch or more."""
    name = "cpu_busiest"
    at, used = seen.gauge("service", name)
    if len(at) < LEAST_READINGS:
        # One process: what all of them use is what the busiest one uses.
        _, processes = seen.gauge("service", "processes")
        if not len(processes) or float(processes.max()) > 1.0:
            return
        name = "cpu_seconds"
        at, used = seen.rate("service", name)
    if len(at) < LEAST_READINGS:
        return
    busy = used >= BUSY
    share = float(busy.mean())
    if share < 0.5:
        return
    yield Bottleneck(
        start=seen.since(float(at[busy][0])),
        end=seen.since(float(at[busy][-1])),
        strength=share,
        series=(f"service/{name}",),
        facts=ServiceCpu(share=float(np.median(used[busy]))),
    )


def memory_growth(seen: Observed) -> Iterator[Bottleneck]:
    """Resident memory certainly grows, and by more than a warm-up; weak evidence in a stretch that may all be warm-up."""
    at, rss = seen.gauge("service", "rss")
    found = growth(at, rss)
    if found is None or len(rss) < LEAST_READINGS:
        return
    usual = float(np.median(rss))
    # By the lower end of the interval: growth that may as well be nothing is not reported.
    if found.low < max(GROWTH * usual, GROWTH_BYTES) or usual <= 0.0:
        return
    yield Bottleneck(
        start=seen.since(float(at[0])),
        end=seen.since(float(at[-1])),
        strength=min(found.low / (2.0 * GROWTH * usual), 1.0 if seen.seconds >= LONG_STRETCH else SHORT_GROWTH),
        series=("service/rss",),
        facts=MemoryGrowth(rate=found.value, low=found.low, share=found.value / usual),
    )


def lock_waits(seen: Observed) -> Iterator[Bottleneck]:
    """Database sessions wait for locks in a third of the readings or more."""
    name = "locks_waiting"
    at, waiting = seen.gauge("database", name)
    if not len(at):
        # A server of which no locks are read: sessions that wait, for whatever it may be.
        name = "connections_waiting"
        at, waiting = seen.gauge("database", name)
    if len(at) < LEAST_READINGS:
        return
    held = waiting >= 1.0
    share = float(held.mean())
    if share < 1.0 / 3.0:
        return
    _, longest = seen.gauge("database", "longest_wait")
    yield Bottleneck(
        start=seen.since(float(at[held][0])),
        end=seen.since(float(at[held][-1])),
        strength=min(1.5 * share, 1.0),
        series=(f"database/{name}",),
        facts=LockWaits(waiting=float(np.median(waiting[held])), longest=float(longest.max()) if len(longest) else None),
    )


def slow_query(seen: Observed) -> Iterator[Bottleneck]:
    """A statement that runs for long while nobody waits for a lock."""
    at, longest = seen.gauge("database", "longest_query")
    if len(at) < LEAST_READINGS:
        return
    waits_at, waits = seen.gauge("database", "longest_wait")
    if len(waits_at) == len(at):
        # What waits for a lock runs for long, too, and is no slow statement.
        longest = np.where(waits >= 0.9 * longest, 0.0, longest)
    slow = longest >= SLOW_QUERY
    share = float(slow.mean())
    if share < 1.0 / 3.0:
        return
    yield Bottleneck(
        start=seen.since(float(at[slow][0])),
        end=seen.since(float(at[slow][-1])),
        strength=min(1.5 * share, 1.0),
        series=("database/longest_query",),
        facts=SlowQuery(longest=float(longest.max()), statement=_busiest_statement(seen)),
    )


def _busiest_statement(seen: Observed) -> str:
    """The first words of the statement that took most time in the stretch; empty where statements are not counted."""
    spent = {}
    for source, name in seen.series:
        if source == "database" and name.startswith("statement_") and name.endswith("_seconds"):
            _, value = seen.gauge(source, name)
            spent[name] = float(value[-1] - value[0])
    if not spent or max(spent.values()) <= 0.0:
        return ""
    name = max(spent, key=lambda one: spent[one])
    return name.removeprefix("statement_").removesuffix("_seconds").replace("_", " ")


def dependency_down(seen: Observed) -> Iterator[Bottleneck]:
    """What the service depends on does not answer the monitor twice in a row or more."""
    for source in _DEPENDENCIES:
        at, up = seen.gauge("monitor", f"{source}_up")
        found = longest_run(at, up < 0.5) if len(at) else None
        if found is None or found[2] < 2:
            continue
        start, end, readings = found
        yield Bottleneck(
            start=seen.since(start),
            end=seen.since(end),
            strength=min(0.5 + readings / 10.0, 1.0),
            series=(f"monitor/{source}_up",),
            facts=DependencyDown(source=source, seconds=end - start),
        )
