"""One load sent: by processes of this machine, or by the workers of a cluster where the run has one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.fit import require_capable, require_sendable
from velro_gate.cluster.forecast import Unreduced, cluster_forecast, phases_to_reduce, require_room_for_samples
from velro_gate.cluster.head import Observers, run_on_cluster
from velro_gate.engine.machine.feasibility import Shortfall
from velro_gate.engine.machine.limits import read_machine
from velro_gate.engine.run import Load, nobody
from velro_gate.engine.shards.run import run_sharded
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.run import LoadResult, PhaseRun, Progress, WorkerRun, seconds_apart
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase
from velro_gate.units import format_bytes, format_seconds


async def send_load(
    setup: Setup,
    shards: int,
    load: Load,
    *,
    origin: float,
    sink: Callable[[str, Samples], None],
    observe: Callable[[Progress], None] = nobody,
    finished: Callable[[PhaseRun], None] = nobody,
    began: Callable[[Phase, float], None] = nobody,
    stop: trio.Event | None = None,
    responder: bool = False,
    reduce: frozenset[str] = frozenset(),
    reduced: Callable[[str, Reduced], None] = nobody,
) -> LoadResult:
    """``run_sharded``, or ``run_on_cluster``. responder: on a cluster, to a responder on each worker's own machine.

    reduce: the phases whose samples the workers of a cluster reduce; reduced: gets these.
    """
    if setup.cluster is None:
        return await run_sharded(
            load, shards, origin=origin, sink=sink, observe=observe, finished=finished, began=began, stop=stop
        )
    return await run_on_cluster(
        setup.cluster,
        load,
        origin=origin,
        observers=Observers(sink=sink, reduced=reduced, observe=observe, finished=finished, began=began),
        stop=stop,
        responder=responder,
        reduce=reduce,
    )


def phases_reduced(setup: Setup) -> frozenset[str]:
    """The phases of a run whose samples the workers of its cluster reduce; none where this machine sends the load."""
    return frozenset() if setup.cluster is None else phases_to_reduce(setup.phases, setup.scenario, setup.cluster.raw)


def make_room_on_cluster(
    setup: Setup, cluster: Cluster, warn: Callable[[Shortfall], None], log: logging.Logger, *, kept: Unreduced | None = None
) -> int:
    """Refuse what the workers cannot do, and pass on what may blur the figures. How many they are. kept: why they reduce the
    samples of no phase; None: they may.

    Raises:
        UsageError: they must not, or cannot, be given this plan. InfeasibleError: a machine of theirs cannot carry its part.
    """
    require_sendable(cluster, setup.scenario, setup.secrets, service_is_local=setup.service_is_local)
    expected = cluster_forecast(setup.phases, setup.scenario, cluster.count, cluster.raw, kept=kept)
    require_room_for_samples(expected, read_machine().memory)
    for short in require_capable(cluster, setup.phases, setup.scenario, service_is_local=setup.service_is_local):
        warn(short)
    for name in expected.reduced:
        log.info("phase %s: the workers reduce its samples, more than %s", name, format_bytes(cluster.raw))
    log.info("sent by %d workers of the cluster at %s: %s", cluster.count, cluster.scheduler, cluster.shape)
    return cluster.count


def start_skew(workers: tuple[WorkerRun, ...]) -> str:
    """How far apart the workers began a phase, in words."""
    last = max(workers, key=lambda each: each.late)
    apart = format_seconds(seconds_apart(workers))
    return f"start skew of {len(workers)} workers up to {apart}; the last to begin was {last.name}"
