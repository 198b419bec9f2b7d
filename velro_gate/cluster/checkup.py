"""What a cluster is like without a load: round trips, clocks, bandwidth, limits of each worker. For the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import trio

from velro_gate.cluster.attending import attended, known_errors
from velro_gate.cluster.channel import MOST_FRAME, FrameKind
from velro_gate.cluster.clock import wall_offset
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.facts import WorkerFacts
from velro_gate.cluster.host import WorkerHost

BANDWIDTH_BYTES = 4 * 2**20
"""Sent to each worker, one after the other."""

_SECONDS = 20.0
"""How long the bytes that measure a worker's connection may take."""
_LOOK_EVERY = 0.001
"""Seconds between two looks for the last answer: the grain of the time that the bandwidth is computed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCheck:
    """One worker."""

    name: str
    facts: WorkerFacts
    round_trip: float
    """Seconds of the fastest one."""
    time_of_day: float
    """Seconds by which its clock is ahead of ours."""
    bandwidth: float | None
    """Bytes per second from here to it, or None where they did not arrive in time."""


async def check_workers(cluster: Cluster) -> list[WorkerCheck]:
    """Connect to every worker as a load would, measure, and hang up.

    Raises:
        BrokenError: one cannot take part in a load.
    """
    async with known_errors(), attended(cluster, watched=False) as hosts:
        return [
            WorkerCheck(
                name=host.name,
                facts=facts,
                round_trip=2.0 * host.clock.now.uncertainty,
                time_of_day=wall_offset(host.walls).seconds,
                bandwidth=await _bandwidth(host),
            )
            for host, facts in zip(hosts, cluster.facts, strict=True)
        ]


async def _bandwidth(host: WorkerHost) -> float | None:
    """Bytes that no shard waits for are dropped there; the answer to a ping after them shows that all have come."""
    began = perf_counter()
    with trio.move_on_after(_SECONDS):
        for _ in range(BANDWIDTH_BYTES // MOST_FRAME):
            await host.channel.send(FrameKind.BYTES, bytes(MOST_FRAME))
        # Sending ends when the bytes lie in buffers; the answer to what was sent after them shows that they have arrived.
        asked = await host.ping_once()
        while host.answered < asked:
            await trio.sleep(_LOOK_EVERY)
        return BANDWIDTH_BYTES / (perf_counter() - began)
    return None
