"""The processes of a service on this machine: found by the port they listen on, with their children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import trio

from velro_gate.monitor.listeners import established, listening_pids
from velro_gate.monitor.watching import SourceError

_RELIST_EVERY = 10.0
_COUNT_EVERY = 20.0  # the kernel takes 50 ms of CPU to list 15,000 connections
_PROXIES = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "conmon", "com.docker.backend", "gvproxy"})


class ServiceProcesses:
    """Reads CPU, memory, threads, descriptors and connections of whatever listens on ``port``.

    Each reading costs a few small files per process, whatever the number of connections. The list of processes and the number
    of connections are renewed now and then, and the list at once when a process has gone.
    """

    name = "service"

    def __init__(self, port: int, *, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._proc = proc
        self._clock = clock
        self._roots: tuple[psutil.Process, ...] = ()
        self._family: tuple[psutil.Process, ...] = ()
        self._listed_at = -_RELIST_EVERY
        self._counted_at = -_COUNT_EVERY
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``.

        Raises:
            SourceError: nothing that we may look into listens on the port.
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
        """The listening processes whose parent is not one of them: a master, or each of several independent workers."""
        pids = listening_pids(self._port, self._proc)
        found = []
        for pid in sorted(pids):
            try:
                process = psutil.Process(pid)
                if process.name() in _PROXIES:
                    raise SourceError(f"port {self._port} belongs to {process.name()}: the service is inside a container")
                if process.ppid() not in pids:
                    found.append(process)
            except psutil.Error:
                continue
        if not found:
            raise SourceError(f"no process that this user may look into listens on port {self._port}")
        return tuple(found)

    def _counts(self) -> dict[str, float]:
        """What takes too long to be counted each time; before Linux 6.2 the open files are among it."""
        connections = established(self._port, self._proc)
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
        for process in self._family:
            with process.oneshot():
                times = process.cpu_times()
                values["cpu_seconds"] += times.user + times.system
                # Linux moves the time of a child that ended to its parent; elsewhere these fields are absent or 0.
                values["cpu_seconds"] += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
                values["rss"] += process.memory_info().rss
                values["threads"] += process.num_threads()
            count = _open_files(process.pid, self._proc)
            descriptors = None if count is None or descriptors is None else descriptors + count
        return values if descriptors is None else values | {"descriptors": descriptors}


def _open_files(pid: int, proc: Path) -> int | None:
    """Since Linux 6.2 the size of /proc/PID/fd is the count; listing it would cost milliseconds at 10,000 connections."""
    try:
        return (proc / str(pid) / "fd").stat().st_size or None
    except OSError:
        return None
