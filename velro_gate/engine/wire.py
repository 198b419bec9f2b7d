"""One HTTP/1.1 connection of one virtual user, on a non-blocking socket, its answers parsed by httptools.

Rules of this module, because it is the hot path:

- no cancel scope, no timer and no object a request: a sweeper outside closes what is overdue, results lie in reused slots;
- a parser is borrowed from a pool for the time of one answer, so that thousands of idle users hold none;
- only the headers that someone asked for are looked at, and a body is kept only where a check or a capture reads it.

An answer ends by its length, by its last chunk, or, where it has neither, by the end of the connection (RFC 9112, 6.3).
What follows a whole answer belongs to nobody: the answer counts, the connection is not used again.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Sequence

import httptools
import trio

from velro_gate.errors import InfeasibleError
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER, Outcome

RECEIVE_BYTES = 65_536
MOST_ANSWER_BYTES = 16 * 2**20
_MOST_LAYERS = 200

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Errors of this machine that would look like faults of the service."""


class WireError(Exception):
    """A request that got no whole answer. outcome: its kind. answered: whether any byte of an answer had come."""

    def __init__(self, outcome: Outcome, *, answered: bool = False) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome
        self.answered = answered


class LayerTable:
    """Cache layers by name, numbered in the order in which they are first seen."""

    def __init__(self) -> None:
        self._codes: dict[bytes, int] = {}

    def code(self, name: bytes) -> int:
        """The cache code of a hit in this layer; beyond 200 names all share the last code."""
        found = self._codes.get(name)
        if found is None:
            found = FIRST_CACHE_LAYER + min(len(self._codes), _MOST_LAYERS)
            # A service that makes up names must not fill our memory.
            if len(self._codes) <= _MOST_LAYERS:
                self._codes[name] = found
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names in code order."""
        return tuple(name.decode("latin-1") for name in self._codes)


class AnswerReader:
    """Callbacks of one parser; holds what is kept of the answer it is reading.

    reusable: the connection can carry another request. clean: the parser can read another answer.
    """

    __slots__ = (
        "_bounded", "_hit", "_layer", "_layers", "body", "captured", "clean", "complete", "cookies", "first_byte_at",
        "headers_done", "is_head", "keep_body", "parser", "received", "reusable", "status", "wanted",
    )  # fmt: skip

    def __init__(self, layers: LayerTable) -> None:
        self._layers = layers
        self.parser = httptools.HttpResponseParser(self)
        self.begin(is_head=False, keep_body=False, wanted=frozenset())

    def begin(self, *, is_head: bool, keep_body: bool, wanted: frozenset[bytes]) -> None:
        """Make ready for one answer. wanted: lower-case names of headers to keep."""
        self.is_head = is_head
        self.keep_body = keep_body
        self.wanted = wanted
        self.status = self.received = 0
        self.first_byte_at = 0.0
        self.complete = self.headers_done = self._bounded = False
        self.reusable = self.clean = True
        self._hit: bool | None = None
        self._layer = b""
        self.body: list[bytes] = []
        self.cookies: list[bytes] = []
        self.captured: dict[bytes, bytes] = {}

    def on_message_begin(self) -> None:
        """A first line; one that follows a whole answer leaves parser and connection amid something that nobody asked for."""
        if self.complete:
            self.reusable = self.clean = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what the sample, the cookie jar or a capture needs; trailers, and what follows the answer, are passed over."""
        if self.headers_done:
            return
        name = name.lower()
        if name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
            self._bounded = True
        elif name == b"x-cache":
            self._hit = value[:3].upper() == b"HIT"
        elif name == b"x-cache-layer":
            self._layer = value
        elif name == b"set-cookie":
            self.cookies.append(value)
        if name in self.wanted:
            self.captured[name] = value

    def on_headers_complete(self) -> None:
        """An answer to HEAD ends here whatever its headers say, and leaves the parser waiting for a body."""
        self.headers_done = True
        if self.is_head and self.parser.get_status_code() >= 200:
            self._finish()
            self.clean = False

    def on_body(self, data: bytes) -> None:
        """Keep the body where somebody reads it."""
        if self.complete:
            self.reusable = False
        elif self.keep_body:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was only an interim one (1xx)."""
        if self.complete:
            return
        if self.parser.get_status_code() < 200:
            self.headers_done = self._bounded = False
            return
        self._finish()

    def _finish(self) -> None:
        if not self.complete:
            self.complete = True
            self.status = self.parser.get_status_code()
            # Asked here because the parser forgets it as soon as it is ready for the next message.
            self.reusable = bool(self.parser.should_keep_alive())
            # After an answer that ends its connection the parser takes nothing more.
            self.clean = self.reusable

    def at_end_of_stream(self) -> bool:
        """Whether the end of the connection is the proper end of this answer; completes it if so."""
        if not self.headers_done or self._bounded:
            return False
        self._finish()
        self.reusable = self.clean = False
        return True

    @property
    def cache(self) -> int:
        """The cache code of this answer (model.samples)."""
        if self._hit is None:
            return NO_CACHE_HEADER
        return self._layers.code(self._layer or b"unnamed") if self._hit else CACHE_MISS


class ReaderPool:
    """Readers that wait for their next answer; as many as answers are being read at once, not as many as users."""

    def __init__(self, layers: LayerTable) -> None:
        self._layers = layers
        self._free: list[AnswerReader] = []

    def take(self) -> AnswerReader:
        """A reader in its first state."""
        return self._free.pop() if self._free else AnswerReader(self._layers)

    def give_back(self, reader: AnswerReader) -> None:
        """Hand a reader back; one whose parser stopped in the middle of something is thrown away."""
        if reader.complete and reader.clean:
            self._free.append(reader)


class Connection:
    """A connected socket. Not shared: one task uses it, and only ``abort`` may be called from another."""

    __slots__ = ("_socket", "aborted", "reusable")

    def __init__(self, connected: socket.socket) -> None:
        """``connected``: a non-blocking socket; the connection owns it from now on."""
        self._socket = connected
        self.aborted = False
        self.reusable = True

    async def exchange(self, request: bytes, reader: AnswerReader) -> None:
        """Send one request and read its whole answer into ``reader``.

        Raises:
            WireError: no whole answer came; the connection is of no further use.
        """
        reader.received = 0
        self.reusable = False
        try:
            await self._send(request)
            await self._read(reader)
        except (trio.ClosedResourceError, trio.BusyResourceError) as error:
            raise WireError(Outcome.CANCELLED, answered=reader.received > 0) from error
        except (OSError, trio.BrokenResourceError) as error:
            raise WireError(Outcome.RESET, answered=reader.received > 0) from error
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reader.reusable = reader.clean = False
            if not reader.complete:
                raise WireError(Outcome.PROTOCOL, answered=True) from error
        self.reusable = reader.reusable

    def usable(self) -> bool:
        """Whether another request can be sent: the peer neither ended the idle connection nor sent what nobody asked for."""
        return self.reusable and self._quiet()

    def _quiet(self) -> bool:
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def _read(self, reader: AnswerReader) -> None:
        while not reader.complete:
            data = await self._receive()
            if not reader.received:
                reader.first_byte_at = trio.current_time()
            if not data:
                if reader.at_end_of_stream():
                    return
                raise WireError(Outcome.RESET, answered=reader.received > 0)
            reader.received += len(data)
            if reader.received > MOST_ANSWER_BYTES:
                raise WireError(Outcome.PROTOCOL, answered=True)
            reader.parser.feed_data(data)

    async def _send(self, request: bytes) -> None:
        sent = 0
        while True:
            try:
                sent += self._socket.send(request[sent:] if sent else request)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            if sent == len(request):
                return

    async def _receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue

    def abort(self) -> None:
        """Close at once; a task that waits on this connection wakes up with an error."""
        if not self.aborted:
            self.aborted = True
            self.reusable = False
            self._close()

    def _close(self) -> None:
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


class TlsConnection(Connection):
    """The same over TLS, through trio's own stream."""

    __slots__ = ("_stream", "_used")

    def __init__(self, connected: socket.socket, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """``connected``: the socket below ``stream``."""
        super().__init__(connected)
        self._stream = stream
        self._used = False

    def _quiet(self) -> bool:
        try:
            waiting = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # Before the first answer, session tickets may lie there; later only the peer's farewell does.
        return bool(waiting) and not self._used

    async def _send(self, request: bytes) -> None:
        await self._stream.send_all(request)

    async def _receive(self) -> bytes:
        data = bytes(await self._stream.receive_some(RECEIVE_BYTES))
        self._used = True
        return data


class Endpoint:
    """Where connections go: addresses resolved once, one TLS context for all of them."""

    def __init__(self, host: str, addresses: Sequence[tuple[int, tuple[str, int]]], context: ssl.SSLContext | None) -> None:
        self._host = host
        self._addresses = tuple(addresses)
        self._context = context

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The (IP address, port) pairs."""
        return tuple(address for _, address in self._addresses)

    async def connect(self, timeout: float) -> Connection:
        """Connect to the first address that accepts. timeout: seconds, shared out among the addresses.

        Raises:
            WireError: none does; the kind is that of the last attempt.
            InfeasibleError: this machine has no descriptor or no port left, which is no fault of the service.
        """
        failure = Outcome.REFUSED
        for family, address in self._addresses:
            failure = Outcome.TIMEOUT
            with trio.move_on_after(timeout / len(self._addresses)):
                try:
                    return await self._connect(family, address)
                except (OSError, trio.BrokenResourceError) as error:
                    failure = _failure(error, address)
        raise WireError(failure)

    async def _connect(self, family: int, address: tuple[str, int]) -> Connection:
        plain = socket.socket(family, socket.SOCK_STREAM)
        made = trio.socket.from_stdlib_socket(plain)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await made.connect(address)
            if self._context is None:
                return Connection(plain)
            stream = trio.SSLStream(trio.SocketStream(made), self._context, server_hostname=self._host, https_compatible=True)
            await stream.do_handshake()
        except BaseException:
            made.close()
            raise
        return TlsConnection(plain, stream)


def _failure(error: OSError | trio.BrokenResourceError, address: tuple[str, int]) -> Outcome:
    """The kind of a failed attempt to connect."""
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Outcome.TLS
    number = error.errno if isinstance(error, OSError) else None
    if number in _OURS:
        raise InfeasibleError(
            "this machine can open no further connection", where=f"{address[0]} port {address[1]}", why=str(error)
        ) from error
    if number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return Outcome.REFUSED
    return Outcome.TIMEOUT if number == errno.ETIMEDOUT else Outcome.RESET
