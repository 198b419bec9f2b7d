"""The queue of connections that are to be opened: a bounded number at once, those with a waiting request first."""

from __future__ import annotations

from collections import deque
from typing import Protocol

DIALS_AT_ONCE = 64
"""Connections that may be in the making at one moment: less than the shortest usual accept queue (128)."""


class Dialled(Protocol):
    """What waits for its turn."""

    def dial(self) -> bool:
        """Begin to connect; False where it no longer waits. Its end is told by ``done``, possibly before this returns."""


class Dials:
    """Gives connections their turns. at_once: bound on those in the making."""

    def __init__(self, at_once: int = DIALS_AT_ONCE) -> None:
        self._left = at_once
        self._waiting: deque[Dialled] = deque()
        self._busy = self._full = False
        self._turns = 0

    def turn(self) -> int:
        """The next number: connections are dealt over the source addresses in the order in which they are made."""
        self._turns += 1
        return self._turns - 1

    def add(self, connection: Dialled) -> None:
        """Connect it when it is its turn."""
        self._waiting.append(connection)
        self._go_on()

    def hurry(self, connection: Dialled) -> None:
        """Let it go first: a request waits for it."""
        self._waiting.appendleft(connection)

    def postpone(self, connection: Dialled) -> None:
        """The service's accept queue is full, and a unix socket does not say when it is not: ``nudge`` tries again."""
        self._full = True
        self._left += 1
        self._waiting.appendleft(connection)

    def nudge(self) -> None:
        """Go on after a full accept queue; to be called now and then."""
        self._full = False
        self._go_on()

    def shut(self) -> None:
        """Begin no more connections."""
        self._waiting.clear()

    def done(self) -> None:
        """One has come to its end, good or bad: the next one may begin."""
        self._left += 1
        self._go_on()

    def _go_on(self) -> None:
        # A refused connection ends at once and calls us again: a loop, so that ten thousand of them make no deep stack.
        if self._busy:
            return
        self._busy = True
        while self._waiting and self._left > 0 and not self._full:
            self._left -= 1
            if not self._waiting.popleft().dial():
                self._left += 1
        self._busy = False
