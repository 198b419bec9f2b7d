"""The fault proxy: TCP between the service and one of its dependencies, unchanged until a fault is set.

Rules of this module:

- While nothing is wrong connections are carried by a thread (``carrying``), without any task. What has met a fault, an end or
  a full buffer is carried by tasks from then on.
- A piece that is read is written at once, from the buffer into which it was read: no copy, and no task in between. Only a fault
  that slows pieces down puts a queue between the two.
- A fault acts on the connections that stand and on new ones alike. When it is over, connections that can go on do.
- One port for the whole life of a proxy, also while connections are refused: a socket that was bound to a port by its number
  keeps it while it does not listen.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import trio

from velro_gate.engine.faults.carrying import PIECE, Forwarders
from velro_gate.engine.faults.counting import counter_for
from velro_gate.engine.faults.forwarded import DISCARD, Forwarded
from velro_gate.engine.faults.shaping import Shaper
from velro_gate.model.resilience.network import NetworkFault, Outage, ProxyCounts, WireProtocol

_ACCEPTS = 64  # at a time: those who are connected already are not kept waiting
_READS = 8  # pieces of one connection in a row, likewise
_BACKLOG = 4_096
"""Connections that may wait to be accepted. The kernel caps it at net.core.somaxconn; with a short queue a burst of the
service's connections would lose SYNs, a fault that nobody has ordered.
"""
_PORT_TRIES = 20
"""How often a free port is looked for: another process may take it between the look and the binding."""
_CONNECT_SECONDS = 10.0
"""How long the dependency may take to accept a connection; then the service's own is reset, as by a dependency that is down."""
_PAUSE = 0.01
"""Seconds until ``accept`` is tried again: a listener that cannot accept stays readable, and the loop would spin."""
_QUEUED = 1 << 23  # bytes that wait for their time, of one connection and direction


