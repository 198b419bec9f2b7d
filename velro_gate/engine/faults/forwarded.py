"""One connection of the service that a fault proxy forwards, whoever carries it."""

from __future__ import annotations

import socket
import struct

import trio

from velro_gate.engine.faults.counting import Counter

DISCARD = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing discards what has not been sent and sends RST in place of FIN (socket(7))."""


class Forwarded:
    """One connection of the service and the one to the dependency that belongs to it.

    Attributes:
        orphaned: the dependency's end was closed, and the service's end was not.
        received_since: bytes of responses since the fault began.
        sent, received: bytes to the dependency, and from it.
        left_over: by direction (True: to the service), what was read and not written when tasks took over.
        carried: set when tasks have to take over.
    """

    __slots__ = (
        "carried",
        "counter",
        "left_over",
        "orphaned",
        "pair_scope",
        "received",
        "received_since",
        "scope",
        "sent",
        "service",
        "to_cut",
        "upstream",
    )

    def __init__(self, service: socket.socket, counter: Counter) -> None:
        self.service = service
        self.upstream: socket.socket | None = None
        self.counter = counter
        self.scope, self.pair_scope = trio.CancelScope(), trio.CancelScope()
        self.orphaned = self.to_cut = False
        self.received_since = self.sent = self.received = 0
        self.left_over = {True: b"", False: b""}
        self.carried = trio.Event()

    def passed(self, piece: memoryview, *, to_service: bool) -> None:
        """Count what has been read."""
        if to_service:
            self.received += len(piece)
        else:
            self.sent += len(piece)
            self.counter.feed(piece)

    def abort(self) -> None:
        """End it by a reset on both sides."""
        for end in (self.service, self.upstream):
            if end is not None and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DISCARD)
        self.scope.cancel()

    def orphan(self) -> None:
        """Close the dependency's end alone."""
        self.orphaned = True
        self.pair_scope.cancel()

    def close_upstream(self) -> None:
        """Close the dependency's end."""
        if self.upstream is not None:
            self.upstream.close()

    def close(self) -> None:
        """Close both ends."""
        self.service.close()
        self.close_upstream()
