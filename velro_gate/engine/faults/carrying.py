"""What a fault proxy does while nothing is wrong: bytes from one socket to the other, by a thread with an epoll set of its own.

trio needs about 50 µs to wake a task, which every request would pay twice. So connections are carried here as long as no fault
is set, every piece fits into the other socket's buffer, and neither side has ended. Whatever else happens is left to the tasks
of the proxy, for good: the connection is handed over with what has been read and not been written.
"""

from __future__ import annotations

import contextlib
import select
import threading
from collections.abc import Callable

from velro_gate.engine.faults.forwarded import Forwarded

PIECE = 1 << 18
"""Bytes that are read at a time: twice what a socket's receive buffer holds at first (net.ipv4.tcp_rmem, tcp(7)), so one read
mostly empties it.
"""
_AT_ONCE = 64
"""Sockets that are served under one hold of the lock: ``take_back`` waits for it, and with it the beginning of a fault."""


class Forwarders:
    """All connections that are carried without a task. ``carry`` and ``take_back`` may be called from any thread."""

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._lock = threading.Lock()
        self._ends: dict[int, tuple[Forwarded, bool]] = {}
        self._given_up: dict[int, Callable[[], None]] = {}
        self._buffer = memoryview(bytearray(PIECE))
        # A daemon: it waits in epoll without end, and the process must be able to end around it.
        threading.Thread(target=self._run, name="carriers", daemon=True).start()

    def carry(self, connection: Forwarded, give_up: Callable[[], None]) -> None:
        """Carry a connection whose two ends stand. give_up: called, in another thread, when it needs more than that."""
        assert connection.upstream is not None
        with self._lock:
            self._given_up[id(connection)] = give_up
            for end, to_service in ((connection.service, False), (connection.upstream, True)):
                self._ends[end.fileno()] = (connection, to_service)
                self._ready.register(end.fileno(), select.EPOLLIN)

    def take_back(self, connection: Forwarded) -> None:
        """Carry a connection no longer; afterwards nothing of it is read here. Harmless when it is not carried."""
        with self._lock:
            self._forget(connection)

    def _forget(self, connection: Forwarded) -> Callable[[], None] | None:
        give_up = self._given_up.pop(id(connection), None)
        if give_up is not None:
            for fd in [fd for fd in self._fds(connection) if self._ends.pop(fd, None) is not None]:
                with contextlib.suppress(OSError):
                    self._ready.unregister(fd)
        return give_up

    def _fds(self, connection: Forwarded) -> list[int]:
        return [end.fileno() for end in (connection.service, connection.upstream) if end is not None]

    def _run(self) -> None:
        while True:
            events = self._ready.poll(-1, _AT_ONCE)
            with self._lock:
                for fd, _ in events:
                    found = self._ends.get(fd)
                    # A descriptor that was taken back meanwhile, or is another connection's by now, has nothing to read.
                    if found is not None and not self._pass_on(*found):
                        give_up = self._forget(found[0])
                        if give_up is not None:
                            give_up()

    def _pass_on(self, connection: Forwarded, to_service: bool) -> bool:
        """Pass on one piece; False where more than that has to be done."""
        assert connection.upstream is not None
        source, sink = connection.service, connection.upstream
        if to_service:
            source, sink = sink, source
        try:
            count = source.recv_into(self._buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not count:
            return False
        piece = self._buffer[:count]
        connection.passed(piece, to_service=to_service)
        try:
            sent = sink.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < count:
            connection.left_over[to_service] = bytes(piece[sent:])
            return False
        return True
