"""One load, by the workers of a cluster or by processes of this machine. Used by ``benchmarks.cluster``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.head import Observers, run_on_cluster
from velro_gate.engine.run import Load
from velro_gate.engine.shards.run import run_sharded
from velro_gate.model.run import LoadResult, PhaseRun, Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import NoAuth, OpenArrivals, Phase, Scenario, Step, Target

STEPS = tuple(
    Step(name=name, method="GET", path=f"/{name}/${{user.id}}", probability=share, timeout=2.0)
    for name, share in (("list", 1.0), ("open", 0.5))
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a load left behind."""

    result: LoadResult
    seconds: float
    parts: tuple[Samples, ...]

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(map(len, self.parts))


async def send(
    url: str, phase: Phase, cluster: Cluster | None, observe: Callable[[Progress], None] = lambda _: None, *, shards: int = 1
) -> Sent:
    """One phase, by a cluster or by this many processes."""
    scenario = Scenario(name="b", description="", digest="d", target=Target(url=url), auth=NoAuth(), steps=STEPS)
    load = Load(scenario=scenario, phases=(phase,))
    parts: list[Samples] = []
    began = time.perf_counter()

    def sink(_: str, samples: Samples) -> None:
        parts.append(samples)

    origin = trio.current_time()
    if cluster is None:
        result = await run_sharded(load, shards, origin=origin, sink=sink, observe=observe)
    else:

        def finished(_: PhaseRun) -> None:
            """Nobody waits for it."""

        observers = Observers(sink=sink, observe=observe, finished=finished, began=lambda _, __: None)
        result = await run_on_cluster(cluster, load, origin=origin, observers=observers)
    return Sent(result=result, seconds=time.perf_counter() - began, parts=tuple(parts))


def against(url: str, cluster: Cluster, observe: Callable[[Progress], None], rate: float) -> Sent:
    """Some seconds of requests, in which something happens to the cluster."""
    phase = Phase(name="p", users=20, ramp=0.2, duration=30.0, arrivals=OpenArrivals(rate=rate))
    return trio.run(send, url, phase, cluster, observe)
