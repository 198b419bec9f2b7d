"""Readiness of thousands of sockets behind one descriptor that trio waits for.

trio's own ``wait_readable`` costs a system call and two task switches a request. Here every socket is registered once, for as
long as it lives; one trio task waits for the set and calls the handlers of all sockets that are ready in one go. It follows
that the end of an idle connection is seen when it comes, not when the connection is next used.
"""

from __future__ import annotations

import select
import selectors
from collections.abc import Callable
from typing import Protocol

import trio

from velro_gate.engine.stalls import SHORTEST, StallLog

READ, WRITE = 0x001, 0x004
"""Interest in a socket; the values are those of epoll."""

Handler = Callable[[int], None]
"""Called with the events of its socket; other bits than READ and WRITE stand for errors and a peer that hung up."""

_BATCH = 128
"""Sockets whose handlers are called in one turn: what comes meanwhile waits for its end, 2 ms when all bring answers."""


class ReadySet(Protocol):
    """What is needed of ``select.epoll``; its ``poll`` never waits here."""

    def fileno(self) -> int:
        """The descriptor that is readable while something of the set is ready."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Add a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Change what a descriptor is watched for."""

    def unregister(self, fd: int, /) -> None:
        """Forget a descriptor."""

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """The descriptors that are ready now, with their events."""

    def close(self) -> None:
        """Let go of the set."""


class SelectorSet:
    """A ReadySet over the standard library's selectors, for systems without epoll."""

    def __init__(self, selector: selectors.DefaultSelector | None = None) -> None:
        self._selector = selector or selectors.DefaultSelector()

    def fileno(self) -> int:
        """The descriptor that is readable while a socket of the set is ready."""
        return self._selector.fileno()

    def register(self, fd: int, eventmask: int, /) -> None:
        """Add a descriptor."""
        self._selector.register(fd, _interest(eventmask))

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Change what a descriptor is watched for."""
        self._selector.modify(fd, _interest(eventmask))

    def unregister(self, fd: int, /) -> None:
        """Forget a descriptor."""
        self._selector.unregister(fd)

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """The descriptors that are ready now."""
        ready = self._selector.select(timeout)[:maxevents]
        return [
            (key.fd, (READ if mask & selectors.EVENT_READ else 0) | (WRITE if mask & selectors.EVENT_WRITE else 0))
            for key, mask in ready
        ]

    def close(self) -> None:
        """Let go of the descriptor."""
        self._selector.close()


def _interest(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)


def system_set() -> ReadySet:
    """The fastest set that this system has."""
    return select.epoll() if hasattr(select, "epoll") else SelectorSet()


class Poller:
    """Calls the handlers of ready sockets. ``run`` is the one task; everything else is called from its thread.

    Args:
        stalls: where it is written down that what came during a stall is still being read.
    """

    def __init__(
        self,
        ready: ReadySet | None = None,
        now: Callable[[], float] = trio.current_time,
        stalls: StallLog | None = None,
    ) -> None:
        self._ready = ready or system_set()
        self._now = now
        self.stalls = StallLog() if stalls is None else stalls
        # When the sockets whose handlers are being called were found ready. What they bring was there by then, so this is the
        # nearest bound of its arrival: a clock read in each handler would add the time that the handlers before it took. (The
        # rest of a response that was only half there is dated too early by what those handlers took, so by less than a turn.)
        self.at = 0.0
        # Nothing was looked at for a while before that, and nobody knows yet whether the loop had nothing to do or stood still.
        self.rested = False
        self._handlers: dict[int, Handler] = {}

    def add(self, fd: int, interest: int, handler: Handler) -> None:
        """Watch a descriptor from now on."""
        self._ready.register(fd, interest)
        self._handlers[fd] = handler

    def change(self, fd: int, interest: int) -> None:
        """Watch a descriptor for something else."""
        self._ready.modify(fd, interest)

    def remove(self, fd: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        del self._handlers[fd]
        self._ready.unregister(fd)

    def __len__(self) -> int:
        return len(self._handlers)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._ready)
            self.turn()

    def turn(self) -> None:
        """Call the handler of every socket that is ready now.

        A handler may close other sockets of the batch and open new ones under their numbers, so handlers must bear events
        that are not theirs: they find nothing to read and wait on.
        """
        find = self._handlers.get
        ready = self._ready.poll(0, _BATCH)
        before, self.at = self.at, self._now()
        if self.stalls.open:
            # It is known why nothing was looked at.
            self.rested = False
            self.stalls.prolong(self.at, rest=len(ready) == _BATCH)
        else:
            self.rested = self.at - before > SHORTEST
        for fd, events in ready:
            handler = find(fd)
            if handler is not None:
                handler(events)

    def catch_up(self) -> None:
        """Call the handlers until nothing is ready any more, or each socket has had its turn."""
        for _ in range(0, len(self._handlers) + 1, _BATCH):
            self.turn()

    def close(self) -> None:
        """Let go of the descriptor; every socket must have been removed."""
        self._ready.close()
