"""A connection of the wire whose request goes out in pieces and whose answer is handed on in pieces, for httpx's transport."""

from __future__ import annotations

import ssl
from collections import deque
from math import nan
from typing import Any, Protocol

from velro_gate.engine.answers import Answer, HeaderKinds, Progress
from velro_gate.engine.poller import READ, WRITE
from velro_gate.engine.wire import Connection, Owner, State, Wire
from velro_gate.model.samples import Outcome


class StreamOwner(Owner, Protocol):
    """Who uses a channel."""

    def progressed(self) -> None:
        """Bytes have come, or have gone out."""


class Channel(Connection):
    """A connection that takes a request in pieces, and whose reading can pause.

    known: whether it has stood before. ended: whether the service ended it in order, and did not reset it.
    """

    __slots__ = ("_paused", "_streams_to", "ended", "known")

    def __init__(self, wire: Wire, owner: StreamOwner) -> None:
        super().__init__(wire, owner)
        self._streams_to = owner
        self._paused = False
        self.known = self.ended = False

    def carry(self, owner: StreamOwner) -> None:
        """From now on this one is told what happens."""
        self._owner = self._streams_to = owner

    @property
    def owner(self) -> StreamOwner:
        """Who is told."""
        return self._streams_to

    def begin(self, answer: Answer, first: bytes, *, head: bool) -> None:
        """Send the first bytes of a request, whose answer goes into ``answer``. Only when idle."""
        self.ended = False
        self._answer = answer
        self.send(first, head=head)

    def send_more(self, data: bytes) -> None:
        """Send further bytes of the same request; ``written`` says when they are gone. Only when all before them are."""
        self.written = False
        self.state = State.SENDING
        self._rest = memoryview(data)
        self._wire.poller.change(self._fd, READ | WRITE)
        self._send_rest()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused:
            self._paused = True
            # Not merely without interest: the set would go on to tell of a peer that hung up.
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
        """Close, and tell the owner of it as if the service had. Harmless when closed."""
        if self.state is not State.CLOSED:
            self._fail(Outcome.RESET)

    def info(self, name: str) -> Any:
        """What httpx's own streams tell under this name; None where it is not known."""
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

    def _ended(self, answer: Answer | None, at: float) -> None:
        self.ended = True
        super()._ended(answer, at)

    def _drop_socket(self) -> None:
        # What is closed must be in the poller, as any other connection is.
        self.resume()
        super()._drop_socket()


class StreamedAnswer(Answer):
    """An answer of which everything is kept: all headers as they were written, and the pieces of its body until they are taken.

    head_whole: status and headers are there. waiting: bytes in ``pieces``.
    """

    __slots__ = ("_wire", "head_whole", "headers", "owner", "pieces", "reason", "waiting")

    def __init__(self, wire: Wire, owner: StreamOwner, most: int, *, head: bool) -> None:
        self._wire = wire
        self.owner = owner
        self.headers: list[tuple[bytes, bytes]] = []
        self.reason = b""
        self.pieces: deque[bytes] = deque()
        self.waiting = 0
        self.head_whole = False
        super().__init__(HeaderKinds(), most)
        self.start(nan, head=head)

    def feed(self, data: bytes) -> Progress:
        """See Answer."""
        if not self.received:
            self.first_at = self._wire.now()
        progress = super().feed(data)
        # Its parser is for this one answer only.
        self.clean = False
        self.owner.progressed()
        return progress

    def take(self) -> bytes:
        """The next piece of the body."""
        piece = self.pieces.popleft()
        self.waiting -= len(piece)
        return piece

    @property
    def http_version(self) -> bytes:
        """As the service wrote it, ``HTTP/1.1`` for example."""
        return b"HTTP/" + str(self._parser.get_http_version()).encode("ascii")

    # What httptools calls.

    def on_status(self, reason: bytes) -> None:
        """The reason phrase, or a part of it."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those are not kept."""
        if self.headers_done:
            return
        self.headers.append((name, value))
        lower = name.lower()
        if lower == b"content-length":
            self.framed = True
        elif lower == b"transfer-encoding":
            self.framed = b"chunked" in value.lower()

    def on_headers_complete(self) -> None:
        """See Answer."""
        status = self._parser.get_status_code()
        if status >= 200 and not self.complete:
            self.status = status
            self.head_whole = True
        super().on_headers_complete()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self.reusable = False
        else:
            self.pieces.append(data)
            self.waiting += len(data)

    def on_message_complete(self) -> None:
        """See Answer; the headers of 1xx are forgotten."""
        super().on_message_complete()
        if not self.complete:
            self.headers, self.reason = [], b""
