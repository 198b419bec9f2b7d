"""The queue of connections that are to be opened: a bounded number at once, those with a waiting request first.

The bound protects the service's accept queue from users that join. A request that waits for its connection is what a real
user would send at once, so more of these may be in the making; what one waits for its turn is the generator's delay, and the
user counts it as such.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # It is built on this module.
    from velro_gate.engine.http.connection import Connection

DIALS_AT_ONCE = 64
"""Connections that may be in the making when one without a request begins: less than the shortest usual accept queue (128)."""

HURRIED_FACTOR = 4
"""How many times as many may be in the making when one with a request begins: 1,700 new ones a second where TCP and TLS take
three round trips of 50 ms.
"""


class Dials:
    """Gives connections their turns, in the order in which they came. at_once: bound on those in the making."""

    def __init__(self, at_once: int = DIALS_AT_ONCE) -> None:
        self._at_once = at_once
        self._making = 0
        self._hurried: deque[Connection] = deque()
        self._waiting: deque[Connection] = deque()
        self._busy = self._full = False
        self._turns = 0

    def turn(self) -> int:
        """The next number: connections are dealt over the source addresses in the order in which they are made."""
        self._turns += 1
        return self._turns - 1

    def add(self, connection: Connection, *, hurried: bool = False) -> None:
        """Connect it when it is its turn. hurried: a request waits for it."""
        (self._hurried if hurried else self._waiting).append(connection)
        self._go_on()

    def hurry(self, connection: Connection) -> None:
        """A request waits now for one that was added without: its old place finds that it has been dialled."""
        self.add(connection, hurried=True)

    def postpone(self, connection: Connection) -> None:
        """The service's accept queue is full, and a unix socket does not say when it is not: ``nudge`` tries again."""
        self._full = True
        self._making -= 1
        self._hurried.appendleft(connection)

    def nudge(self) -> None:
        """Go on after a full accept queue; to be called now and then."""
        self._full = False
        self._go_on()

    def shut(self) -> None:
        """Begin no more connections."""
        self._hurried.clear()
        self._waiting.clear()

    def done(self) -> None:
        """One has ended, well or not: the next one may begin."""
        self._making -= 1
        self._go_on()

    def _go_on(self) -> None:
        # A refused connection ends at once and calls us again: a loop, so that ten thousand of them make no deep stack.
        if self._busy:
            return
        self._busy = True
        while not self._full and (queue := self._next_queue()):
            self._making += 1
            if not queue.popleft().dial():
                self._making -= 1
        self._busy = False

    def _next_queue(self) -> deque[Connection] | None:
        if self._hurried and self._making < self._at_once * HURRIED_FACTOR:
            return self._hurried
        return self._waiting if self._making < self._at_once else None
