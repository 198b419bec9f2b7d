"""One HTTP/1.1 response, parsed by httptools as its bytes arrive.

Rules:

- 1xx responses are skipped, except 101, which nobody asked for: nothing of them remains in the response that follows.
- A body without a declared length ends with the connection. Bytes after a complete response belong to no request of ours: the
  response counts, and the connection is not used again.
- What httptools refuses is read by h11 before it counts as a fault (``rereading``). ``fault`` says in words why it is one.
- Only what a sample, a check or a capture needs is looked at.
- A head that was parsed before is not parsed again (``known_heads``). It alone decides status, length, cache and cookies, and a
  service sends few different ones within a second. httptools' reading of the first of them still decides.

Cost of a response with 9 headers and 80 bytes (CPython 3.11): .6 µs if its head is known, 2.8 µs if not.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import httptools

from velro_gate.engine.http.parsing import cache_headers
from velro_gate.engine.http.parsing.headers import STANDARD_NAMES, Header, HeaderKinds
from velro_gate.engine.http.parsing.rereading import SWITCHES, RereadingParser
from velro_gate.units import format_count

MOST_HEAD = 256 * 1024
"""Bytes of headers that are read before a response is refused as no sensible HTTP."""

BLANK_LINE = b"\r\n\r\n"
BLANKS = b" \t"
"""What stands around a header's value and is not part of it (RFC 9112, 5.1)."""

MOST_KEPT = 64 * 1024
"""Bytes of a response that are kept as they came, to be read again or shown."""

_LEAST_STATUS = 100
"""A status has three digits, of which the first is 1 to 5 (RFC 9110, 15); parsers let smaller numbers through."""


class ResponseState(IntEnum):
    """Where a response stands after some of its bytes."""

    INCOMPLETE = 0
    COMPLETE = 1
    FAULTY = 2


_LENGTH = int(Header.LENGTH)


