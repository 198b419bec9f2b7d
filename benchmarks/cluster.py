"""A load sent by the workers of a Dask cluster: exactness, start skew, faults, overhead, cost of putting samples together.

``python -m benchmarks.cluster --parts PART``. Workers are processes of this machine that speak TLS; for most parts each is in a
network namespace of its own, which takes root. The parts, and how long each takes on two quiet cores:

    merge     samples of 10 workers put together: 5 s of CPU, 1 GB                 1 minute
    reduced   --samples 10 10000000 reduced on the workers: 30 s, 2 GB, .5 %       2 minutes
    local     requests of --workers 1 2 3 7, by local:N: 0 differ, skew 25 ms      1 minute
    apart     the same of --apart 2 4 8, in namespaces                             1 minute
    late      workers that join late: one that is waited for takes part            1 minute
    faults    each fault --tries 20 times, in --lanes 3 clusters at once: 5 s      20 to 30 minutes
    repeat    a task that Dask repeats, --tries 20 times: 0 requests more          4 minutes
    overhead  --pairs 12 loads by --shards and by --cluster by turns: 10 %         6 minutes
    held      --users 200000 held over namespaces; takes 5 GB                      8 minutes; only when it is named

What is behind the colon is the target. The figures that were measured are in docs/cluster.md.

The tries of the faults are kept in the folder --kept as they are made: the same command goes on where it was interrupted, and
makes only those that are missing. ``--faults WORD...`` chooses faults by words of their names.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trio
import trio.testing

from benchmarks.cluster_apart import held, show_apart, show_late, show_repetition
from benchmarks.cluster_local import exactness, only_head
from benchmarks.cluster_overhead import overhead
from benchmarks.cluster_reduced import only_reduced, show_reduced
from benchmarks.cluster_tries import faults, lane
from benchmarks.processes import carry_out, module, our_environment
from benchmarks.table import Page, at_most, figures_table, options
from velro_gate.cluster.channel import MOST_FRAME, FrameKind, WorkerChannel
from velro_gate.engine.shards.encoding import packed_message, unpacked_message
from velro_gate.engine.shards.merge import LayerNames
from velro_gate.engine.shards.messages import SampleChunk
from velro_gate.model.samples import COLUMNS, Samples
from velro_gate.store.records import SampleWriter

MERGE_SECONDS, MERGE_MEMORY = 5.0, 1e9
CHUNK = 16_384
PARTS = ("merge", "reduced", "local", "apart", "late", "faults", "repeat", "overhead", "held")


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
    others = {name: random.integers(0, 10, CHUNK).astype(kind) for name, kind in COLUMNS.items() if name not in times}
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
        data = packed_message(message)
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
                came = unpacked_message(got)
                assert isinstance(came, SampleChunk)
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
    arguments.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:-1])
    arguments.add_argument("--tries", type=int, default=20)
    arguments.add_argument("--lanes", type=int, default=3, help="clusters in which faults are made at the same time")
    arguments.add_argument("--kept", type=Path, default=Path("cluster-faults"), help="folder of the tries of the faults")
    arguments.add_argument("--faults", nargs="*", default=[], help="words of the faults to make; default: all")
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 7])
    arguments.add_argument("--apart", type=int, nargs="+", default=[2, 4, 8], help="as --workers, in network namespaces")
    arguments.add_argument("--rate", type=float, default=2_000.0, help="of the overhead")
    arguments.add_argument("--seconds", type=float, help="of each load of the overhead (10), and of the users held (20)")
    arguments.add_argument("--pairs", type=int, default=12, help="of the overhead")
    arguments.add_argument("--users", type=int, default=200_000, help="of the part held")
    arguments.add_argument("--only-head", action="store_true", help="used by this program")
    arguments.add_argument("--only-lane", action="store_true", help="used by this program")
    arguments.add_argument("--samples", type=int, nargs=2, default=[10, 10_000_000], help="of reduced: workers, rows of each")
    arguments.add_argument("--length", type=float, default=5_000.0, help="seconds of the phase in which they came")
    arguments.add_argument("--only-reduced", nargs=5, help="used by this program")
    arguments.add_argument("--only-merge", type=int, nargs=2, help="used by this program")
    wanted = arguments.parse_args()
    if wanted.only_head:
        return only_head()
    if wanted.only_lane:
        return lane(wanted.kept, wanted.tries, wanted.faults)
    for asked, measured in ((wanted.only_reduced, only_reduced), (wanted.only_merge, only_merge)):
        if asked:
            return measured(*asked)
    if len(wanted.parts) > 1:
        # A process each: trio keeps threads for a while, and those of one part would be in its namespace still.
        for part in wanted.parts:
            subprocess.run(module("benchmarks.cluster", *sys.argv[1:], "--parts", part), env=our_environment(), check=True)
        return None
    page = Page(markdown=wanted.markdown)
    shown: dict[str, Callable[[], None]] = {
        "merge": lambda: show_merge(page),
        "reduced": lambda: show_reduced(page, *wanted.samples, wanted.length),
        "local": lambda: page.show(exactness(wanted.workers)),
        "apart": lambda: show_apart(page, wanted.apart),
        "late": lambda: show_late(page),
        "faults": lambda: faults(page, wanted.kept, wanted.tries, wanted.lanes, wanted.faults),
        "repeat": lambda: show_repetition(page, wanted.tries),
        "overhead": lambda: page.show(overhead(wanted.rate, wanted.seconds or 10.0, wanted.pairs)),
        "held": lambda: held(page, wanted.users, wanted.seconds or 20.0),
    }
    for part in PARTS:
        if part in wanted.parts:
            shown[part]()
    return None


if __name__ == "__main__":
    carry_out(main)
