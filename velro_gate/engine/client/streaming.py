"""A connection of the wire whose request goes out in pieces and whose response is handed on in pieces, for httpx's
transport."""

from __future__ import annotations

import ssl
from collections import deque
from dataclasses import dataclass, field
from math import nan
from typing import Any, Protocol

from velro_gate.engine.http.connection import Connection, ConnectionState, Owner, Wire
from velro_gate.engine.http.faults import ConnectionFault
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import BLANKS, Response, ResponseState, is_chunked
from velro_gate.engine.http.poller import READ, WRITE
from velro_gate.model.samples import Outcome


class StreamOwner(Owner, Protocol):
    """Who uses a channel."""

    def progressed(self) -> None:
        """Bytes have come, or have gone out."""


class Channel(Connection):
    """A connection that takes a request in pieces, and whose reading can pause.

    Args:
        most: bytes of one answer, all of its pieces together.
    """

    __slots__ = ("_held_back", "_most", "_parser", "_paused", "_streams_to", "ended", "known")

    def __init__(self, wire: Wire, owner: StreamOwner, most: int) -> None:
        super().__init__(wire, owner)
        self._streams_to = owner
        self._most = most
        self._parser: StreamedAnswer | None = None
        self._paused = self._held_back = False
        # known: whether it has stood before. ended: whether the service ended it in order (FIN), and did not reset it.
        self.known = self.ended = False

    def carry(self, owner: StreamOwner) -> None:
        """From now on this owner gets the connection's events."""
        self._owner = self._streams_to = owner

    @property
    def raw(self) -> list[bytes]:
        """The first bytes of the newest answer as they came."""
        return [] if self._parser is None else self._parser.raw

    @property
    def owner(self) -> StreamOwner:
        """Who gets the connection's events."""
        return self._streams_to

    def begin(self, into: Incoming, first: bytes, *, head: bool) -> None:
        """Send the first bytes of a request, whose response goes into ``into``. Only when idle. head: its method is HEAD."""
        self.ended = self._held_back = False
        if self._parser is None or not self._parser.fit:
            if self._parser is not None:
                self._parser.discard()
            self._parser = StreamedAnswer(self._wire, self._most)
        self._parser.begin(into, self._streams_to, head=head)
        self._answer = self._parser
        self.send(first, head=head)

    def release(self) -> None:
        """The exchange is over: forget what it was, and read on."""
        self.resume()
        self.written = False
        if self._parser is not None:
            self._parser.forget()

    def send_more(self, data: bytes) -> None:
        """Send further bytes of the same request; ``written`` says when they are gone. Only when all before them are."""
        self.written = False
        self.state = ConnectionState.SENDING
        self._rest = memoryview(data)
        self._wire.poller.change(self._fd, READ | WRITE)
        self._send_rest()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused:
            self._paused = self._held_back = True
            # Unregistered, not only without interest: the set would go on reporting a peer that hung up.
            self._wire.poller.remove(self._fd)

    @property
    def paused(self) -> bool:
        """Whether nothing is read."""
        return self._paused

    def resume(self) -> None:
        """Read on. Harmless when it is read."""
        if self._paused:
            self._paused = False
            self._wire.poller.add(self._fd, READ, self._ready)

    def give_up(self) -> None:
        """Close, and notify the owner as if the service had closed. Harmless when closed."""
        if self.state is not ConnectionState.CLOSED:
            self._fail(ConnectionFault(outcome=Outcome.RESET, words="the connection was given up"))

    def info(self, name: str) -> Any:
        """What httpx's own streams report under this name; None if it is not known."""
        made = self._socket
        if made is None:
            return None
        if name == "ssl_object":
            return made if isinstance(made, ssl.SSLSocket) else None
        found = {"socket": lambda: made, "server_addr": made.getpeername, "client_addr": made.getsockname}.get(name)
        return None if found is None else found()

    def _send_rest(self) -> None:
        super()._send_rest()
        self._streams_to.progressed()

    def _ended(self, answer: Response | None, at: float) -> None:
        self.ended = True
        super()._ended(answer, at)

    def _note_stall(self, at: float) -> None:
        # What its reader let lie says nothing of the loop.
        if not self._held_back:
            super()._note_stall(at)

    def _drop_socket(self) -> None:
        # What is closed must be in the poller, as any other connection is.
        self.resume()
        super()._drop_socket()


