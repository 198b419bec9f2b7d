"""One HTTP/1.1 answer, parsed by httptools as its bytes come in.

Rules - 1xx answers are passed over, except 101, which nobody asked for: nothing of them is in what follows. - A body without a
declared length ends with the connection. What follows a complete answer is not ours: the response counts, the
  connection is not used again.
- What httptools refuses is read by h11 before it is a fault (``rereading``). ``fault`` says in words why it is one.
- Only what a sample, a check or a capture needs is looked at.
- A head that was parsed before is not parsed again. It decides status, length, cache and cookies alone, and a service sends
  few different ones within a second. What decides is still httptools' reading of the first of them.

Cost of a response of 9 headers and 80 bytes (CPython 3.11): .6 µs where its head is known, 2.8 µs where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

import httptools

from velro_gate.engine.http.parsing import cache_headers
from velro_gate.engine.http.parsing.rereading import SWITCHES, RereadingParser
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER
from velro_gate.model.scenario import CacheHeaders
from velro_gate.units import format_count

MOST_HEAD = 256 * 1024
"""Bytes of headers that are read before a response is refused as no sensible HTTP."""

BLANK_LINE = b"\r\n\r\n"
BLANKS = b" \t"
"""What stands around a header's value and is not part of it (RFC 9112, 5.1)."""

MOST_KEPT = 64 * 1024
"""Bytes of a response that are kept as they came, to be read again or shown."""

_MOST_SPELLINGS = 1_000
"""Spellings of header names and of cache headers' values that are remembered: a service may make up as many as it likes."""
_LEAST_STATUS = 100
"""A status has three digits, of which the first is 1 to 5 (RFC 9110, 15); parsers let smaller numbers through."""
_LAYER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,23}")


class ResponseState(IntEnum):
    """Where a response stands after some of its bytes."""

    INCOMPLETE = 0
    COMPLETE = 1
    FAULTY = 2


class Header(IntEnum):
    """The headers that are looked at; all others are passed over."""

    IGNORED = 0
    LENGTH = 1
    ENCODING = 2
    CACHE = 3
    CACHE_LAYER = 4
    COOKIE = 5
    CAPTURED = 6
    CACHE_STATUS = 7
    CACHE_CLOUDFLARE = 8
    CACHE_AGE = 9
    CAPTURED_CACHE = 10
    CAPTURED_CACHE_LAYER = 11


_LENGTH = int(Header.LENGTH)

_KNOWN = {
    b"content-length": Header.LENGTH,
    b"transfer-encoding": Header.ENCODING,
    b"set-cookie": Header.COOKIE,
}
_STANDARD = {
    cache_headers.STATUS: Header.CACHE_STATUS,
    cache_headers.CLOUDFLARE: Header.CACHE_CLOUDFLARE,
    cache_headers.AGE: Header.CACHE_AGE,
}
_STANDARD_NAMES = {int(kind): name for name, kind in _STANDARD.items()}
_USUAL_CACHE = CacheHeaders()


class HeaderKinds(dict[bytes, int]):
    """Header name in any spelling -> Header. Spellings are remembered, so that a name is lowered once and not each time.

    Args:
        captured: lower-case names whose values a step captures.
        cache: the headers that show how a cache answered.
    """

    def __init__(self, captured: Iterable[bytes] = (), cache: CacheHeaders = _USUAL_CACHE) -> None:
        super().__init__()
        # A standard header that is captured is the step's; the others decide for themselves.
        self._looked_at = {name: kind for name, kind in _STANDARD.items() if name != cache_headers.AGE or cache.age}
        wanted = dict.fromkeys(captured, Header.CAPTURED)
        self._looked_at |= wanted
        for name, alone, both in (
            (cache.hit.encode(), Header.CACHE, Header.CAPTURED_CACHE),
            (cache.layer.encode(), Header.CACHE_LAYER, Header.CAPTURED_CACHE_LAYER),
        ):
            self._looked_at[name] = both if name in wanted else alone
        self._looked_at |= _KNOWN

    def __missing__(self, name: bytes) -> int:
        kind = self._looked_at.get(name.lower(), Header.IGNORED)
        # A service that makes up names must not fill our memory.
        if len(self) < _MOST_SPELLINGS:
            self[name] = int(kind)
        return kind


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
        elif kind in _STANDARD_NAMES:
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
            self.cache = cache_headers.marked_header(_STANDARD_NAMES[kind], value)
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


