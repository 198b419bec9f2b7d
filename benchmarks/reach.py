"""How many connected users fit on this machine: several generator processes, several loopback source addresses, one nginx.

``python -m benchmarks.reach --users 100000``. Reports users, memory per user, rate, lateness, and what the limit was.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.nginx import Nginx, nginx
from benchmarks.ports import wait_for_ports
from benchmarks.processes import FailedError, Started, carry_out, module, started
from benchmarks.table import NOT_MEASURED, Page, Table, options
from velro_gate.engine.machine.limits import port_count

USERS_PER_SECOND = 2_000.0
"""How fast users connect."""

_LOOK_EVERY = 0.5
_SPARE = 256  # descriptors of a process that are not connections
_UNEVEN = 0.90  # the kernel spreads connections over nginx's workers by a hash: none may be full at the mean
_MEMORY_PER_USER = 16_000.0  # both ends, kernel included; only to see beforehand that it fits
_PORT_SHARE = 0.45
"""The kernel gives away every other port first; once those are taken, each new connection is searched for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the users are spread. limits: how many users each resource would allow, by name, with the others as they are."""

    users: int
    shards: int
    workers: int
    sources: tuple[str, ...]
    limits: Mapping[str, float]

    @property
    def limit(self) -> str:
        """The resource that allows the fewest."""
        return min(self.limits, key=lambda name: self.limits[name])


def layout(
    asked: int, *, descriptors: int, ports: int, memory: float, shards: int | None = None, sources: int | None = None
) -> Layout:
    """Spread the users asked for over processes and addresses; fewer where memory or the number of processes is short.

    descriptors: that one process may open. ports: local ports per source address. memory: bytes free.
    """
    each = descriptors - _SPARE
    processes = math.ceil(asked / each) if shards is None else shards
    workers = math.ceil(asked / (each * _UNEVEN))
    sources = math.ceil(asked / (ports * _PORT_SHARE)) if sources is None else sources
    limits = {
        f"descriptors: {processes} generator processes of {descriptors:,}": float(processes * each),
        f"descriptors: {workers} nginx workers of {descriptors:,}": workers * each * _UNEVEN,
        f"ports: {sources} source addresses of {ports:,}": sources * ports * _PORT_SHARE,
        f"memory: {memory / 2**30:.1f} GiB free": memory / _MEMORY_PER_USER,
    }
    users = int(min(asked, *limits.values()))
    # With one it is left to the system, which takes 127.0.0.1.
    addresses = tuple(f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(sources if sources > 1 else 0))
    return Layout(users=users, shards=processes, workers=workers, sources=addresses, limits=limits)


def main() -> None:
    """Connect them, hold them under a light load, print what it took."""
    arguments = options(__doc__)
    arguments.add_argument("--users", type=int, default=100_000)
    arguments.add_argument("--rate", type=float, default=1_000.0)
    arguments.add_argument("--seconds", type=float, default=20.0)
    arguments.add_argument("--shards", type=int, help="generator processes; as many as the descriptors ask for unless given")
    arguments.add_argument("--sources", type=int, help="source addresses; as many as the ports ask for unless given")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    plan = layout(
        wanted.users,
        descriptors=min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 2**20),
        ports=port_count() or 28_232,
        memory=float(psutil.virtual_memory().available),
        shards=wanted.shards,
        sources=wanted.sources,
    )
    wait_for_ports(math.ceil(plan.users / max(1, len(plan.sources))))
    with tempfile.TemporaryDirectory() as folder, nginx(workers=plan.workers) as server:
        page.show(_report(wanted, plan, *_held(wanted, plan, server, Path(folder))))


def _held(wanted: argparse.Namespace, plan: Layout, server: Nginx, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What ours says, and what was seen from outside while all were connected."""
    ramp = max(5.0, plan.users / USERS_PER_SECOND)
    load = [
        "--url",
        f"{server.url}/",
        "--users",
        plan.users,
        "--rate",
        wanted.rate,
        "--seconds",
        wanted.seconds,
        "--ramp",
        ramp,
    ]
    spread = ["--shards", plan.shards, "--source-addresses", ",".join(plan.sources), "--keep", folder / "samples.npz"]
    before = {"kernel": kernel_memory(), "nginx": float(server.meter.resident())}
    with started(module("benchmarks.saturate", *load, *spread)) as running:
        seen = _watch(running, server, ramp + wanted.seconds / 2.0)
        said: dict[str, Any] = json.loads(running.require_success(ramp + wanted.seconds + 180.0))
    return said, seen | {name: seen[name] - value for name, value in before.items()}


def kernel_memory() -> float:
    """Bytes in the kernel's own objects (sockets, files, epoll entries) and in TCP's buffers, of the whole machine."""
    slab = re.search(r"^Slab: +(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    buffers = re.search(r"^TCP: .* mem (\d+)", Path("/proc/net/sockstat").read_text(encoding="ascii"), re.MULTILINE)
    return (int(slab[1]) * 1024.0 if slab else 0.0) + (int(buffers[1]) * float(resource.getpagesize()) if buffers else 0.0)


def _watch(running: Started, server: Nginx, seconds: float) -> dict[str, float]:
    """The state once all are connected, or after ``seconds``, at the moment at which the most were."""
    # The processes have to start first.
    deadline, best = time.monotonic() + seconds + 10.0, {"connected": 0.0}
    while running.process.poll() is None and time.monotonic() < deadline:
        connected = float(server.counters().active - 1)
        if connected > best["connected"]:
            best = {
                "connected": connected,
                "generator": float(running.meter.resident()),
                "nginx": float(server.meter.resident()),
                "kernel": kernel_memory(),
            }
        time.sleep(_LOOK_EVERY)
    if not best["connected"]:
        raise FailedError(f"nobody connected: {running.complaints()}")
    return best


def _report(wanted: argparse.Namespace, plan: Layout, said: dict[str, Any], seen: dict[str, float]) -> Table:
    def per_user(name: str) -> str:
        return f"{seen[name] / seen['connected']:,.0f} bytes a user, {seen[name] / 1e6:,.0f} MB in all"

    late = said.get("lateness_0.99")
    rows = (
        ("users asked for", f"{wanted.users:,}"),
        ("users connected at once, by the server's count", f"{seen['connected']:,.0f}"),
        ("generator processes", f"{plan.shards}"),
        ("source addresses", f"{max(1, len(plan.sources))}"),
        ("nginx workers", f"{plan.workers}"),
        ("memory of the generator, resident", per_user("generator")),
        ("memory of nginx, resident", per_user("nginx")),
        ("memory of the kernel, both ends", per_user("kernel")),
        ("successful responses per second", f"{said['rate']:,.0f}" if "rate" in said else NOT_MEASURED),
        ("lateness p99", NOT_MEASURED if late is None else f"{late * 1e3:.2f} ms"),
        ("response p99", f"{said['response_0.99'] * 1e3:.2f} ms" if "response_0.99" in said else NOT_MEASURED),
        ("failed, missed, blocked", f"{said['failed']:,}, {said['missed']:,}, {said['blocked']:,}"),
        ("what limits it here", f"{plan.limit}: {plan.limits[plan.limit]:,.0f} users"),
    )
    notes = tuple(
        f"{name} would allow {most:,.0f} users." for name, most in sorted(plan.limits.items(), key=lambda item: item[1])
    )
    return Table(title=f"Reach: {plan.users:,} users", columns=("what", "measured"), rows=rows, notes=notes)


if __name__ == "__main__":
    carry_out(main)
