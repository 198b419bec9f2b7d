"""A cluster of processes of this machine (``local:N``): the same requests, and the loss of its scheduler or its head.

Used by ``benchmarks.cluster``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import psutil
import trio

from benchmarks.cluster_faults import Try
from benchmarks.cluster_load import send
from benchmarks.processes import module, our_environment
from benchmarks.table import Table
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local.cluster import LocalCluster, local_cluster
from velro_gate.cluster.options import ClusterOptions
from velro_gate.model.run import Progress
from velro_gate.model.scenario import OpenArrivals, Phase

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = Phase(name="p", users=20, ramp=0.2, duration=60.0, arrivals=OpenArrivals(rate=200.0))
MOST_SKEW = 0.025
"""Seconds between the first worker's start and the last one's."""
_NEVER = float("inf")


def reached(whether: bool) -> str:
    """The verdict of a row."""
    return "reached" if whether else "NOT reached"


@dataclass
class Server:
    """Answers every request at once, and keeps it."""

    url: str
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection."""
        rest = b""
        async with stream:
            try:
                while data := await stream.receive_some(65_536):
                    *heads, rest = (rest + data).split(b"\r\n\r\n")
                    self.requests += heads
                    await stream.send_all(RESPONSE * len(heads))
            except trio.BrokenResourceError:
                return


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """A server in this loop."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        running = Server(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        nursery.start_soon(partial(trio.serve_listeners, running.serve, [listener]))
        yield running
        nursery.cancel_scope.cancel()


@contextmanager
def workers(local: LocalCluster, count: int) -> Iterator[Cluster]:
    """So that each fault is made in a cluster of its own choice of workers."""
    asked = ClusterOptions(address=local.address, workers=count, wait=30.0)
    with client_of(local.address, asked, local.security) as client:
        client.wait_for_workers(count, timeout=30)
        with workers_by_client(client, asked, lambda _: None) as cluster:
            yield cluster


# Exactness and start skew


def exactness(counts: Sequence[int]) -> Table:
    """Requests of clusters of several sizes, compared with those of one process."""
    phase = Phase(name="p", users=50, ramp=0.5, duration=4.0, arrivals=OpenArrivals(rate=500.0))
    rows = []

    async def main() -> None:
        async with server() as running:
            whole = await send(running.url, phase, None)
            expected, before = Counter(running.requests), len(running.requests)
            rows.append(("one process", f"{whole.samples:,}", "", "", "", ""))
            for count in counts:
                with local_cluster(count) as local, workers(local, count) as cluster:
                    sent = await send(running.url, phase, cluster)
                seen = Counter(running.requests[before:])
                before = len(running.requests)
                differ = (seen - expected).total() + (expected - seen).total()
                ran = sent.result.phases[0].workers
                skew = max(each.late for each in ran) - min(each.late for each in ran)
                known = max(each.uncertainty for each in ran)
                rows.append(
                    (
                        f"{count} workers",
                        f"{sent.samples:,}",
                        f"{differ:,}",
                        f"{skew * 1e3:.2f} ms",
                        f"{known * 1e3:.3f} ms",
                        reached(differ == 0 and skew <= MOST_SKEW),
                    )
                )

    trio.run(main)
    return Table(
        title="The same requests, whatever the number of workers (target: 0 differences; skew at most 25 ms)",
        columns=("sent by", "samples", "differences", "start skew", "known to", ""),
        rows=tuple(rows),
    )


# Whom all workers need


def scheduler_killed() -> Try:
    """In the middle of a load."""
    made: list[float] = []
    with local_cluster(2) as local, workers(local, 2) as cluster:

        def harm(progress: Progress) -> None:
            if progress.elapsed >= 1.0 and not made:
                made.append(time.perf_counter())
                local.scheduler.send_signal(signal.SIGKILL)

        async def main() -> Try:
            async with server() as running:
                sent = await send(running.url, LONG, cluster, harm)
                took = time.perf_counter() - made[0]
                (run,) = sent.result.phases
                said = "; ".join(run.shards_lost)
                return Try(
                    seconds=took if run.shards_lost else _NEVER,
                    said=said,
                    named=local.address in said,
                    kept=sent.samples > 50 and sent.samples == run.sent_total,
                )

        return trio.run(main)


def head_killed() -> Try:
    """Until none of its processes is left. It says nothing any more, and keeps nothing."""
    with subprocess.Popen(
        module("benchmarks.cluster", "--only-head"), env=our_environment(), stdout=subprocess.PIPE, text=True
    ) as head:
        assert head.stdout is not None
        assert head.stdout.readline() == "loading\n"
        family = psutil.Process(head.pid).children(recursive=True)
        began = time.perf_counter()
        os.kill(head.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(family, timeout=20.0)
    took = _NEVER if left else time.perf_counter() - began
    return Try(seconds=took, said="(it is gone, and so are its workers' shards)", named=True, alone=took)


LOST: dict[str, Callable[[], Try]] = {"scheduler killed": scheduler_killed, "head killed": head_killed}


def only_head() -> None:
    """What ``head_killed`` starts."""

    async def main() -> None:
        async with server() as running:
            with local_cluster(2) as local, workers(local, 2) as cluster:
                await send(running.url, LONG, cluster, lambda _: print("loading", flush=True))

    trio.run(main)
