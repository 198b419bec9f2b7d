"""The machine that the load runs on: CPU, memory, sockets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import trio

_INCLUDED_ELSEWHERE = ("guest", "guest_nice")  # psutil counts them in user and nice as well
_IDLE = ("idle", "iowait")


class RunnerMonitor:
    """Reads this machine; the shares appear from the second reading on, since they are taken over the time between two."""

    name = "runner"

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroup = cgroup
        self._times: dict[str, float] | None = None
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
            "load": psutil.getloadavg()[0],
        }
        network = psutil.net_io_counters(nowrap=False)
        if network is not None:
            values |= {"network_received_total": float(network.bytes_recv), "network_sent_total": float(network.bytes_sent)}
        return values | self._shares() | self._sockets() | self._throttling()

    def _shares(self) -> dict[str, float]:
        times: Any = psutil.cpu_times()
        now = {name: value for name, value in times._asdict().items() if name not in _INCLUDED_ELSEWHERE}
        before, self._times = self._times, now
        if before is None:
            return {}
        # A counter may step back by a tick between reads of different cores; time does not.
        spent = {name: max(value - before[name], 0.0) for name, value in now.items()}
        total = sum(spent.values())
        if total <= 0.0:
            return {}
        shares = {"cpu_share": 1.0 - sum(spent.get(name, 0.0) for name in _IDLE) / total}
        if "steal" in spent:
            shares["steal_share"] = spent["steal"] / total
        return shares

    def _sockets(self) -> dict[str, float]:
        return _numbers(
            self._proc / "net/sockstat", {"tcp_sockets": r"^TCP: inuse (\d+)", "tcp_time_wait": r"^TCP:.* tw (\d+)"}
        )

    def _throttling(self) -> dict[str, float]:
        found = _numbers(self._cgroup / "cpu.stat", {"cpu_throttled_seconds": r"^throttled_usec (\d+)"})
        return {name: value / 1e6 for name, value in found.items()}


def _numbers(path: Path, patterns: Mapping[str, str]) -> dict[str, float]:
    """The first number each pattern finds in a small file; nothing where there is no such file."""
    try:
        text = path.read_text(encoding="ascii")
    except OSError:
        return {}
    found = {name: re.search(pattern, text, re.MULTILINE) for name, pattern in patterns.items()}
    return {name: float(match[1]) for name, match in found.items() if match}
