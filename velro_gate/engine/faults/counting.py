"""Counts the requests in what a service sends to a dependency: Redis commands, PostgreSQL messages, HTTP requests.

A counter is fed with the bytes of one connection in pieces of any length. It keeps no byte of a body: what is skipped is only
counted down. A stream that is not what it should be, or is encrypted, is given up on, and nothing more of it is counted.
"""

from __future__ import annotations

from velro_gate.model.resilience.network import WireProtocol

_LONGEST_LINE = 1 << 16
"""Bytes of a head that are kept while its end is awaited; beyond it the stream is not the protocol that it was said to be."""
_MOST_DIGITS = 18
"""Of a length; Python refuses endless digits by an error of its own."""
_NOT_YET, _STRANGE = -1, -2
"""In place of an end: the head is not whole yet, or not known."""

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
"""Codes in place of a protocol version that ask for TLS, for GSSAPI, and to cancel a query (PostgreSQL, message formats)."""
_ASKING = frozenset(b"QEF")
"""PostgreSQL's messages that ask for something: a simple query, an execution, a function call."""


class Counter:
    """Counts nothing: the protocol has no requests that are known."""

    __slots__ = ("requests",)

    def __init__(self) -> None:
        self.requests = 0

    def feed(self, data: memoryview) -> None:
        """The next bytes of the connection."""


class _Skipping(Counter):
    """What the others share: bytes to skip, and the beginning of something whose end has not come yet."""

    __slots__ = ("_given_up", "_held", "_skip")

    def __init__(self) -> None:
        super().__init__()
        self._skip = 0
        self._held = b""
        self._given_up = False

    def feed(self, data: memoryview) -> None:
        """See Counter."""
        if self._given_up:
            return
        at = min(self._skip, len(data))
        self._skip -= at
        if at == len(data):
            return
        rest = self._held + bytes(data[at:])
        self._held = b""
        at = 0
        while at < len(rest):
            after = self._part(rest, at)
            if after < 0:
                self._held = rest[at:] if after == _NOT_YET else b""
                self._given_up = after == _STRANGE or len(self._held) > _LONGEST_LINE
                return
            at = after
        # A part may end beyond these bytes: what is left of it is skipped as it comes.
        self._skip = at - len(rest)

    def _part(self, data: bytes, at: int) -> int:
        """Where the part that begins at ``at`` ends, which may lie beyond the data; or one of the two constants."""
        raise NotImplementedError


class RedisCounter(_Skipping):
    """Commands: an array of bulk strings each, or a line by itself."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        super().__init__()
        self._left = 0  # bulk strings of the command under way

    def _part(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return _NOT_YET
        line = data[at:end]
        if line.startswith(b"$") and self._left:
            if not _is_number(line[1:]):
                return _STRANGE
            self._left -= 1
            # The string's bytes and the line end that follows them: a value is skipped, however long, and not searched for line
            # ends.
            return end + 2 + int(line[1:]) + 2
        if self._left:
            return _STRANGE
        if line.startswith(b"*"):
            if not _is_number(line[1:]):
                return _STRANGE
            self._left = int(line[1:])
        # An empty line is no command: Redis passes it over as well.
        self.requests += bool(line)
        return end + 2


class PostgresCounter(_Skipping):
    """Queries, executions and function calls. An encrypted connection is not counted."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        super().__init__()
        self._started = False

    def _part(self, data: bytes, at: int) -> int:
        if not self._started:
            return self._beginning(data, at)
        if len(data) - at < 5:
            return _NOT_YET
        length = int.from_bytes(data[at + 1 : at + 5])
        # The length counts itself, and each kind of message is a letter: anything else is no message.
        if length < 4 or not 0x41 <= data[at] <= 0x7A:
            return _STRANGE
        self.requests += data[at] in _ASKING
        return at + 1 + length

    def _beginning(self, data: bytes, at: int) -> int:
        """The first messages name no kind: a length, and a code that says what is asked for."""
        if len(data) - at < 8:
            return _NOT_YET
        length, code = int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8])
        # The upper 16 bits of a startup code are the protocol's major version: 3 since PostgreSQL 7.4.
        if code not in (_SSL, _GSS, _CANCEL) and code >> 16 != 3:
            return _STRANGE
        # After a request for encryption the client begins again, in clear text where the server has refused; if it was granted,
        # what follows is no startup message, and counting ends by itself.
        self._started = code not in (_SSL, _GSS)
        return at + max(length, 8)


class HttpCounter(_Skipping):
    """HTTP/1.1 requests with a declared length; a chunked body ends the counting of its connection."""

    __slots__ = ()

    def _part(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return _NOT_YET
        line, _, fields = data[at:end].partition(b"\r\n")
        if not line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
            return _STRANGE
        self.requests += 1
        length = 0
        for field in fields.lower().split(b"\r\n"):
            name, _, value = field.partition(b":")
            # Where a chunked body ends shows only by reading it, and a wrong guess would take body bytes for requests.
            if name == b"transfer-encoding":
                return _STRANGE
            if name == b"content-length":
                if not _is_number(value.strip()):
                    return _STRANGE
                length = int(value)
        return end + 4 + length


def _is_number(text: bytes) -> bool:
    return text.isdigit() and len(text) <= _MOST_DIGITS


def counter_for(protocol: WireProtocol) -> Counter:
    """A counter of the requests of one connection."""
    match protocol:
        case WireProtocol.REDIS:
            return RedisCounter()
        case WireProtocol.POSTGRES:
            return PostgresCounter()
        case WireProtocol.HTTP:
            return HttpCounter()
        case WireProtocol.TCP:
            return Counter()