class FaultProxy:
    """Listens for the service, and passes on to the dependency.

    Args:
        host, port: where the dependency is.
        carriers: carry what no fault has met; None: tasks carry everything.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        protocol: WireProtocol = WireProtocol.TCP,
        seed: int = 1,
        carriers: Forwarders | None = None,
    ) -> None:
        self.fault: NetworkFault | None = None
        self.shaper: Shaper | None = None
        self._host, self._port, self._protocol = host, port, protocol
        self._random = random.Random(seed)
        self._connections: set[Forwarded] = set()
        self._changed = trio.Event()
        self._spare: list[memoryview] = []
        self._listener: socket.socket | None = None
        self._carriers = carriers
        self._accepted = self._failed = self._sent = self._received = self._requests = 0

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Take a port, a free one by default, and return it.

        Raises:
            OSError: it is taken or not ours.
        """
        self._listener = _bound(host, port)
        self._listener.listen(_BACKLOG)
        taken: int = self._listener.getsockname()[1]
        return taken

    async def serve(self) -> None:
        """Accept connections until cancelled; then all of them are closed."""
        listener = self._listener
        assert listener is not None
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.lowlevel.wait_readable(listener)
                    # A socket that was shut down is readable for ever: wait for another fault, not for the socket.
                    if self.outage is Outage.REFUSE:
                        await self.changed()
                        continue
                    for _ in range(_ACCEPTS):
                        accepted = await _accept(listener)
                        if accepted is None:
                            break
                        self._accepted += 1
                        if self.outage is Outage.RESET:
                            _reset(accepted)
                        else:
                            nursery.start_soon(self._carry, accepted)
        finally:
            listener.close()

    @property
    def outage(self) -> Outage | None:
        """The outage at the moment; None when everything passes."""
        return self.fault.outage if self.fault is not None else None

    async def changed(self) -> None:
        """Wait for another fault, or for none."""
        await self._changed.wait()

    def set(self, fault: NetworkFault | None) -> None:
        """Begin a fault, in place of the one before; None: everything works again."""
        assert self._listener is not None
        before, self.fault = self.outage, fault
        shaped = fault is not None and fault.outage is None
        self.shaper = Shaper(fault, self._random) if fault is not None and shaped else None
        if self.outage is Outage.REFUSE and before is not Outage.REFUSE:
            # On Linux this ends the listening and refuses what waits in the accept queue, and the socket stays bound: closed
            # and bound again, it could lose its port to another process.
            self._listener.shutdown(socket.SHUT_RDWR)
        elif self.outage is not Outage.REFUSE and before is Outage.REFUSE:
            self._listener.listen(_BACKLOG)
        for connection in list(self._connections):
            if self._carriers is not None:
                self._carriers.take_back(connection)
            connection.carried.set()
            connection.received_since = 0
            if self.outage in (Outage.REFUSE, Outage.RESET):
                connection.abort()
            elif self.outage is Outage.HALF_OPEN:
                connection.orphan()
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    @property
    def counts(self) -> ProxyCounts:
        """What has passed so far."""
        standing = list(self._connections)
        requests = self._requests + sum(connection.counter.requests for connection in standing)
        return ProxyCounts(
            accepted=self._accepted,
            failed=self._failed,
            sent=self._sent + sum(connection.sent for connection in standing),
            received=self._received + sum(connection.received for connection in standing),
            requests=None if self._protocol is WireProtocol.TCP else requests,
        )

    async def _carry(self, accepted: socket.socket) -> None:
        connection = Forwarded(accepted, counter_for(self._protocol))
        self._connections.add(connection)
        try:
            with connection.scope:
                await self._connected(connection)
                if connection.orphaned:
                    connection.close_upstream()
                    await self._wait_for_the_service(connection)
        finally:
            if self._carriers is not None:
                self._carriers.take_back(connection)
            self._connections.discard(connection)
            self._requests += connection.counter.requests
            self._sent += connection.sent
            self._received += connection.received
            connection.close()

    async def _connected(self, connection: Forwarded) -> None:
        """Carry until both sides have ended, something breaks, or a fault leaves the service's end alone."""
        with connection.pair_scope:
            if self.outage is Outage.HALF_OPEN:
                connection.orphan()
            while self.outage is Outage.BLACK_HOLE:
                await self.changed()
            try:
                with trio.fail_after(_CONNECT_SECONDS):
                    upstream = await _connect(self._host, self._port)
            except (OSError, UnicodeError, trio.TooSlowError):
                # UnicodeError: the name of the dependency cannot be looked up.
                self._failed += 1
                connection.abort()
                return
            connection.upstream = upstream
            await self._carried(connection)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, connection, connection.service, upstream, False)
                await self._pump(connection, upstream, connection.service, True)

    async def _carried(self, connection: Forwarded) -> None:
        """Have a connection carried without a task, as long as nothing is wrong with it."""
        if self._carriers is None or self.fault is not None:
            return
        token = trio.lowlevel.current_trio_token()
        self._carriers.carry(connection, partial(_rung, token, connection.carried))
        try:
            await connection.carried.wait()
        finally:
            self._carriers.take_back(connection)

    async def _pump(self, connection: Forwarded, source: socket.socket, sink: socket.socket, to_service: bool) -> None:
        """Pass on what comes in one direction until it ends."""
        try:
            async with trio.open_nursery() as nursery:
                queue = _Queue(self, sink)
                while self.outage is Outage.BLACK_HOLE and connection.left_over[to_service]:
                    await self.changed()
                await _send_all(sink, memoryview(connection.left_over[to_service]))
                while await self._piece(connection, source, sink, to_service, queue, nursery):
                    pass
                await queue.drained()
                sink.shutdown(socket.SHUT_WR)
        except* OSError:
            connection.abort()

    async def _piece(
        self,
        connection: Forwarded,
        source: socket.socket,
        sink: socket.socket,
        to_service: bool,
        queue: _Queue,
        nursery: trio.Nursery,
    ) -> bool:
        """Wait for pieces and pass them on; False when there will be no more."""
        await trio.lowlevel.wait_readable(source)
        while self.outage is Outage.BLACK_HOLE:
            await self.changed()
        for _ in range(_READS):
            with self._buffer() as buffer:
                shaper = self.shaper
                most = PIECE if shaper is None else shaper.piece(PIECE)
                try:
                    count = source.recv_into(buffer[:most])
                except BlockingIOError:
                    return True
                if not count:
                    return False
                piece = buffer[:count]
                connection.passed(piece, to_service=to_service)
                if shaper is not None or queue:
                    piece = self._cut(connection, piece) if to_service else piece
                    at = trio.current_time() if shaper is None else shaper.release(trio.current_time(), count, to_service)
                    await queue.put(at, bytes(piece), nursery)
                    if connection.to_cut:
                        await queue.drained()
                        connection.abort()
                        # Not a word more: its end would be taken for a proper one.
                        await trio.lowlevel.checkpoint()
                else:
                    await _send_all(sink, piece)
                if count < most:
                    return True
        await trio.lowlevel.checkpoint()
        return True

    def _cut(self, connection: Forwarded, piece: memoryview) -> memoryview:
        """What of a piece may still pass before its connection is cut."""
        most = self.fault.cut_after if self.fault is not None else None
        if most is None:
            return piece
        left = max(0, most - connection.received_since)
        connection.received_since += len(piece)
        # After this piece, which may pass up to the bound: the service gets half a response, and then a reset.
        connection.to_cut = connection.received_since >= most
        return piece[:left]

    async def _wait_for_the_service(self, connection: Forwarded) -> None:
        """Keep the service's end open and silent while the dependency's is gone; afterwards its first byte is answered by a
        reset, as by a machine that has started again.
        """
        while True:
            await trio.lowlevel.wait_readable(connection.service)
            while self.outage is Outage.HALF_OPEN:
                await self.changed()
            connection.abort()

    @contextmanager
    def _buffer(self) -> Iterator[memoryview]:
        buffer = self._spare.pop() if self._spare else memoryview(bytearray(PIECE))
        try:
            yield buffer
        finally:
            self._spare.append(buffer)


