"""One load sent by the workers of a cluster, as seen from the head: tasks, connections, clocks, and what becomes of each.

Rules. Each worker gets one task, pinned to it, without retries; its one-time ticket is all that Dask sees of the run. The
worker connects back, and the order goes over that connection only, to a ticket that was not shown before. So nothing that Dask
does with a task (moving it, repeating it, running it on a worker that was restarted) can send a request twice.

The clocks are compared before the load and while it runs. At the end the connections are closed and the tasks waited for; a
worker whose connection is closed ends its shard by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.cluster.attending import attended, known_errors
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.host import WorkerHost
from velro_gate.cluster.worker import SILENT
from velro_gate.engine.journeys.api import WALK
from velro_gate.engine.machine.forecast import descriptors_needed
from velro_gate.engine.run import Load, nobody
from velro_gate.engine.shards.hosts import Patience
from velro_gate.engine.shards.messages import ShardOrder
from velro_gate.engine.shards.run import run_on
from velro_gate.engine.shards.shipped import certificate_files, journey_sources
from velro_gate.model.run import LoadResult, PhaseRun, Progress
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase

SILENT_LOOKS, START_LOOKS = 3, 60
"""See Patience."""

_LEAD = 0.2
"""Seconds from the last shard's being ready until a phase begins, next to the round trips in which that is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Who gets what the load shows; see ``run_load``."""

    sink: Callable[[str, Samples], None]
    reduced: Callable[[str, Reduced], None] = nobody
    observe: Callable[[Progress], None]
    finished: Callable[[PhaseRun], None]
    began: Callable[[Phase, float], None]


async def run_on_cluster(
    cluster: Cluster,
    load: Load,
    *,
    origin: float,
    observers: Observers,
    stop: trio.Event | None = None,
    responder: bool = False,
    reduce: frozenset[str] = frozenset(),
) -> LoadResult:
    """``run_load`` by all workers of a cluster. responder: each sends to a responder of its own instead of the target. reduce:
    the phases whose samples the workers reduce.

    Raises:
        BrokenError: a worker cannot take part. Else as ``run_sharded``.
    """
    order = ShardOrder(
        load=load,
        # Nothing else of this machine's environment: that is not theirs to know.
        environ=dict(load.secrets),
        files=certificate_files(load.scenario.target),
        modules=journey_sources(load.scenario.journey),
        descriptors=descriptors_needed(load.phases, shards=cluster.count),
        responder=responder,
        reduced=reduce,
        silence=SILENT,
    )
    foreign_code = load.scenario.journey not in (None, WALK)
    async with known_errors(), attended(cluster, foreign_code=foreign_code) as hosts:
        farthest = max(host.clock.now.uncertainty for host in hosts)

        def start(zero: float) -> Sequence[WorkerHost]:
            """Have each worker's shard count from the run's start, on its own clock."""
            for host in hosts:
                host.begin(zero)
            return hosts

        return await run_on(
            start,
            order,
            origin=origin,
            sink=observers.sink,
            observe=observers.observe,
            finished=observers.finished,
            began=observers.began,
            stop=stop,
            patience=Patience(silent=SILENT_LOOKS, start=START_LOOKS, alive=True, lead=_LEAD + 4.0 * farthest),
            neighbours=cluster.neighbours,
            reduced=observers.reduced,
        )
