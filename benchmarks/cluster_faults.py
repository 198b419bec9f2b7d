"""Faults of a cluster in network namespaces: how long each takes to end a load, or to have it refused."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import trio

from benchmarks.cluster_load import Sent
from benchmarks.cluster_site import Site, Worker, dask_worker
from benchmarks.processes import ROOT, our_environment
from velro_gate.cluster.attending import attended, known_errors
from velro_gate.cluster.connect import Cluster
from velro_gate.errors import BrokenError
from velro_gate.model.run import Progress

DETECTED = 5.0
"""Seconds in which every fault has to end the load, or have it refused."""

VICTIM = 1
"""Index of the worker that something happens to; its link can be slowed down."""

CUT_OFF, FROZEN = "worker cut off (its link is down)", "worker frozen"
_NEVER = float("inf")
_MOST_SECONDS = 30.0

Send = Callable[[Cluster, Callable[[Progress], None], float], Sent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """How one fault ended."""

    seconds: float
    """Until the load had ended as broken, or was refused."""
    said: str
    """With which words."""
    named: bool
    """Whether they name the worker, or whatever it was."""
    kept: bool = True
    """Whether there were samples, as many as were counted."""
    alone: float = 0.0
    """Seconds until no process was sending any more."""
    afterwards: int = 0
    """Requests that the service got after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Something that happens while a load is sent. named: what the report has to name; None: the victim."""

    make: Callable[[Site], object]
    undo: Callable[[Site], object] = lambda _: None
    rate: float = 200.0
    """Requests a second; with more of them memory is used sooner."""
    named: str | None = None


def victim(running: Site) -> Worker:
    """The worker that something happens to."""
    return running.workers[VICTIM]


def harmed(running: Site, harm: Harm, send: Send) -> Try:
    """One fault in the middle of a load."""
    made: list[float] = []

    def strike(progress: Progress) -> None:
        if progress.elapsed >= 1.0 and not made:
            made.append(time.perf_counter())
            harm.make(running)

    with running.joined(2) as cluster:
        try:
            kept = send(cluster, strike, harm.rate)
        except BaseException:
            harm.undo(running)
            raise
        took = time.perf_counter() - made[0]
        while running.shards() and time.perf_counter() - made[0] < _MOST_SECONDS:
            time.sleep(0.02)
        alone = time.perf_counter() - made[0]
        names = [harm.named or cluster.names[VICTIM]]
    before = running.service.count()
    harm.undo(running)
    running.settle()
    (run,) = kept.result.phases
    return Try(
        seconds=took if run.shards_lost else _NEVER,
        said="; ".join(run.shards_lost),
        named=any(name in said for name in names for said in run.shards_lost),
        kept=kept.samples > 50 and kept.samples == run.sent_total,
        alone=alone,
        afterwards=running.service.count() - before,
    )


def suspend(running: Site) -> None:
    """The whole worker stands still."""
    for each in victim(running).processes():
        each.suspend()


def resume(running: Site) -> None:
    """It goes on."""
    for each in victim(running).processes():
        each.resume()


def slow_down(seconds: float) -> Callable[[Site], None]:
    """Every packet of the victim takes this much longer, either way."""

    def make(running: Site) -> None:
        link = victim(running).namespace.slow
        assert link is not None
        link.delay(seconds)

    return make


def out_of_address_space(running: Site) -> None:
    """The victim's shard gets no more memory, by a limit on its process."""
    (shard,) = victim(running).shards()
    resource.prlimit(shard.pid, resource.RLIMIT_AS, (shard.memory_info().vms, shard.memory_info().vms))


