"""When the generator stood still: stopped by a signal, without a core, or busy with something else for too long.

A response that came meanwhile is read late, and a request that fell due is sent late. The second shows in the sample itself;
the first does not, so the stretches are kept, and the analysis counts what lies in them as the generator's own delay.
"""

from __future__ import annotations

import socket
import struct

from velro_gate.model.run import Stall

SHORTEST = 0.003
"""Seconds that a stall lasts at least: a turn of the loop in which 128 answers are read takes 2 ms."""

MOST = 5_000
"""Stalls that are kept one by one; beyond it neighbours are joined, so that what is kept still covers every one of them."""

_TCP_INFO_SIZE = 56
"""Bytes of struct tcp_info up to and including ``tcpi_last_data_recv``. The struct has only ever grown at its end, so a prefix
means the same on every kernel.
"""
_LAST_DATA_RECV = struct.Struct("=I")
_TICK = 0.004
"""Seconds by which the kernel's count may be off: one of its ticks, at 250 a second."""

_JOINED = 0.001
"""Seconds within which one stall follows another so closely that what came in the first may be read in the second only."""

_STALE = 0.010
"""Seconds that a response has lain ready for at least before that proves a stall: more than the kernel's count is off by."""


class StallLog:
    """The stalls of one phase, in their order, on the phase's clock. open: what came during the newest one is not all read."""

    __slots__ = ("_ends", "_most", "_starts", "open")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._starts: list[float] = []
        self._ends: list[float] = []
        self.open = False

    def add(self, start: float, end: float) -> None:
        """The loop did not turn from ``start`` to ``end``. What overlaps the newest one belongs to it."""
        starts, ends = self._starts, self._ends
        self.open = True
        if ends and start <= ends[-1] + _JOINED:
            starts[-1] = min(starts[-1], start)
            ends[-1] = max(ends[-1], end)
            return
        if len(starts) >= self._most:
            # Each two neighbours become one, from the start of the first to the end of the second: half as many, and none is
            # lost.
            paired = len(starts) // 2 * 2
            del starts[1:paired:2], ends[:paired:2]
        starts.append(start)
        ends.append(end)

    def prolong(self, end: float, *, rest: bool) -> None:
        """Sockets are looked at: what came during the newest stall is read at ``end``, and some of it later where there is a
        ``rest``. Nothing if enough time has passed since then that nothing was ready after it.
        """
        near = end - self._ends[-1] <= SHORTEST
        if near:
            self._ends[-1] = max(self._ends[-1], end)
        self.open = rest and near

    def since(self, origin: float) -> tuple[Stall, ...]:
        """All of them, in seconds since ``origin``."""
        return tuple(Stall(start=start - origin, end=end - origin) for start, end in zip(self._starts, self._ends, strict=True))


def data_age(made: socket.socket) -> float | None:
    """Seconds since the last bytes came in on a TCP connection (to a tick of the kernel's); None where the kernel does not say.

    linux/tcp.h: ``tcpi_last_data_recv`` of struct tcp_info, in milliseconds, at byte 52.
    """
    try:
        info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (milliseconds,) = _LAST_DATA_RECV.unpack_from(info, _TCP_INFO_SIZE - _LAST_DATA_RECV.size)
    except (OSError, AttributeError, struct.error):
        return None
    return float(milliseconds) / 1_000.0


def lay_ready_since(made: socket.socket, at: float) -> float | None:
    """Since when bytes that are read at ``at`` have lain ready, where that is long enough for the loop to have stood still."""
    age = data_age(made)
    return None if age is None or age <= _STALE else at - age - _TICK