class KnownHead:
    """What the head of a response says, and how many bytes follow it."""

    __slots__ = ("cache", "cache_layer", "captured", "cookies", "length", "status")

    def __init__(self, answer: Response, length: int) -> None:
        self.length = length
        self.status = answer.status
        self.cache = answer.cache
        self.cache_layer = answer.cache_layer
        self.cookies = answer.cookies
        self.captured = answer.captured


class KnownHeads(dict[bytes, KnownHead]):
    """Heads that were parsed before, without their blank line -> what they say.

    Where a service makes each head unlike any other (an id in each), remembering costs more than it saves, and is given up.
    """

    MOST = 4_096
    MOST_BYTES = 2_048

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0
        self.worthwhile = True

    def recall(self, data: bytes, answer: Response, at: float, *, wants_body: bool) -> bool:
        """Whether ``data`` is one whole response with a known head; then ``answer`` becomes it, its first byte read at ``at``.

        Not for the response to a HEAD, whose length does not mark its end.
        """
        end = data.find(BLANK_LINE)
        head = self.get(data[:end]) if end > 0 else None
        if head is None or len(data) != end + 4 + head.length:
            return False
        self.hits += 1
        answer.first_at = at
        answer.received = len(data)
        answer.raw = [data]
        answer.status = head.status
        answer.complete = answer.clean = answer.reusable = True
        answer.cache = head.cache
        answer.cache_layer = head.cache_layer
        answer.cookies = head.cookies
        answer.captured = head.captured
        answer.body = [data[end + 4 :]] if wants_body else None
        return True

    def learn(self, data: bytes, answer: Response) -> None:
        """Remember the head of a complete answer which all of ``data`` is, if it alone says where the response ends."""
        end = data.find(BLANK_LINE)
        length = len(data) - end - len(BLANK_LINE)
        if not 0 < end <= self.MOST_BYTES or not answer.reusable or not answer.alone(length):
            return
        if len(self) == self.MOST:
            # Full: each head must have been met once more on average, or remembering them has cost more than it saved.
            self.worthwhile = self.hits >= self.MOST
            self.hits = 0
            self.clear()
        if self.worthwhile:
            self[data[:end]] = KnownHead(answer, length)


class CacheLayers:
    """What X-Cache and X-Cache-Layer, or the headers in their place, say -> cache code.

    The layers that a scenario names have the first codes, the others follow in the order in which they are first seen.
    """

    MOST = 250

    def __init__(self, headers: CacheHeaders = _USUAL_CACHE) -> None:
        self.names: list[str] = list(headers.layers)
        self._headers = headers
        nothing = CACHE_MISS if headers.age else NO_CACHE_HEADER
        self._codes: dict[tuple[bytes | None, bytes | None], int] = {(None, None): nothing}

    def shown(self, value: Callable[[str], bytes | None]) -> int:
        """The code of a response whose headers' values are looked up one by one."""
        cache = value(self._headers.hit)
        if cache is None:
            names = (name for name in cache_headers.STANDARD if name != cache_headers.AGE or self._headers.age)
            found = ((name, value(name.decode())) for name in names)
            cache = next((cache_headers.marked_header(name, said) for name, said in found if said is not None), None)
        return self.code(cache, value(self._headers.layer))

    def code(self, cache: bytes | None, layer: bytes | None) -> int:
        """The code of a pair of header values, for the column ``cache`` of the samples."""
        found = self._codes.get((cache, layer))
        if found is None:
            found = self._classify(cache, layer)
            if len(self._codes) < _MOST_SPELLINGS:
                self._codes[cache, layer] = found
        return found

    def _classify(self, cache: bytes | None, layer: bytes | None) -> int:
        name = (layer or b"").decode("latin-1").strip().lower()
        if name and not _LAYER_NAME.fullmatch(name):
            # A service may put anything into a header, and these names stand in records and comments.
            name = "unnamed"
        if cache is not None and cache_headers.is_standard(cache):
            said = cache_headers.read(cache)
            if said is None:
                return NO_CACHE_HEADER
            return self._layer(name or said[1]) if said[0] else CACHE_MISS
        if cache is not None and b"hit" not in cache.lower():
            return CACHE_MISS
        if cache is None and name in ("", "none", "miss", "origin"):
            return CACHE_MISS
        return self._layer(name or (self._headers.layers[0] if len(self._headers.layers) == 1 else "unnamed"))

    def _layer(self, name: str) -> int:
        if name not in self.names:
            if len(self.names) >= self.MOST:
                return FIRST_CACHE_LAYER + self.MOST - 1
            self.names.append(name)
        return FIRST_CACHE_LAYER + self.names.index(name)