class OutOfMemory:
    """The victim's shard and a process that takes all memory share a control group: the kernel kills the shard first."""

    def __init__(self) -> None:
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        parent, self._limit, self._used = (
            (old, "memory.limit_in_bytes", "memory.usage_in_bytes") if old.exists() else (new, "memory.max", "memory.current")
        )
        self._group = parent / f"velro-{os.getpid()}"
        self._hog: subprocess.Popen[bytes] | None = None

    def make(self, running: Site) -> None:
        """Now."""
        self._group.mkdir(exist_ok=True)
        for each in victim(running).shards():
            (self._group / "cgroup.procs").write_text(str(each.pid))
            Path(f"/proc/{each.pid}/oom_score_adj").write_text("1000")
        room = int((self._group / self._used).read_text()) + 2**23
        (self._group / self._limit).write_text(str(room))
        code = (
            "import os,time\n"
            f"open({str(self._group / 'cgroup.procs')!r},'w').write(str(os.getpid()))\n"
            "open('/proc/self/oom_score_adj','w').write('999')\n"
            f"held=b'x'*{room + 2**25}\ntime.sleep(60)\n"
        )
        self._hog = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)

    def undo(self, _: Site) -> None:
        """There is room again."""
        if self._hog is not None:
            self._hog.kill()
            self._hog.wait()
        (self._group / self._limit).write_text("-1" if "limit" in self._limit else "max")
        for pid in (self._group / "cgroup.procs").read_text().split():
            (self._group.parent / "cgroup.procs").write_text(pid)
        self._group.rmdir()


def harms() -> dict[str, Harm]:
    """Everything that happens while a load is sent."""
    memory = OutOfMemory()
    return {
        CUT_OFF: Harm(
            make=lambda running: victim(running).namespace.cut_off(),
            undo=lambda running: victim(running).namespace.join_again(),
        ),
        "worker slow: 2 s for every packet": Harm(make=slow_down(2.0), undo=slow_down(0.0)),
        "worker slow: .3 s for every packet": Harm(make=slow_down(0.3), undo=slow_down(0.0)),
        "worker's process killed": Harm(make=lambda running: victim(running).worker().kill()),
        FROZEN: Harm(make=suspend, undo=resume),
        "shard's process killed": Harm(make=lambda running: victim(running).shards()[0].kill()),
        "out of memory: killed by the kernel": Harm(make=memory.make, undo=memory.undo),
        "out of memory: the process gets no more": Harm(make=out_of_address_space, rate=1_500.0),
        "head cut off (its link is down)": Harm(
            make=lambda running: running.network.head.cut_off(),
            undo=lambda running: running.network.head.join_again(),
            named="worker ",
        ),
    }


# Refused before the load


def refused(running: Site, enter: Callable[[], object], named: str) -> Try:
    """A cluster that must not get a load."""
    before, began = running.service.count(), time.perf_counter()
    try:
        enter()
    except BrokenError as error:
        said = f"{error.what}; {error.why}"
        return Try(
            seconds=time.perf_counter() - began,
            said=said,
            named=named in said,
            afterwards=running.service.count() - before,
            alone=_NEVER if running.shards() else 0.0,
        )
    return Try(seconds=_NEVER, said="", named=False)


def enter(running: Site, count: int, wait: float) -> None:
    """What a run does before its load."""

    async def connect(cluster: Cluster) -> None:
        async with known_errors(), attended(cluster):
            """Nothing is sent."""

    with running.joined(count, wait=wait) as cluster:
        trio.run(connect, cluster)


@contextmanager
def another(running: Site, *options: object, env: dict[str, str] | None = None) -> Iterator[Worker]:
    """One more worker, in the last namespace, which is kept free for it."""
    count = len(running.workers)
    with ExitStack() as stack:
        with running.wait_for(count + 1):
            worker = stack.enter_context(dask_worker(running, count, *options, env=env))
        yield worker
    with running.wait_for(count):
        """It is gone."""


def clock_ahead(running: Site, tries: int) -> Iterator[Try]:
    """A worker whose time of day is 2 s ahead. Time namespaces have a monotonic clock of their own, and no time of day: so
    Python's ``time.time`` is replaced in that worker.
    """
    count = len(running.workers) + 1
    preload = running.folder / "ahead.py"
    preload.write_text(
        "import time\n\nif not hasattr(time, 'real'):\n    time.real = time.time\n    time.time = lambda: time.real() + 2.0\n"
    )
    with another(running, "--preload", preload) as worker:
        for _ in range(tries):
            yield refused(running, lambda: enter(running, count, 5.0), worker.address)


def other_version(running: Site, tries: int) -> Iterator[Try]:
    """A worker with another source of velro-gate."""
    copy = running.folder / "other"
    if not copy.exists():
        shutil.copytree(ROOT / "velro_gate", copy / "velro_gate", ignore=shutil.ignore_patterns("__pycache__"))
        with (copy / "velro_gate" / "units.py").open("a") as file:
            file.write("\n# Another one.\n")
    ours = our_environment()
    env = {**ours, "PYTHONPATH": f"{copy}{os.pathsep}{ours['PYTHONPATH']}", "PYTHONSAFEPATH": "1"}
    count = len(running.workers) + 1
    with another(running, env=env) as worker:
        for _ in range(tries):
            yield refused(running, lambda: enter(running, count, 5.0), worker.address)


