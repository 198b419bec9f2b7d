"""Joins two virtual network cards in two namespaces; each packet can be held back for a while.

Used by ``benchmarks.namespaces``. Standard input: seconds of delay, a line each. Ends with it.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

from benchmarks.namespaces import inside

_SET_INTERFACE, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_MOST_FRAME = 65_536


def card(namespace: str, name: str) -> int:
    """A new card in that namespace: a descriptor that reads what it sends, and writes what it receives."""
    with inside(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return descriptor


def pass_on(one: int, other: int) -> None:
    """Until standard input closes."""
    delay = 0.0
    held: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(held[0][0] - time.monotonic(), 0.0) if held else None
        ready, _, _ = select.select([0, one, other], [], [], wait)
        for each in ready:
            if each:
                _take(each, other if each == one else one, held, time.monotonic() + delay)
                continue
            lines = os.read(0, 4096).split()
            if not lines:
                return
            delay = float(lines[-1])
        while held and held[0][0] <= time.monotonic():
            _, to, frame = held.popleft()
            _put(to, frame)


def _take(source: int, to: int, held: deque[tuple[float, int, bytes]], until: float) -> None:
    try:
        frame = os.read(source, _MOST_FRAME)
    except OSError:
        # The card is down.
        return
    # Packets do not overtake one another when the delay gets shorter.
    held.append((max(until, held[-1][0]) if held else until, to, frame))


def _put(to: int, frame: bytes) -> None:
    try:
        os.write(to, frame)
    except OSError:
        # The other card is down, or its queue is full: lost, as on a real wire.
        return


if __name__ == "__main__":
    ends = card(*sys.argv[1:3]), card(*sys.argv[3:5])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    pass_on(*ends)
