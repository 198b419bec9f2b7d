"""What all sources together add to a run that one process sends: ``python -m benchmarks.sources_in_run``; three minutes.

Each round has a stretch without sources, one in which a process of their own reads them, as a run does, and one in which
threads of the load's process read them, as runs did before; the order changes from round to round. The service is a sandbox
without simulated work, with a real Redis and a real PostgreSQL behind it. What is added is the mean over the rounds, with
Student's 95 % interval. CPU is that of a reader which has read each source before.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
import trio

from benchmarks.plans import Wanted, setup
from benchmarks.sources import MOST_P95, RATE
from benchmarks.table import Page, Table, options
from tests.servers import postgres_server, redis_server
from velro_gate.analysis.statistics.intervals import student
from velro_gate.arrays import Floats
from velro_gate.engine.run import Load, run_load
from velro_gate.model.run import Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Target
from velro_gate.monitor.reader import started_reader
from velro_gate.monitor.reader_process import ReadingOrder
from velro_gate.monitor.watching import watch
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings

ARMS = ("no sources", "a process of their own", "threads of the load's process")
SETTLE = 2.5
"""Seconds in which the sources are read before the load begins: a first reading imports clients and connects."""
FIGURES = ("p95", "p99", "lateness p95", "lateness p99")


def main() -> None:
    """Measure all rounds, and print what was added."""
    arguments = options(__doc__)
    arguments.add_argument("--rounds", type=int, default=12)
    arguments.add_argument("--seconds", type=float, default=5.0, help="Length of a stretch")
    wanted = arguments.parse_args()
    with (
        redis_server() as redis,
        postgres_server() as postgres,
        running_sandbox(Settings(work=False, redis_url=redis.url, database_url=postgres.url)) as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        made = setup(Path(folder), sandbox.url, Wanted(users=20, seconds=wanted.seconds, ramp=0.5, rate=RATE, path="/health"))
        load = Load(scenario=made.scenario, phases=made.phases, secrets=made.secrets)
        target = Target(url=sandbox.url, metrics_path="/metrics", watch=(("redis", redis.url), ("postgres", postgres.url)))
        order = ReadingOrder(target=target, service_is_local=True, every=1.0, run=os.getpid(), environ=dict(os.environ))
        found, shares = trio.run(_rounds, load, order, wanted.rounds)
    without = found[:, 0]
    rows = [(ARMS[0], *(f"{1e3 * float(np.median(without[:, i])):.3f} ms" for i in range(len(FIGURES))), "")]
    for arm in (1, 2):
        added = [_added(found[:, arm, i] - without[:, i]) for i in range(len(FIGURES))]
        rows.append((ARMS[arm], *added, f"{np.mean(shares[arm]):.2%}"))
    columns = ("read by", *FIGURES, "share of a core")
    title = f"all sources in a run of {RATE:.0f}/s, what they add below (at most {1e3 * MOST_P95:.1f} ms of p95)"
    Page(markdown=wanted.markdown).show(Table(title=title, columns=columns, rows=tuple(rows)))


def _added(differences: Floats) -> str:
    n = len(differences)
    reach = student(n - 1.0) * float(differences.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return f"{1e3 * float(differences.mean()):+.3f} +- {1e3 * reach:.3f} ms"


async def _rounds(load: Load, order: ReadingOrder, rounds: int) -> tuple[Floats, list[list[float]]]:
    """Figures by round and arm, and the CPU of the readers as a share of a core by arm."""
    found = np.empty((rounds, len(ARMS), len(FIGURES)))
    shares: list[list[float]] = [[] for _ in ARMS]
    for number in range(rounds):
        for place in range(len(ARMS)):
            arm = (number + place) % len(ARMS) if number % 2 == 0 else (number - place) % len(ARMS)
            found[number, arm], share = await _stretch(load, order, arm)
            shares[arm].append(share)
    # Of a thread's CPU: what the process takes more than without sources.
    base = float(np.mean(shares[0]))
    shares[2] = [share - base for share in shares[2]]
    return found, shares


async def _stretch(load: Load, order: ReadingOrder, arm: int) -> tuple[Floats, float]:
    parts: list[Samples] = []
    async with _read(order, arm) as spent:
        await trio.sleep(SETTLE)
        before, begin = spent(), perf_counter()
        await run_load(load, origin=trio.current_time(), sink=lambda _, samples: parts.append(samples))
        share = (spent() - before) / (perf_counter() - begin)
    samples = Samples.concatenate(parts)
    response, late = samples.done - samples.due, samples.sent - samples.due - samples.queued
    return np.array([np.quantile(column, q) for column in (response, late) for q in (0.95, 0.99)]), share


@asynccontextmanager
async def _read(order: ReadingOrder, arm: int) -> AsyncIterator[Callable[[], float]]:
    """Sources that are read from now on in this way; and the CPU seconds of the process that does it."""
    if arm != 1:
        async with trio.open_nursery() as nursery:
            origin = trio.current_time()
            sources = order.sources() if arm else ()
            now = partial(_since, origin)
            nursery.start_soon(partial(watch, sources, every=order.every, now=now, emit=_ignore, note=print))
            yield partial(_cpu, psutil.Process())
            nursery.cancel_scope.cancel()
        return
    async with started_reader(order) as reader, trio.open_nursery() as nursery:
        await reader.ready()
        now = partial(_since, trio.current_time())
        nursery.start_soon(partial(reader.read, zero=perf_counter(), now=now, emit=_ignore, note=print))
        yield partial(_cpu, psutil.Process(reader.pid))
        nursery.cancel_scope.cancel()


def _since(origin: float) -> float:
    return trio.current_time() - origin


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ignore(_: Reading) -> None:
    """Nobody keeps the readings."""


if __name__ == "__main__":
    main()
