"""Rules over the machine that measures: too little CPU, a neighbour, the generator's own limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from velro_gate.analysis.bottlenecks.observed import Observed
from velro_gate.analysis.bottlenecks.service import LEAST_READINGS
from velro_gate.model.facts.bottlenecks import GENERATOR_CPU, Bottleneck, GeneratorLimit, NoisyNeighbour, RunnerCpu

FULL = 0.95
"""Of all cores' time, from which on the machine has none left."""

STEAL = 0.10
"""Share of all CPU time that the hypervisor gave to other machines (steal of proc_stat(5)), the median."""
NEIGHBOUR = 0.25
"""Of one core: the least use of a process that is named."""

LATE_SHARE = 0.2
"""Of the tightest latency limit; without one, LATE seconds."""

LATE = 0.02
"""Seconds."""
STOOD_STILL = 0.05
"""Of the measured stretch."""

_PREFIX, _SUFFIX = "process_", "_cpu_share"


def starved_runner(seen: Observed) -> Iterator[Bottleneck]:
    """No core is free, and it is not generator and service alone that use them."""
    at, busy = seen.gauge("runner", "cpu_share")
    if len(at) < LEAST_READINGS:
        return
    _, steal = seen.gauge("runner", "steal_share")
    taken = float(np.median(steal)) if len(steal) else 0.0
    full = busy >= FULL
    share = float(full.mean())
    others = neighbours(seen)
    # Service and generator alone may use all cores: that is load and no starvation.
    if taken < STEAL and (share < 0.5 or sum(used for _, used in others) < NEIGHBOUR):
        return
    moments = at[full] if bool(full.any()) else at
    yield Bottleneck(
        start=seen.since(float(moments[0])),
        end=seen.since(float(moments[-1])),
        strength=max(share, min(0.5 + taken, 1.0) if taken >= STEAL else 0.0),
        series=("runner/cpu_share", *(f"runner/{_PREFIX}{name}{_SUFFIX}" for name, _ in others)),
        facts=RunnerCpu(share=float(np.median(busy)), others=tuple(others[:3]), steal=taken),
    )


def neighbours(seen: Observed) -> list[tuple[str, float]]:
    """Other processes and their share of a core over the whole stretch, the busiest first."""
    looks = max((len(at) for (source, name), (at, _) in seen.series.items() if _is_process(source, name)), default=0)
    found = []
    for (source, name), (_, used) in seen.series.items():
        if _is_process(source, name) and len(used) >= 2:
            # Where it was not seen it used next to nothing.
            found.append((name.removeprefix(_PREFIX).removesuffix(_SUFFIX), float(used.sum() / looks)))
    return sorted((one for one in found if one[1] >= NEIGHBOUR), key=lambda one: -one[1])


def _is_process(source: str, name: str) -> bool:
    return source == "runner" and name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def noisy_neighbour(seen: Observed) -> Iterator[Bottleneck]:
    """The busiest other process, where it takes a quarter of a core or more."""
    for name, share in neighbours(seen)[:1]:
        series = f"{_PREFIX}{name}{_SUFFIX}"
        at, _ = seen.gauge("runner", series)
        yield Bottleneck(
            start=seen.since(float(at[0])),
            end=seen.since(float(at[-1])),
            strength=min(0.4 + share / 2.0, 1.0),
            series=(f"runner/{series}",),
            facts=NoisyNeighbour(process=name.replace("_", " "), share=share),
        )


def generator_limit(seen: Observed) -> Iterator[Bottleneck]:
    """The generator's CPU, its lateness, arrivals that it missed, or the time for which it stood still."""
    health, limit = seen.run.health, seen.phase.tightest_latency_limit
    lateness = seen.summary.measurement("lateness_p99")
    late = None if lateness is None else lateness.value
    missed = sum(seen.run.missed.values())
    # Lateness matters by what it adds to the figures, so by the limit that these are held to.
    most = LATE if limit is None else LATE_SHARE * limit
    still = seen.summary.stalled
    reasons = (
        health.cpu_share >= GENERATOR_CPU,
        late is not None and late >= most,
        missed > 0,
        seen.seconds > 0.0 and still >= STOOD_STILL * seen.seconds,
    )
    if not any(reasons):
        return
    yield Bottleneck(
        start=0.0,
        end=seen.seconds,
        strength=min(0.5 + 0.25 * sum(reasons), 1.0),
        series=("generator/cpu_share", "generator/lateness"),
        facts=GeneratorLimit(cpu=health.cpu_share, late=late, missed=missed, stalled=still),
    )