class Response:
    """One answer at a time, then the next one: ``start``, ``feed`` until complete, read the fields, ``start`` again.

    A response that is not ``clean`` has left its parser in the middle of something else and must be thrown away. raw: its
    first bytes as they came. read_at: when the bytes that are fed next were read. fault: why it is invalid, in words. lent:
    whoever was given it keeps it, and discards it later.
    """

    __slots__ = (
        "_begun",
        "_declared",
        "_feed",
        "_head",
        "_interim",
        "_kept",
        "_kinds",
        "_most",
        "_parser",
        "_plain",
        "_rereads",
        "_wants_body",
        "body",
        "cache",
        "cache_layer",
        "captured",
        "clean",
        "complete",
        "cookies",
        "fault",
        "first_at",
        "framed",
        "headers_done",
        "lent",
        "raw",
        "read_at",
        "received",
        "reusable",
        "status",
    )

    def __init__(self, kinds: HeaderKinds, most: int) -> None:
        self._kinds = kinds
        self._most = most
        self._parser: Any = httptools.HttpResponseParser(self)
        self._feed: Any = self._parser.feed_data
        self.start(0.0)

    def start(self, first_at: float, *, head: bool = False, wants_body: bool = False) -> None:
        """Begin a new answer, whose first byte came at ``first_at``. head: it answers HEAD, so it has no body."""
        self._head = head
        self._wants_body = wants_body
        self.first_at = self.read_at = first_at
        self.received = self._kept = 0
        self.raw: list[bytes] = []
        self.fault = ""
        self.clean = self.reusable = True
        self.lent = self._rereads = False
        self._clear()

    def _clear(self) -> None:
        """Nothing has been read."""
        self.status = 0
        self._declared = -1
        self._begun = self._interim = False
        self._plain = True
        self.complete = False
        self._forget_head()

    def _forget_head(self) -> None:
        """What a head has said."""
        self.headers_done = self.framed = False
        self.cache: bytes | None = None
        self.cache_layer: bytes | None = None
        self.cookies: list[bytes] | None = None
        self.captured: list[tuple[bytes, bytes]] | None = None
        self.body: list[bytes] | None = None

    def feed(self, data: bytes) -> ResponseState:
        """Take the next bytes."""
        self.received = received = self.received + len(data)
        in_head = not self.headers_done
        if self._kept < MOST_KEPT:
            self.raw.append(data)
            self._kept += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self.fault = SWITCHES
            return ResponseState.FAULTY
        except httptools.HttpParserError as error:
            if not self.complete and not self._read_again(error):
                return ResponseState.FAULTY
            self.clean = False
            # httptools refuses what follows a response, too.
            self.reusable = self.reusable and self._rereads
        if received > MOST_HEAD and in_head and self._head_is_too_long(data):
            self.fault = f"its head is longer than {format_count(MOST_HEAD)} bytes"
            return ResponseState.FAULTY
        if self.complete:
            self.fault = "" if self.status >= _LEAST_STATUS else f"{self.status} is not a status"
            return ResponseState.FAULTY if self.fault else ResponseState.COMPLETE
        if received <= self._most:
            return ResponseState.INCOMPLETE
        self.fault = f"it is longer than {format_count(self._most)} bytes"
        return ResponseState.FAULTY

    def _head_is_too_long(self, data: bytes) -> bool:
        """Whether the head, which had not ended before these bytes, is longer than it may be, however it came in pieces."""
        if not self.headers_done:
            return True
        # Where its last bytes came in two pieces it ended within the first three of these.
        ends = data.find(BLANK_LINE) + len(BLANK_LINE)
        return self.received - len(data) + ends > MOST_HEAD + len(BLANK_LINE)

    def _read_again(self, error: httptools.HttpParserError) -> bool:
        """Whether h11 reads what httptools has refused."""
        self.fault = str(error)
        came = b"".join(self.raw)
        if self._rereads or self._kept < self.received:
            return False
        if not came.lstrip(b"\r\n").startswith(b"HTTP/"):
            self.fault = "it does not begin with HTTP/"
            return False
        self._rereads = True
        self._parser = RereadingParser(self, head=self._head, most=MOST_HEAD, skip=self._heard())
        self._feed = self._parser.feed_data
        self._clear()
        try:
            self._feed(came)
        except httptools.HttpParserError as refused:
            self.fault = str(refused)
            return self.complete
        self.fault = ""
        return True

    def _heard(self) -> int:
        """Bytes of the body that have been handed on and cannot be taken back."""
        return 0

    def end(self) -> ResponseState:
        """The connection has ended: complete if the end of the connection is this answer's way to end."""
        self.clean = self.reusable = False
        whole = self.headers_done and not self.framed and self._parser.get_status_code() >= _LEAST_STATUS
        return ResponseState.COMPLETE if whole else ResponseState.INCOMPLETE

    def discard(self) -> None:
        """Forget the parser: it and this answer hold each other, and garbage is not collected while the load is measured."""
        self._parser = self._feed = None

    # What httptools calls.

    def alone(self, length: int) -> bool:
        """Whether the head alone says that a body of ``length`` bytes follows, whoever asked, and no head came before it."""
        return self._plain and self._declared == length and not self._head

    def on_status(self, reason: bytes) -> None:
        """The reason phrase says nothing that the status does not."""

    def on_message_begin(self) -> None:
        """A first line begins; after a whole response it belongs to nobody."""
        if self._interim:
            self._interim = False
            self.first_at = self.read_at
        if self._begun:
            self._plain = False
        self._begun = True
        if self.complete:
            self.clean = self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: those are not looked at."""
        kind = self._kinds[name]
        if kind and not self.headers_done:
            value = value.rstrip(BLANKS)
            if kind == _LENGTH:
                self.framed = True
                self._declared = int(value) if value.isdigit() else -1
            else:
                self._note(kind, name, value)

    def _note(self, kind: int, name: bytes, value: bytes) -> None:
        if kind == Header.CACHE:
            self.cache = value
        elif kind == Header.CACHE_LAYER:
            self.cache_layer = value
        elif kind == Header.ENCODING:
            self.framed = is_chunked(value)
            self._plain = False
        elif kind == Header.COOKIE:
            self.cookies = [*(self.cookies or ()), value]
        elif kind in STANDARD_NAMES:
            self._note_standard(kind, value)
        else:
            self.captured = [*(self.captured or ()), (name.lower(), value)]
            if kind == Header.CAPTURED_CACHE:
                self.cache = value
            elif kind == Header.CAPTURED_CACHE_LAYER:
                self.cache_layer = value

    def _note_standard(self, kind: int, value: bytes) -> None:
        """A service's own header counts before a standard one, and of those the one that says most."""
        if self.cache is None:
            self.cache = cache_headers.marked_header(STANDARD_NAMES[kind], value)
        elif kind == Header.CACHE_STATUS and cache_headers.is_standard(self.cache):
            if cache_headers.is_status(self.cache):
                self.cache = cache_headers.joined_header(self.cache, value)
            else:
                self.cache = cache_headers.marked_header(cache_headers.STATUS, value)

    def on_headers_complete(self) -> None:
        """All headers are here; a response to HEAD ends with them, whatever length they declare."""
        self.headers_done = True
        if self._head and not self.complete and self._parser.get_status_code() >= 200:
            self._complete()
            # The parser still waits for the body that was declared.
            self.clean = False

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self.reusable = False
        elif self._wants_body:
            if self.body is None:
                self.body = [data]
            else:
                self.body.append(data)

    def on_message_complete(self) -> None:
        """The end of a response; after 1xx another one follows."""
        if self.complete:
            return
        if _LEAST_STATUS <= self._parser.get_status_code() < 200:
            self._forget_head()
            self._declared = -1
            self._interim = True
            return
        self._complete()

    def _complete(self) -> None:
        self.complete = True
        self.status = self._parser.get_status_code()
        if self._rereads:
            self.clean = False
        if not self._parser.should_keep_alive():
            # The parser refuses anything after such a response.
            self.clean = self.reusable = False

    def finish(self) -> None:
        """Take over the status of a response that ended with its connection."""
        self.status = self._parser.get_status_code()


def is_chunked(value: bytes) -> bool:
    """Whether a Transfer-Encoding says that the body comes in chunks.

    Raises:
        httptools.HttpParserError: it names a coding that nobody asked for (RFC 9112, 6.1).
    """
    coding = value.strip(BLANKS).lower()
    if coding not in (b"chunked", b"identity"):
        raise httptools.HttpParserError(f"the transfer coding {coding.decode('latin-1')!r} was not asked for")
    return coding == b"chunked"
