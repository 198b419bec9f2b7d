"""The processes of a service on this machine: found by the port they listen on, by number or by command, with children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import trio

from velro_gate.monitor.sources.listeners import commanded_pids, established, listening_pids
from velro_gate.monitor.watching import SourceError

_RELIST_EVERY = 10.0
"""Seconds between two looks for child processes: listing them reads /proc of every process of the machine."""
_COUNT_EVERY = 20.0  # the kernel takes 50 ms of CPU to list 15,000 connections
_PROXIES = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "conmon", "com.docker.backend", "gvproxy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessQuery:
    """Which processes are the service: those that listen on a port, one by its number, or by what stands in their command."""

    port: int | None = None
    pid: int | None = None
    command: str = ""

    def __str__(self) -> str:
        if self.pid is not None:
            return f"there is no process {self.pid} that this user may look into"
        if self.command:
            return f"no process that this user may look into has {self.command!r} in its command"
        return f"no process that this user may look into listens on port {self.port}"


class ServiceProcesses:
    """Reads CPU, memory, threads, descriptors and connections of whatever listens on ``port``, or is wanted otherwise.

    Each reading costs a few small files per process, whatever the number of connections. The list of processes and the number
    of connections are renewed now and then, and the list at once when a process has gone.

    ours: further processes of ours than this one, which are never the service.
    """

    name = "service"
    key = "processes"

    def __init__(
        self,
        port: int | None = None,
        *,
        wanted: ProcessQuery | None = None,
        ours: Collection[int] = (),
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = ProcessQuery(port=port) if wanted is None else wanted
        self._port = self._wanted.port
        self._ours = ours
        self._proc = proc
        self._clock = clock
        self._roots: tuple[psutil.Process, ...] = ()
        self._family: tuple[psutil.Process, ...] = ()
        self._listed_at = -_RELIST_EVERY
        self._counted_at = -_COUNT_EVERY
        self._limiter = trio.CapacityLimiter(1)
        self._spent: dict[int, float] = {}
        self._spent_at = 0.0

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that were found last."""
        return tuple(process.pid for process in self._family)

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``.

        Raises:
            SourceError: nothing that we may look into is what is wanted.
        """
        return await trio.to_thread.run_sync(self.read_blocking, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing is held."""

    def read_blocking(self) -> dict[str, float]:
        """The same for a caller that may block."""
        if self._clock() - self._listed_at >= _RELIST_EVERY or not self._family:
            self._list()
        counts: dict[str, float] = {}
        if self._clock() - self._counted_at >= _COUNT_EVERY:
            counts = self._counts()
            self._counted_at = self._clock()
        try:
            values = self._totals()
        except psutil.NoSuchProcess:
            # A worker that was recycled; its parent keeps its CPU time, so the sum goes on where it was.
            self._list()
            values = self._totals_or_error()
        return counts | values

    def _list(self) -> None:
        self._family = ()
        if not self._roots or not all(root.is_running() for root in self._roots):
            self._roots = self._find()
        try:
            children = {child for root in self._roots for child in root.children(recursive=True)}
        except psutil.NoSuchProcess:
            self._roots = self._find()
            children = set()
        self._family = (*self._roots, *(children - set(self._roots)))
        self._listed_at = self._clock()

    def _find(self) -> tuple[psutil.Process, ...]:
        """Those wanted whose parent is not one of them: a master, or each of several independent workers."""
        pids = self._pids()
        found = []
        for pid in sorted(pids):
            try:
                process = psutil.Process(pid)
                if self._wanted.pid is None and process.name() in _PROXIES:
                    place = f"port {self._port}" if not self._wanted.command else self._wanted.command
                    raise SourceError(f"{place} belongs to {process.name()}: the service is inside a container")
                if process.ppid() not in pids:
                    found.append(process)
            except psutil.Error:
                continue
        if not found:
            raise SourceError(str(self._wanted))
        return tuple(found)

    def _pids(self) -> frozenset[int]:
        if self._wanted.pid is not None:
            return frozenset({self._wanted.pid})
        if self._wanted.command:
            return commanded_pids(self._wanted.command)
        assert self._port is not None
        return listening_pids(self._port, self._proc, self._ours)

    def _counts(self) -> dict[str, float]:
        """What takes too long to be counted each time; before Linux 6.2 the open files are among it."""
        connections = None if self._port is None else established(self._port, self._proc)
        counts = {} if connections is None else {"connections": float(connections)}
        if any(_open_files(process.pid, self._proc) is None for process in self._family):
            with contextlib.suppress(psutil.Error):
                counts["descriptors"] = float(sum(process.num_fds() for process in self._family))
        return counts

    def _totals_or_error(self) -> dict[str, float]:
        try:
            return self._totals()
        except psutil.NoSuchProcess as error:
            self._family = ()
            raise SourceError("its processes come and go too fast to be read") from error

    def _totals(self) -> dict[str, float]:
        values = {"cpu_seconds": 0.0, "rss": 0.0, "threads": 0.0, "processes": float(len(self._family))}
        descriptors: float | None = 0.0
        spent: dict[int, float] = {}
        for process in self._family:
            with process.oneshot():
                times = process.cpu_times()
                spent[process.pid] = times.user + times.system
                values["cpu_seconds"] += spent[process.pid]
                # Linux moves the time of a child that ended to its parent; elsewhere these fields are absent or 0.
                values["cpu_seconds"] += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
                values["rss"] += process.memory_info().rss
                values["threads"] += process.num_threads()
            count = _open_files(process.pid, self._proc)
            descriptors = None if count is None or descriptors is None else descriptors + count
        values |= self._busiest(spent)
        return values if descriptors is None else values | {"descriptors": descriptors}

    def _busiest(self, spent: dict[int, float]) -> dict[str, float]:
        """One process of a service may be at its limit while the mean of all is not."""
        now = self._clock()
        before, elapsed = self._spent, now - self._spent_at
        self._spent, self._spent_at = spent, now
        grown = [seconds - before[pid] for pid, seconds in spent.items() if pid in before]
        return {"cpu_busiest": max(*grown, 0.0) / elapsed} if grown and elapsed > 0.0 else {}


def _open_files(pid: int, proc: Path) -> int | None:
    """Since Linux 6.2 the size of /proc/PID/fd is the count; listing it would cost milliseconds at 10,000 connections."""
    try:
        return (proc / str(pid) / "fd").stat().st_size or None
    except OSError:
        return None


def source_at(url: str, *, verify: bool, ours: Collection[int] = ()) -> ServiceProcesses:  # noqa: ARG001 - no connection
    """The processes that ``port:8400``, ``pid:4711`` or ``command:gunicorn app:main`` names."""
    kind, _, rest = url.partition(":")
    if kind == "command":
        return ServiceProcesses(wanted=ProcessQuery(command=rest), ours=ours)
    wanted = ProcessQuery(pid=int(rest)) if kind == "pid" else ProcessQuery(port=int(rest))
    return ServiceProcesses(wanted=wanted, ours=ours)
