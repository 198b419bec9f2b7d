"""Find the processes of a service: those that listen on a port, without reading the table of all connections, or by command."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import psutil

_LISTEN = b"0A"


def listening_pids(port: int, proc: Path = Path("/proc"), ours: Collection[int] = ()) -> frozenset[int]:
    """The processes that hold a listening TCP socket on this port, as far as we may look into them.

    Linux lists the listening sockets before all others, so reading stops there: ten thousand connections cost nothing.
    Elsewhere every process of this user is asked for its own sockets. ours: processes that are left out, as this one is.
    """
    if (proc / "net/tcp").exists():
        inodes = set(_listening_inodes(port, proc))
        return frozenset(_holders(inodes, proc, {os.getpid(), *ours})) if inodes else frozenset()
    return frozenset(_asked(port)) - frozenset(ours)


def commanded_pids(text: str) -> frozenset[int]:
    """The processes in whose command line, its words joined by blanks, this text stands: ours and those above it left out."""
    own = psutil.Process()
    # The text stands in our own command line as well, and in that of the shell that started us.
    ours = {own.pid, *(process.pid for process in own.parents())}
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in ours and text in " ".join(process.cmdline()):
                found.add(process.pid)
    return frozenset(found)


def established(port: int, proc: Path = Path("/proc")) -> int | None:
    """How many connections to this local port stand; None where the kernel does not list them.

    Read in chunks, so that another thread's turn never waits for the whole table.
    """
    tables = [table for name in ("tcp", "tcp6") if (table := proc / "net" / name).exists()]
    # Local address and port, remote address and port, state 01: as /proc/net/tcp prints them, in hexadecimal.
    expression = re.compile(rb": [0-9A-F]+:%04X [0-9A-F]+:[0-9A-F]{4} 01 " % port)
    try:
        return sum(_count_established(table, expression) for table in tables) if tables else None
    except OSError:
        return None


def socket_states(proc: Path = Path("/proc")) -> Mapping[str, int] | None:
    """How many TCP sockets are in each state, as /proc/net/tcp prints it in hexadecimal; None where nothing is listed."""
    tables = [table for name in ("tcp", "tcp6") if (table := proc / "net" / name).exists()]
    counts: Counter[str] = Counter()
    try:
        for table in tables:
            for lines in _lines(table):
                counts.update(state.decode() for state in _STATE.findall(lines))
    except OSError:
        return None
    return counts if tables else None


_STATE = re.compile(rb": [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) ")


def _lines(path: Path) -> Iterator[bytes]:
    """The table's whole lines, a chunk at a time, so that another thread's turn never waits for all of them."""
    rest = b""
    with path.open("rb", buffering=0) as table:
        while chunk := table.read(1 << 16):
            lines, newline, tail = (rest + chunk).rpartition(b"\n")
            yield lines
            rest = tail if newline else rest + chunk


def _count_established(path: Path, expression: re.Pattern[bytes]) -> int:
    return sum(len(expression.findall(lines)) for lines in _lines(path))


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    ending = b":%04X" % port
    for name in ("tcp", "tcp6"):
        try:
            with (proc / "net" / name).open("rb") as table:
                next(table, None)
                for line in table:
                    words = line.split()
                    # The kernel lists listening sockets first, so the thousands of connections behind them need not be read.
                    if words[3] != _LISTEN:
                        break
                    if words[1].endswith(ending):
                        yield words[9].decode()
        except OSError:
            continue


def _holders(inodes: set[str], proc: Path, ours: Collection[int]) -> Iterator[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in proc.iterdir():
        # Not ourselves: we hold the load's connections and are not a service.
        if folder.name.isdigit() and int(folder.name) not in ours and _holds(folder / "fd", wanted):
            yield int(folder.name)


def _holds(folder: Path, wanted: set[str]) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(_link(entry.path) in wanted for entry in entries)
    except OSError:
        return False


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 (a Path for each of ten thousand entries would cost more than the call)
    except OSError:
        return ""


def _asked(port: int) -> Iterator[int]:
    for process in psutil.process_iter():
        try:
            sockets: Iterable[object] = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        for connection in sockets:
            local = getattr(connection, "laddr", None)
            if local and local.port == port and getattr(connection, "status", "") == psutil.CONN_LISTEN:
                if process.pid != os.getpid():
                    yield process.pid
                break