@dataclass(slots=True, eq=False)
class Incoming:
    """What has come of a response: its headers as they were written, and the pieces of its body that nobody has taken."""

    status: int = 0
    version: bytes = b""
    """The version, as in ``HTTP/1.1``."""
    reason: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    pieces: deque[bytes] = field(default_factory=deque)
    waiting: int = 0
    """How many bytes ``pieces`` hold."""
    heard: int = 0
    """How many bytes of the body have come so far."""
    received: int = 0
    first_at: float = nan
    head_whole: bool = False
    """Whether status and headers are there."""
    complete: bool = False
    """Whether all of it is there."""

    def take(self) -> bytes:
        """The next piece of the body."""
        piece = self.pieces.popleft()
        self.waiting -= len(piece)
        return piece


class StreamedAnswer(Response):
    """Parses the responses of one channel, one after the other, each into an Incoming. fit: whether it can parse another
    one."""

    __slots__ = ("_into", "_owner", "_wire", "fit")

    def __init__(self, wire: Wire, most: int) -> None:
        self._wire = wire
        self._into = Incoming()
        self._owner: StreamOwner | None = None
        self.fit = True
        super().__init__(HeaderKinds(), most)

    def begin(self, into: Incoming, owner: StreamOwner, *, head: bool) -> None:
        """Expect a response. owner: hears of progress until ``forget``. head: it answers HEAD."""
        self._into, self._owner = into, owner
        self.start(nan, head=head)
        self.fit = False

    def forget(self) -> None:
        """The response is over. Its owner and what has come of it live on without this parser."""
        self._into, self._owner = _NOTHING, None

    def discard(self) -> None:
        """See Response; one that is fit for another answer stays with its channel."""
        if not self.fit:
            super().discard()

    def feed(self, data: bytes) -> ResponseState:
        """See Response."""
        into = self._into
        self.read_at = self._wire.now()
        if not self.received:
            self.first_at = self.read_at
        progress = super().feed(data)
        into.first_at = self.first_at
        into.received = self.received
        if progress is ResponseState.COMPLETE:
            self.fit = self.clean
            # It stays with its channel; the wire must not give it to others.
            self.clean = False
        if self._owner is not None:
            self._owner.progressed()
        return progress

    # What httptools calls.

    def on_status(self, reason: bytes) -> None:
        """The reason phrase, or a part of it."""
        if not self.complete:
            self._into.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those are not kept."""
        if self.headers_done:
            return
        value = value.rstrip(BLANKS)
        self._into.headers.append((name, value))
        lower = name.lower()
        if lower == b"content-length":
            self.framed = True
        elif lower == b"transfer-encoding":
            self.framed = is_chunked(value)

    def on_headers_complete(self) -> None:
        """See Response."""
        into, status = self._into, self._parser.get_status_code()
        if status >= 200 and not self.complete:
            into.status = status
            into.version = b"HTTP/" + str(self._parser.get_http_version()).encode("ascii")
            into.head_whole = True
        super().on_headers_complete()
        into.complete = self.complete

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self.reusable = False
        else:
            self._into.pieces.append(data)
            self._into.waiting += len(data)
            self._into.heard += len(data)

    def _heard(self) -> int:
        return self._into.heard

    def _clear(self) -> None:
        super()._clear()
        self._into.headers, self._into.reason = [], b""

    def on_message_complete(self) -> None:
        """See Response; the headers of 1xx are forgotten."""
        super().on_message_complete()
        into = self._into
        into.complete = self.complete
        if not self.complete:
            into.headers, into.reason = [], b""


_NOTHING = Incoming()
