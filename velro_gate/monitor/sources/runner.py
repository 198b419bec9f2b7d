"""The machine that the load runs on: CPU, memory, descriptors, sockets, network, disks, and what else runs on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import trio

from velro_gate.monitor.sources.listeners import socket_states
from velro_gate.monitor.sources.neighbours import Neighbours

_INCLUDED_ELSEWHERE = ("guest", "guest_nice")  # psutil counts them in user and nice as well
_IDLE = ("idle", "iowait")
_STATES_EVERY = 20.0  # the kernel takes 50 ms of CPU to list 15,000 connections
_SOCKETS = {
    "tcp_sockets": r"^TCP: inuse (\d+)",
    "tcp_time_wait": r"^TCP:.* tw (\d+)",
}
_RESENT = "tcp_retransmitted_total"
_STATES = {
    "tcp_syn_sent": ("02",),
    "tcp_syn_received": ("03",),
    "tcp_fin_wait": ("04", "05"),
    "tcp_close_wait": ("08",),
}


class RunnerMonitor:
    """Reads this machine; the shares appear from the second reading on, since they are taken over the time between two."""

    name = key = "runner"

    def __init__(
        self,
        proc: Path = Path("/proc"),
        cgroup: Path = Path("/sys/fs/cgroup"),
        *,
        neighbours: Neighbours | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc = proc
        self._cgroup = cgroup
        self._neighbours = neighbours
        self._clock = clock
        self._times: dict[str, float] | None = None
        self._core_times: Sequence[dict[str, float]] = ()
        self._counted_at = -_STATES_EVERY
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``."""
        return await trio.to_thread.run_sync(self.read_blocking, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing is held."""

    def read_blocking(self) -> dict[str, float]:
        """The same for a caller that may block."""
        memory = psutil.virtual_memory()
        values = {
            "memory_used": float(memory.used),
            "memory_available": float(memory.available),
            "swap_used": float(psutil.swap_memory().used),
            "load": psutil.getloadavg()[0],
        }
        network = psutil.net_io_counters(nowrap=False)
        if network is not None:
            values |= {"network_received_total": float(network.bytes_recv), "network_sent_total": float(network.bytes_sent)}
        others = {} if self._neighbours is None else self._neighbours.read()
        return values | _disks() | self._shares() | self._core_shares() | self._kernel() | self._states() | others

    def _shares(self) -> dict[str, float]:
        now = _times(psutil.cpu_times())
        before, self._times = self._times, now
        spent = {} if before is None else _spent(before, now)
        total = sum(spent.values())
        if total <= 0.0:
            return {}
        steal = {"steal_share": spent["steal"] / total} if "steal" in spent else {}
        return {"cpu_share": _busy(spent)} | steal

    def _core_shares(self) -> dict[str, float]:
        now = [_times(core) for core in psutil.cpu_times(percpu=True)]
        before, self._core_times = self._core_times, now
        if len(before) != len(now):
            return {}
        spent = [_spent(earlier, later) for earlier, later in zip(before, now, strict=True)]
        return {f"cpu_{core}_share": _busy(each) for core, each in enumerate(spent) if sum(each.values()) > 0.0}

    def _kernel(self) -> dict[str, float]:
        """What the kernel shows in small files."""
        files = _numbers(self._proc / "sys/fs/file-nr", {"descriptors": r"^(\d+)", "descriptors_limit": r"^\d+\s+\d+\s+(\d+)"})
        tcp = _table(self._proc / "net/snmp", {("Tcp", "CurrEstab"): "tcp_established", ("Tcp", "RetransSegs"): _RESENT})
        dropped = _table(self._proc / "net/netstat", {("TcpExt", "ListenDrops"): "tcp_listen_dropped_total"})
        return files | _numbers(self._proc / "net/sockstat", _SOCKETS) | tcp | dropped | self._throttling()

    def _states(self) -> dict[str, float]:
        if self._clock() - self._counted_at < _STATES_EVERY:
            return {}
        self._counted_at = self._clock()
        counted = socket_states(self._proc)
        if counted is None:
            return {}
        return {name: float(sum(counted.get(state, 0) for state in states)) for name, states in _STATES.items()}

    def _throttling(self) -> dict[str, float]:
        found = _numbers(self._cgroup / "cpu.stat", {"cpu_throttled_seconds": r"^throttled_usec (\d+)"})
        return {name: value / 1e6 for name, value in found.items()}


def _times(times: Any) -> dict[str, float]:
    return {name: value for name, value in times._asdict().items() if name not in _INCLUDED_ELSEWHERE}


def _spent(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    # A counter may step back by a tick between reads of different cores; time does not.
    return {name: max(value - before[name], 0.0) for name, value in now.items()}


def _busy(spent: Mapping[str, float]) -> float:
    return 1.0 - sum(spent.get(name, 0.0) for name in _IDLE) / sum(spent.values())


def _disks() -> dict[str, float]:
    try:
        disks = psutil.disk_io_counters(nowrap=False)
    except (OSError, RuntimeError):  # a container may not be shown them
        return {}
    if disks is None:
        return {}
    values = {"disk_read_total": float(disks.read_bytes), "disk_written_total": float(disks.write_bytes)}
    busy = getattr(disks, "busy_time", None)
    return values if busy is None else values | {"disk_busy_seconds": busy / 1000.0}


def _table(path: Path, wanted: Mapping[tuple[str, str], str]) -> dict[str, float]:
    """Values of a file of pairs of lines, ``Tcp: Name Other`` and below it ``Tcp: 1 2``, by our names."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        group, _, rest = names.partition(":")
        for name, number in zip(rest.split(), numbers.partition(":")[2].split(), strict=False):
            if (group, name) in wanted:
                found[wanted[group, name]] = float(number)
    return found


def _numbers(path: Path, patterns: Mapping[str, str]) -> dict[str, float]:
    """The first number each pattern finds in a small file; nothing where there is no such file."""
    try:
        text = path.read_text(encoding="ascii")
    except OSError:
        return {}
    found = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in patterns.items()}
    return {name: float(match[1]) for name, match in found.items() if match}
