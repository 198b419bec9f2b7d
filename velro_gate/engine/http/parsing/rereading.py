"""What httptools refuses is read once more by h11, so that RFC 9112 decides and not the strictness of one parser.

h11 accepts what the RFC lets a client accept: equal lengths given twice or as a list (6.3), a length together with chunks,
which then count (6.3), bare line feeds (2.2), folded lines (5.2), and blanks behind a chunk's size (7.1.1). What it refuses, it
refuses in words. It is slow, and only responses that no other reading has understood come here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import h11
import httptools

if TYPE_CHECKING:
    # It is built on this module.
    from velro_gate.engine.http.parsing.responses import Response

SWITCHES = "it switches to another protocol, which nobody asked for"

_BYTES = re.compile(r"(?:bytearray\()?b(\".*\"|'.*')\)?", re.DOTALL)


class RereadingParser:
    """Looks like httptools' parser of one answer.

    Args:
        head: it answers HEAD.
        most: bytes of headers.
        skip: bytes of the body that the listener has heard already.
    """

    def __init__(self, listener: Response, *, head: bool, most: int, skip: int = 0) -> None:
        self._listener = listener
        self._skip = skip
        self._status = 0
        self._version = "1.1"
        self._kept = True
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=most)
        self._connection.send(h11.Request(method=b"HEAD" if head else b"GET", target=b"/", headers=[(b"Host", b"x")]))
        self._connection.send(h11.EndOfMessage())

    def get_status_code(self) -> int:
        """Of the newest head."""
        return self._status

    def get_http_version(self) -> str:
        """As in ``1.1``."""
        return self._version

    def should_keep_alive(self) -> bool:
        """Whether the newest head leaves the connection open."""
        return self._kept

    def feed_data(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            httptools.HttpParserError: it is not HTTP; says why.
        """
        try:
            self._connection.receive_data(data)
            while self._next():
                pass
        except h11.ProtocolError as error:
            raise httptools.HttpParserError(_words(str(error))) from None

    def _next(self) -> bool:
        """Hand on the next event; whether there may be more."""
        event, listener = self._connection.next_event(), self._listener
        if isinstance(event, h11.InformationalResponse):
            self._begin(event)
            listener.on_message_complete()
        elif isinstance(event, h11.Response):
            self._begin(event)
        elif isinstance(event, h11.Data):
            data = bytes(event.data)
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            if len(data) > skipped:
                listener.on_body(data[skipped:])
        elif isinstance(event, h11.EndOfMessage):
            listener.on_message_complete()
            if self._connection.trailing_data[0]:
                listener.on_message_begin()
            return False
        else:
            return False
        return True

    def _begin(self, event: h11.Response | h11.InformationalResponse) -> None:
        listener = self._listener
        self._status, self._version = event.status_code, event.http_version.decode("ascii")
        tokens = {
            token.strip().lower() for name, value in event.headers if name == b"connection" for token in value.split(b",")
        }
        # RFC 9112, 9.3: HTTP/1.1 keeps a connection unless a header says otherwise, HTTP/1.0 only with keep-alive.
        self._kept = b"close" not in tokens and (self._version >= "1.1" or b"keep-alive" in tokens)
        listener.on_message_begin()
        listener.on_status(event.reason)
        for name, value in event.headers.raw_items():
            listener.on_header(name, value)
        listener.on_headers_complete()


def _words(said: str) -> str:
    """h11's sentence without the spelling of Python."""
    if "_SWITCH_" in said:
        return SWITCHES
    return _BYTES.sub(r"\1", said)
