"""What this machine can carry: descriptors, ports, memory, cores. Read from the operating system, None where unreadable.

Linux says it in /proc and the cgroup file system; elsewhere psutil and resource say what they can.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from velro_gate.engine.http.routes import foreign_sources
from velro_gate.engine.machine.control_group import CGROUP, PROC, ControlGroups, number_in, text_in

_CAP_SYS_RESOURCE = 24  # linux/capability.h: may raise its own hard limits
_READ_SIZE = 1 << 16
"""Bytes of a kernel table that are read at a time: with a hundred thousand sockets it has 15 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLimits:
    """The limits of this process and machine."""

    descriptors_reachable: int
    """How many files this process may open once it has raised its soft limit as far as it can."""
    ports: int | None
    """Local ports for outgoing connections, per source address and target."""
    memory: int | None
    """Bytes free for a new process."""
    cores: float
    """Usable cores, a fraction where a quota says so."""
    listen_backlog: int | None = None
    """The longest accept queue (somaxconn)."""
    foreign_sources: tuple[str, ...] = ()
    """The requested source addresses that are not this machine's."""


def read_machine(proc: Path = PROC, cgroup: Path = CGROUP, *, sources: Sequence[str] = ()) -> MachineLimits:
    """The limits as they stand now. sources: addresses that connections are to come from; each is tried."""
    hard = _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    reachable = max(hard, number_in(proc / "sys/fs/nr_open") or hard) if may_exceed_hard_limit(proc) else hard
    return MachineLimits(
        descriptors_reachable=reachable,
        ports=port_count(proc),
        memory=free_memory(cgroup, proc),
        cores=usable_cores(cgroup, proc),
        listen_backlog=number_in(proc / "sys/net/core/somaxconn"),
        foreign_sources=foreign_sources(sources),
    )


def raise_descriptor_limit(needed: int, proc: Path = PROC) -> int:
    """Raise this process's soft limit of open files so that ``needed`` fit, as far as it may; the soft limit afterwards.

    Leaves the limit alone where it suffices. Twice the need is asked for, so that the count of free descriptors, a trust
    figure, shows leaks and not our own thrift. Goes above the hard limit only where the process has that right.
    """
    soft, hard = (_finite(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    if soft >= needed:
        return soft
    attempts = [(min(2 * needed, hard), hard)]
    if hard < needed and may_exceed_hard_limit(proc):
        higher = min(2 * needed, number_in(proc / "sys/fs/nr_open") or needed)
        attempts.insert(0, (higher, higher))
    for wanted, ceiling in attempts:
        # A refusal (by a limit of the system that we do not know) leaves the old one; the caller sees what is reached.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, ceiling))
            break
    return _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def may_exceed_hard_limit(proc: Path = PROC) -> bool:
    """Whether this process may raise its own hard limits: being root is not enough inside a container."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", text_in(proc / "self/status") or "", re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_SYS_RESOURCE & 1)


def port_count(proc: Path = PROC) -> int | None:
    """How many local ports the system hands out for outgoing connections."""
    words = (text_in(proc / "sys/net/ipv4/ip_local_port_range") or "").split()
    return int(words[1]) - int(words[0]) + 1 if len(words) == 2 else None


def free_memory(cgroup: Path = CGROUP, proc: Path = PROC) -> int | None:
    """Bytes that can still be allocated: the machine's, or what our control groups have left if that is less."""
    return ControlGroups(proc=proc, cgroup=cgroup).memory_left(int(psutil.virtual_memory().available))


def usable_cores(cgroup: Path = CGROUP, proc: Path = PROC) -> float:
    """Cores this process may run on, by affinity and by the quota of our control groups."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = ControlGroups(proc=proc, cgroup=cgroup).quota_cores()
    return cores if quota is None else min(cores, quota)


def open_descriptors(*, exact: bool, pid: int | str = "self", proc: Path = PROC) -> int | None:
    """How many files a process has open.

    Since Linux 6.2 the size of /proc/PID/fd is the count, at the cost of one stat. Before, the folder has to be listed, which
    stops a process with 10,000 connections for tens of milliseconds: that is done only where ``exact`` is asked for.
    """
    folder = proc / str(pid) / "fd"
    try:
        size = folder.stat().st_size
        if size:
            return size
        if exact:
            return sum(1 for _ in os.scandir(folder))
    except OSError:
        if exact and pid == "self" and not proc.is_dir():
            return int(psutil.Process().num_fds())
    return None


def count_connections(targets: Sequence[tuple[str, int]], proc: Path = PROC) -> int | None:
    """Sockets of this machine toward these (IP address, port) pairs, in any state, TIME_WAIT included; None if unreadable.

    Reads the kernel's table in chunks, so that another thread's turn never waits for the whole of it.
    """
    wanted = [_remote_pattern(address, port) for address, port in targets]
    found = None
    for name, width in (("tcp", 8), ("tcp6", 32)):
        here = [pattern for pattern in wanted if len(pattern) == width + 5]
        if not here:
            continue
        # The state follows the remote address alone: behind the local one, which may be the same, comes another address.
        expression = re.compile(b"(?:" + b"|".join(here) + b") [0-9A-F]{2} ")
        try:
            found = (found or 0) + _count(proc / "net" / name, expression)
        except OSError:
            return None
    return found


def _count(path: Path, expression: re.Pattern[bytes]) -> int:
    found, rest = 0, b""
    with path.open("rb", buffering=0) as table:
        while chunk := table.read(_READ_SIZE):
            lines, newline, tail = (rest + chunk).rpartition(b"\n")
            found += sum(1 for _ in expression.finditer(lines))
            rest = tail if newline else rest + chunk
    return found


def _remote_pattern(address: str, port: int) -> bytes:
    """An address as /proc/net/tcp prints it: 32-bit words in the machine's byte order, then the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address.partition("%")[0])  # a zone, as in fe80::1%eth0, is not in the table
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return b"".join(b"%08X" % word for word in words) + b":%04X" % port


def _finite(limit: int) -> int:
    """RLIM_INFINITY is -1 in some versions and 2^63 - 1 in others; a million stands for "more than any plan needs"."""
    return limit if 0 <= limit < 2**31 else 2**20
