"""The machine that the load runs on: CPU, memory, descriptors, sockets, network, disks, and what else runs on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import trio

from velro_gate.monitor.sources.kernel_files import KernelFile, TableColumn, number_after
from velro_gate.monitor.sources.listeners import socket_states
from velro_gate.monitor.sources.neighbours import Neighbours

_FIELDS = 8
"""Of a line of /proc/stat that are time: user, nice, system, idle, iowait, irq, softirq, steal. Guests are in the first two."""
_IDLE, _STEAL = slice(3, 5), 7
_SECTOR = 512
"""Bytes, in /proc/diskstats whatever the disk's own are."""
_STATES_EVERY = 20.0  # the kernel takes 50 ms of CPU to list 15,000 connections
_STATES = {
    "tcp_syn_sent": ("02",),
    "tcp_syn_received": ("03",),
    "tcp_fin_wait": ("04", "05"),
    "tcp_close_wait": ("08",),
}
_FILES = (
    "stat",
    "meminfo",
    "loadavg",
    "diskstats",
    "sys/fs/file-nr",
    "net/dev",
    "net/sockstat",
    "net/snmp",
    "net/netstat",
)
"""What is read each time, below /proc."""


class RunnerMonitor:
    """Reads this machine; the shares appear from the second reading on, since they are taken over the time between two."""

    name = key = "runner"

    def __init__(
        self,
        proc: Path = Path("/proc"),
        cgroup: Path = Path("/sys/fs/cgroup"),
        *,
        disks: Path = Path("/sys/block"),
        neighbours: Neighbours | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc = proc
        self._disks = disks
        self._neighbours = neighbours
        self._clock = clock
        self._files = {name: KernelFile(proc / name) for name in _FILES}
        self._throttled = KernelFile(cgroup / "cpu.stat")
        self._columns = {
            "tcp_established": ("net/snmp", TableColumn("Tcp", "CurrEstab")),
            "tcp_retransmitted_total": ("net/snmp", TableColumn("Tcp", "RetransSegs")),
            "tcp_listen_dropped_total": ("net/netstat", TableColumn("TcpExt", "ListenDrops")),
        }
        self._is_disk: dict[bytes, bool] = {}
        self._times: Sequence[Sequence[int]] = ()
        self._counted_at = -_STATES_EVERY
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``."""
        return await trio.to_thread.run_sync(self.read_blocking, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """The files close with this object: a thread that was given up may still be reading them."""

    def read_blocking(self) -> dict[str, float]:
        """The same for a caller that may block."""
        text = {name: file.read() for name, file in self._files.items()}
        columns = {name: column.value(text[file]) for name, (file, column) in self._columns.items()}
        found = {
            **_memory(text["meminfo"]),
            **_loaded(text["loadavg"]),
            **_descriptors(text["sys/fs/file-nr"]),
            "tcp_sockets": number_after(text["net/sockstat"], b"TCP: inuse "),
            "tcp_time_wait": number_after(text["net/sockstat"][text["net/sockstat"].find(b"TCP: ") :], b" tw "),
            **columns,
            **_network(text["net/dev"]),
            **self._of_disks(text["diskstats"]),
            **self._throttling(),
        }
        values = {name: value for name, value in found.items() if value is not None}
        others = {} if self._neighbours is None else self._neighbours.read()
        return values | self._shares(text["stat"]) | self._states() | others

    def _shares(self, text: bytes) -> dict[str, float]:
        """What all cores were busy with since the reading before, and each of them."""
        now = list(_times(text))
        before, self._times = self._times, now
        if len(before) != len(now):
            return {}
        values = {}
        for number, (earlier, later) in enumerate(zip(before, now, strict=True)):
            # A counter may step back by a tick between reads of different cores; time does not.
            spent = [max(after - first, 0) for first, after in zip(earlier, later, strict=True)]
            total = sum(spent)
            if total <= 0:
                continue
            values[f"cpu_{number - 1}_share" if number else "cpu_share"] = 1.0 - sum(spent[_IDLE]) / total
            if number == 0 and len(spent) > _STEAL:
                values["steal_share"] = spent[_STEAL] / total
        return values

    def _of_disks(self, text: bytes) -> dict[str, float]:
        """Whole disks only, and not their partitions: those are listed as well."""
        read = written = busy = 0
        for line in text.splitlines():
            words = line.split(None, 13)
            if len(words) < 13:
                continue
            if words[2] not in self._is_disk:
                self._is_disk[words[2]] = (self._disks / words[2].decode("utf-8", "replace").replace("/", "!")).exists()
            if self._is_disk[words[2]]:
                read, written, busy = read + int(words[5]), written + int(words[9]), busy + int(words[12])
        if not any(self._is_disk.values()):
            return {}
        return {
            "disk_read_total": float(read * _SECTOR),
            "disk_written_total": float(written * _SECTOR),
            "disk_busy_seconds": busy / 1000.0,
        }

    def _throttling(self) -> dict[str, float | None]:
        micros = number_after(self._throttled.read(), b"throttled_usec ")
        return {"cpu_throttled_seconds": None if micros is None else micros / 1e6}

    def _states(self) -> dict[str, float]:
        if self._clock() - self._counted_at < _STATES_EVERY:
            return {}
        self._counted_at = self._clock()
        counted = socket_states(self._proc)
        if counted is None:
            return {}
        return {name: float(sum(counted.get(state, 0) for state in states)) for name, states in _STATES.items()}


def _times(text: bytes) -> Iterator[list[int]]:
    """The times of all cores together and of each one, in the kernel's ticks."""
    place = 0
    while text.startswith(b"cpu", place):
        end = text.find(b"\n", place) % (len(text) + 1)
        yield [int(word) for word in text[place:end].split(None, _FIELDS + 1)[1 : _FIELDS + 1]]
        place = end + 1


def _memory(text: bytes) -> dict[str, float | None]:
    kilobytes = {name: number_after(text, name + b":") for name in (b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree")}
    total, available, swap, unused = kilobytes.values()
    return {
        "memory_used": None if total is None or available is None else (total - available) * 1024.0,
        "memory_available": None if available is None else available * 1024.0,
        "swap_used": None if swap is None or unused is None else (swap - unused) * 1024.0,
    }


def _loaded(text: bytes) -> dict[str, float]:
    words = text.split(None, 1)
    return {"load": float(words[0])} if words else {}


def _descriptors(text: bytes) -> dict[str, float]:
    words = text.split()
    return {"descriptors": float(words[0]), "descriptors_limit": float(words[2])} if len(words) > 2 else {}


def _network(text: bytes) -> dict[str, float]:
    """All interfaces, loopback included."""
    rows = [line.rpartition(b":")[2].split(None, 9) for line in text.splitlines()[2:]]
    rows = [row for row in rows if len(row) > 8]
    if not rows:
        return {}
    return {
        "network_received_total": float(sum(int(row[0]) for row in rows)),
        "network_sent_total": float(sum(int(row[8]) for row in rows)),
    }
