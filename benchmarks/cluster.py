"""A load sent by the workers of a Dask cluster: exactness, start skew, faults, overhead, cost of putting samples together.

``python -m benchmarks.cluster``. Workers are processes of this machine that speak TLS; for most parts each is in a network
namespace of its own, which takes root. ``--tries``: how often each fault is made; ``--workers 1 2 3 7``: clusters whose
requests are compared with those of one process; ``--parts``: which parts are measured.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import trio
import trio.testing

from benchmarks.cluster_apart import held, show_apart
from benchmarks.cluster_load import send
from benchmarks.cluster_overhead import overhead
from benchmarks.processes import carry_out, module, our_environment
from benchmarks.table import Page, Table, at_most, figures_table, options
from velro_gate.cluster.channel import MOST_FRAME, FrameKind, WorkerChannel
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local import LocalCluster, local_cluster, more_workers
from velro_gate.cluster.options import ClusterOptions
from velro_gate.engine.shards.merge import LayerNames
from velro_gate.engine.shards.messages import SampleChunk
from velro_gate.model.run import Progress
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.model.scenario import OpenArrivals, Phase
from velro_gate.store.records import SampleWriter

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DETECTED, MERGE_SECONDS, MERGE_MEMORY = 5.0, 5.0, 1e9
CHUNK = 16_384
PARTS = ("merge", "local", "apart", "overhead", "held")
_NEVER = float("inf")


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
            rows.append(("one process", f"{whole.samples:,}", "", "", ""))
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
                    (f"{count} workers", f"{sent.samples:,}", f"{differ:,}", f"{skew * 1e3:.2f} ms", f"{known * 1e3:.3f} ms")
                )

    trio.run(main)
    return Table(
        title="The same requests, whatever the number of workers (target: 0 differences; skew at most 25 ms)",
        columns=("sent by", "samples", "differences", "start skew", "known to"),
        rows=tuple(rows),
    )


# Faults


FAULTS = ("worker killed", "worker frozen", "shard killed", "scheduler killed")


def fault(name: str) -> float:
    """Seconds from a fault in the middle of a load until the run has ended as broken; infinite where it does not."""
    phase = Phase(name="p", users=20, ramp=0.2, duration=60.0, arrivals=OpenArrivals(rate=200.0))
    made: list[float] = []
    # With more workers per process than one, killing one would kill all.
    with local_cluster(1) as local, more_workers(local, [1]) as other, workers(local, 2) as cluster:

        def harm(progress: Progress) -> None:
            if progress.elapsed < 1.0 or made:
                return
            made.append(time.perf_counter())
            if name == "worker killed":
                other.kill()
            elif name == "worker frozen":
                # The whole worker stands still, its shard included.
                for process in (psutil.Process(other.pid), *psutil.Process(other.pid).children(recursive=True)):
                    process.suspend()
            elif name == "shard killed":
                psutil.Process(other.pid).children()[0].kill()
            else:
                local.scheduler.send_signal(signal.SIGKILL)

        async def main() -> float:
            async with server() as running:
                sent = await send(running.url, phase, cluster, harm)
                took = time.perf_counter() - made[0]
                return took if sent.result.phases[0].shards_lost else _NEVER

        took = trio.run(main)
        if name == "worker frozen":
            with_children = (psutil.Process(other.pid), *psutil.Process(other.pid).children(recursive=True))
            for process in with_children:
                process.resume()
    return took


def head_killed() -> float:
    """Seconds from the end of a head that is killed until none of its processes is left, and the service gets nothing more."""
    with subprocess.Popen(
        module("benchmarks.cluster", "--only-head"), env=our_environment(), stdout=subprocess.PIPE, text=True
    ) as head:
        assert head.stdout is not None
        assert head.stdout.readline() == "loading\n"
        family = psutil.Process(head.pid).children(recursive=True)
        began = time.perf_counter()
        os.kill(head.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(family, timeout=20.0)
    return _NEVER if left else time.perf_counter() - began


def only_head() -> None:
    """What ``head_killed`` starts."""
    phase = Phase(name="p", users=20, ramp=0.2, duration=60.0, arrivals=OpenArrivals(rate=200.0))

    async def main() -> None:
        async with server() as running:
            with local_cluster(2) as local, workers(local, 2) as cluster:
                await send(running.url, phase, cluster, lambda _: print("loading", flush=True))

    trio.run(main)


def faults(tries: int) -> Table:
    """Each fault several times."""
    kinds: dict[str, Callable[[], float]] = {name: partial(fault, name) for name in FAULTS}
    kinds["head killed: nothing left after"] = head_killed
    rows = []
    for name, make in kinds.items():
        took = [make() for _ in range(tries)]
        within = sum(each <= DETECTED for each in took)
        rows.append((name, f"{within} of {tries}", f"{statistics.median(took):.2f} s", f"{max(took):.2f} s"))
    return Table(
        title="Seconds until a fault has ended the run", columns=("fault", "within 5 s", "median", "at most"), rows=tuple(rows)
    )


# Putting samples together


def merge(workers: int = 10, rows: int = 1_000_000) -> tuple[float, float]:
    """Seconds and bytes to put the samples of this many workers together on the head, in a process of its own."""
    said = subprocess.run(
        module("benchmarks.cluster", "--only-merge", workers, rows),
        env=our_environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    seconds, memory = said.stdout.split()
    return float(seconds), float(memory)


def piece() -> Samples:
    """Some samples."""
    random = np.random.default_rng(1)
    times = dict.fromkeys(("due", "sent", "done"), np.sort(random.random(CHUNK)))
    others = {name: random.integers(0, 100, CHUNK).astype(kind) for name, kind in COLUMNS.items() if name not in times}
    return Samples(**times, **others)


def only_merge(workers: int, rows: int) -> None:
    """What ``merge`` starts: pieces of 16,384 rows, as they come from the workers, renumbered and put side by side."""
    one = piece()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    layers = LayerNames()
    parts = [layers.renumbered(one, ("redis", "memory")) for _ in range(workers * rows // CHUNK)]
    whole = Samples.concatenate(parts)
    np.quantile(whole.response_time, (0.5, 0.95, 0.99))
    took = time.process_time() - began
    print(took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def head_cost(pieces: int = 200) -> float:
    """CPU seconds of the head for one sample: frames checked, values read, layers renumbered, rows kept in a file."""
    message = SampleChunk(phase="p", samples=piece(), layers=("redis", "memory"))

    async def main() -> float:
        ours, theirs = trio.testing.memory_stream_pair()
        keys = b"a" * 32, b"b" * 32
        worker = WorkerChannel(theirs, sends=keys[0], receives=keys[1], hang_up=theirs.send_stream.close)
        data = pickle.dumps(message, protocol=5)
        layers = LayerNames()
        with tempfile.TemporaryDirectory() as folder:
            writer = SampleWriter(Path(folder) / "samples.npz")
            head = WorkerChannel(ours, sends=keys[1], receives=keys[0], hang_up=ours.send_stream.close)
            spent = 0.0
            for _ in range(pieces):
                for first in range(0, len(data), MOST_FRAME):
                    await worker.send(FrameKind.BYTES, data[first : first + MOST_FRAME])
                began, got = time.process_time(), b""
                while len(got) < len(data):
                    frame = await head.receive()
                    assert frame is not None
                    got += frame[1]
                came = pickle.loads(got)
                writer.append("p", layers.renumbered(came.samples, came.layers))
                spent += time.process_time() - began
            writer.close()
        return spent / (pieces * CHUNK)

    return trio.run(main)


def show_merge(page: Page) -> None:
    """Samples put together, and what each costs on the way."""
    seconds, memory = merge()
    page.show(
        figures_table(
            "Samples of 10 workers x 1,000,000 put together",
            (
                at_most("seconds of CPU", seconds, MERGE_SECONDS, "{:.2f} s"),
                at_most("memory", memory / 1e6, MERGE_MEMORY / 1e6, "{:,.0f} MB"),
            ),
        )
    )
    page.say(f"The head spends {head_cost() * 1e6:.3f} µs of CPU on each sample that comes in.")


def main() -> None:
    """Measure, and print the figures next to their targets."""
    arguments = options(__doc__)
    arguments.add_argument("--tries", type=int, default=20)
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 7])
    arguments.add_argument("--apart", type=int, nargs="*", default=[2, 4, 8], help="as --workers, in network namespaces")
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-1])
    arguments.add_argument("--faults", nargs="*", default=[], help="words of the faults in namespaces to make; default: all")
    arguments.add_argument("--rate", type=float, default=2_000.0, help="of the overhead")
    arguments.add_argument("--seconds", type=float, default=20.0, help="of each load of the overhead, and of the users held")
    arguments.add_argument("--pairs", type=int, default=5)
    arguments.add_argument("--users", type=int, default=200_000, help="of the part held, which is measured when it is named")
    arguments.add_argument("--only-head", action="store_true", help="used by this program")
    arguments.add_argument("--only-merge", type=int, nargs=2, help="used by this program")
    wanted = arguments.parse_args()
    if wanted.only_head:
        return only_head()
    if wanted.only_merge:
        return only_merge(*wanted.only_merge)
    page, parts = Page(markdown=wanted.markdown), set(wanted.parts)
    if "merge" in parts:
        show_merge(page)
    if "local" in parts:
        page.show(exactness(wanted.workers))
        if wanted.tries:
            page.show(faults(wanted.tries))
    if "apart" in parts:
        show_apart(page, wanted.apart, wanted.tries, wanted.faults)
    if "overhead" in parts:
        page.show(overhead(wanted.rate, wanted.seconds, wanted.pairs))
    if "held" in parts:
        held(page, wanted.users, wanted.seconds)
    return None


if __name__ == "__main__":
    carry_out(main)