class _Queue:
    """Pieces that wait for their time, in the order in which they came. What waits passes at once when the fault changes."""

    __slots__ = ("_empty", "_held", "_proxy", "_room", "_sink", "_waiting", "_writing")

    def __init__(self, proxy: FaultProxy, sink: socket.socket) -> None:
        self._proxy, self._sink = proxy, sink
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._empty, self._room = trio.Event(), trio.Event()
        self._writing = False

    def __bool__(self) -> bool:
        return self._writing

    async def put(self, at: float, piece: bytes, nursery: trio.Nursery) -> None:
        """Have a piece written at this time; waits while too much waits already."""
        self._waiting.append((at, piece))
        self._held += len(piece)
        if not self._writing:
            self._writing, self._empty = True, trio.Event()
            nursery.start_soon(self._write)
        while self._held > (_QUEUED if self._proxy.shaper is None else self._proxy.shaper.most_waiting(_QUEUED)):
            self._room = trio.Event()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until nothing waits any more."""
        if self._writing:
            await self._empty.wait()

    async def _write(self) -> None:
        while self._waiting:
            at, piece = self._waiting.popleft()
            with trio.move_on_at(at):
                await self._proxy.changed()
            await _send_all(self._sink, memoryview(piece))
            self._held -= len(piece)
            self._room.set()
        self._writing = False
        self._empty.set()


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to a port by its number, so that it keeps it while it does not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(_PORT_TRIES):
        number = port
        if not port:
            with socket.socket(family) as probe:
                probe.bind((host, 0))
                number = probe.getsockname()[1]
        made = socket.socket(family)
        try:
            made.setblocking(False)
            # Connections of an earlier proxy may lie in TIME_WAIT on this port, which would refuse the binding.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, number))
            return made
        except OSError:
            made.close()
            if port or attempt == _PORT_TRIES - 1:
                raise
    raise AssertionError


async def _accept(listener: socket.socket) -> socket.socket | None:
    """The next connection; None when none waits."""
    try:
        accepted, _ = listener.accept()
    except (BlockingIOError, ConnectionError):
        return None
    except OSError:
        # It does not listen at the moment, or there is no descriptor left: not asked again at once.
        await trio.sleep(_PAUSE)
        return None
    accepted.setblocking(False)
    # Nagle's algorithm and the peer's delayed acknowledgement together would add up to 40 ms to small pieces: latency of the
    # proxy that would pass for the service's.
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return accepted


async def _connect(host: str, port: int) -> socket.socket:
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await trio.socket.from_stdlib_socket(made).connect(address)
        except OSError as error:
            failure = error
            made.close()
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise failure or OSError("no address")


async def _send_all(sink: socket.socket, piece: memoryview) -> None:
    while piece:
        try:
            sent = sink.send(piece)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sink)
            continue
        piece = piece[sent:]


def _rung(token: trio.lowlevel.TrioToken, event: trio.Event) -> None:
    """Set an event from another thread; the loop may be over by then."""
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(event.set)


def _reset(accepted: socket.socket) -> None:
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DISCARD)
    accepted.close()