def too_few(running: Site, tries: int) -> Iterator[Try]:
    """One worker more is asked for than there are; waited for .5 s."""
    count = len(running.workers)
    for _ in range(tries):
        yield refused(running, lambda: enter(running, count + 1, 0.5), f"{count} of {count + 1} workers")


def silent(harm: str) -> Callable[[Site, int], Iterator[Try]]:
    """A worker that something has happened to before the load, and that is registered with the scheduler still."""
    what = harms()[harm]

    def tried(running: Site, tries: int) -> Iterator[Try]:
        for _ in range(tries):
            what.make(running)
            try:
                found = refused(running, lambda: enter(running, len(running.workers), 5.0), victim(running).address)
            finally:
                what.undo(running)
            running.settle()
            yield found

    return tried


def slow_from_the_start(running: Site, tries: int) -> Iterator[Try]:
    """A worker of which every packet takes .3 s longer."""
    with running.wait_for(len(running.workers)):
        slow_down(0.3)(running)
    try:
        for _ in range(tries):
            yield refused(running, lambda: enter(running, 2, 5.0), victim(running).address)
    finally:
        slow_down(0.0)(running)


def joins_late(running: Site, send: Send) -> tuple[bool, bool]:
    """Whether a worker that joins while it is waited for takes part, and one that joins during a load does not."""
    count = len(running.workers)
    with ExitStack() as stack:
        started: list[Worker] = []

        def start(_: Progress) -> None:
            if not started:
                started.append(stack.enter_context(dask_worker(running, count)))

        with running.joined(count) as cluster:
            result = send(cluster, start, 100.0).result
        apart = len(result.phases[0].workers) == count and not result.phases[0].shards_lost
    with running.wait_for(count), dask_worker(running, count), running.joined(count + 1) as waited:
        together = waited.count == count + 1
    return together, apart


# A task that Dask repeats


def repeated(running: Site) -> tuple[bool, int]:
    """The task of a worker that is killed, and started again by its nanny at the same address, while the head still wants it.
    Whether Dask gave it to the new process, and how many shards that one started.
    """
    before = running.service.count()
    old = victim(running).worker().pid

    async def main(cluster: Cluster) -> bool:
        async with known_errors(), attended(cluster) as hosts:
            psutil.Process(old).kill()
            with trio.fail_after(_MOST_SECONDS):
                await hosts[VICTIM].gone.wait()
            with trio.move_on_after(_MOST_SECONDS):
                while not await trio.to_thread.run_sync(_ran_again, cluster):
                    await trio.sleep(0.2)
                return True
        return False

    with running.joined(2) as cluster:
        again = trio.run(main, cluster)
        shards = len(running.shards())
    with running.wait_for(len(running.workers)):
        """The nanny has done its work."""
    return again, shards + running.service.count() - before


def _ran_again(cluster: Cluster) -> bool:
    """Whether the victim's present process has had a task of ours."""

    def log(dask_worker: object) -> list[str]:
        return [str(entry[0]) for entry in dask_worker.state.log if str(entry[0]).startswith("velro-gate-")]  # type: ignore[attr-defined]

    try:
        said = cluster.client.run(log, workers=[cluster.workers[VICTIM]], on_error="ignore")
    except (OSError, ValueError, KeyError):
        return False
    return any(said.values())


# Together

Tries = Callable[[Site, int], Iterator[Try]]


def all_faults(send: Send) -> dict[str, Tries]:
    """By name, what makes a fault as often as it is asked to, one try after the other."""

    def during(harm: Harm) -> Tries:
        return lambda running, tries: (harmed(running, harm, send) for _ in range(tries))

    before = {
        "too few workers": too_few,
        "another version": other_version,
        "time of day 2 s ahead": clock_ahead,
        "slow from the start": slow_from_the_start,
        "cut off before the load": silent(CUT_OFF),
        "frozen before the load": silent(FROZEN),
    }
    return {name: during(harm) for name, harm in harms().items()} | {f"{name}: refused": make for name, make in before.items()}
