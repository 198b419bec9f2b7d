"""Waking at an instant, to a few dozen microseconds.

trio waits for its deadlines with epoll, whose timeouts are whole milliseconds, rounded up: a request would be sent half a
millisecond late on average, through our own fault. A timer descriptor of the kernel has no such grain. Where there is none, or
where time is simulated, trio's own deadline serves.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import CLOCK_MONOTONIC, get_clock_info, perf_counter
from typing import Protocol

import trio

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC are these two
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class Alarm(Protocol):
    """Wakes one task."""

    async def wait_until(self, deadline: float) -> None:
        """Return at ``deadline`` on trio's clock, or soon after; always a checkpoint. One task at a time."""

    def hasten(self, deadline: float) -> None:
        """Let the wait that is under way end earlier; nothing where none is, or where it ends before that anyway."""


class ClockAlarm:
    """By trio's own deadlines: for every system and for simulated time."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None

    async def wait_until(self, deadline: float) -> None:
        """See Alarm."""
        with trio.CancelScope(deadline=deadline) as self._scope:
            await trio.sleep_forever()
        self._scope = None

    def hasten(self, deadline: float) -> None:
        """See Alarm."""
        if self._scope is not None and deadline < self._scope.deadline:
            self._scope.deadline = deadline


class _TimerSpec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class TimerAlarm:
    """By a timer descriptor of Linux. Python has its own calls for that from 3.13 on only."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._set = library.timerfd_settime
        self._fd = library.timerfd_create(CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer descriptor")
        # trio's clock is the monotonic one, moved by an offset that is drawn again for each run.
        self._offset = trio.current_time() - perf_counter()
        self._spec = _TimerSpec()
        self._pointer = ctypes.byref(self._spec)
        self._ends = -inf

    async def wait_until(self, deadline: float) -> None:
        """See Alarm."""
        self._arm(deadline)
        await trio.lowlevel.wait_readable(self._fd)
        self._ends = -inf

    def hasten(self, deadline: float) -> None:
        """See Alarm."""
        if deadline < self._ends:
            self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        self._ends = deadline
        # All zeros would switch the timer off; an instant that is over lets it go off at once.
        seconds = max(deadline - self._offset, 1e-9)
        self._spec.seconds = int(seconds)
        self._spec.nanoseconds = int(seconds % 1.0 * 1e9)
        # Setting it also forgets that it went off before, so nothing has to be read from it.
        if self._set(self._fd, _ABSOLUTE, self._pointer, None) < 0:
            raise OSError(ctypes.get_errno(), "the timer descriptor cannot be set")

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)


@contextmanager
def system_alarm() -> Iterator[Alarm]:
    """The most exact alarm that there is here. Only where trio runs on its own clock: a timer knows no simulated time."""
    monotonic = get_clock_info("perf_counter").implementation == "clock_gettime(CLOCK_MONOTONIC)"
    if sys.platform != "linux" or not monotonic:
        yield ClockAlarm()
        return
    made = TimerAlarm()
    try:
        yield made
    finally:
        made.close()
