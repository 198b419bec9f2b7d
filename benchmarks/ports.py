"""Local ports between two measurements: those of the last one linger in TIME_WAIT and are waited for, in bounds."""

from __future__ import annotations

import socket
import time
from pathlib import Path

_PATIENCE = 70.0  # the kernel's own TIME_WAIT is 60 s


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_ports(needed: int, patience: float = _PATIENCE) -> int:
    """Wait until that many local ports are free of TIME_WAIT, as if all lingering ones went to one target; those free then."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    deadline = time.monotonic() + patience
    while (free := high - low + 1 - lingering()) < needed and time.monotonic() < deadline:
        time.sleep(0.5)
    return free


def lingering(sockstat: Path = Path("/proc/net/sockstat")) -> int:
    """Sockets of this machine in TIME_WAIT."""
    words = sockstat.read_text(encoding="ascii").split()
    return int(words[words.index("tw") + 1])
