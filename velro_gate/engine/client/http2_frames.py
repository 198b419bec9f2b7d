"""What httpcore's HTTP/2 makes nothing good of, seen in the frames before it gets them.

- A GOAWAY without an error says which requests will still be answered. httpcore takes it for the end of the connection and
  loses them all, so it does not get to see it: the connection gets no new requests, and what will not be answered is sent
  again.
- A response whose headers do not begin with ``:status`` would count as 200. It is not HTTP/2 (RFC 9113, 8.3.2).

A frame is 9 bytes (length, type, flags, stream) and its payload (RFC 9113, 4.1).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import trio

_HEADERS, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0x1, 0x5, 0x7, 0x9
_END_STREAM, _PADDED, _PRIORITY = 0x1, 0x8, 0x20
_HEAD = 9
"""Bytes before each frame's payload: length (3), kind, flags, stream (4) (RFC 9113, 4.1)."""
_MOST_FRAME = 16_384
"""Bytes of a payload, as long as we have not allowed more (RFC 9113, 4.2)."""
_STATUS = range(8, 15)
"""Where ``:status`` stands in HPACK's static table (RFC 7541, appendix A)."""
_STATIC = 61
"""Entries of HPACK's static table (RFC 7541, appendix A). An index above it is one of the peer's dynamic table, whose contents
this filter does not follow.
"""


class FrameFilter:
    """Takes the bytes received on a connection and passes on what its reader should see. going_away: called with the last
    request that will be answered.
    """

    def __init__(self, going_away: Callable[[int], None]) -> None:
        self._going_away = going_away
        self._held = bytearray()
        self._passing = 0
        self._answering: set[int] = set()

    def feed(self, data: bytes) -> bytes:
        """The bytes to hand on; perhaps none yet.

        Raises:
            httpcore.RemoteProtocolError: a response has no status.
        """
        held, out = self._held, []
        held += data
        at = 0
        while at < len(held):
            if self._passing:
                taken = min(self._passing, len(held) - at)
                out.append(bytes(held[at : at + taken]))
                self._passing -= taken
                at += taken
                continue
            if len(held) - at < _HEAD:
                break
            length, kind, flags = int.from_bytes(held[at : at + 3], "big"), held[at + 3], held[at + 4]
            # Before anything is kept: bytes that are no HTTP/2 announce frames of any size.
            if length > _MOST_FRAME:
                raise httpcore.RemoteProtocolError("what was received is not HTTP/2, or a frame of it is larger than allowed")
            # The highest bit is reserved, and receivers ignore it (RFC 9113, 4.1).
            stream = int.from_bytes(held[at + 5 : at + _HEAD], "big") & 0x7FFFFFFF
            # Of a stream only the first header block can hold the status; later ones are trailers.
            looked_at = kind == _GOAWAY or (kind == _HEADERS and stream not in self._answering)
            if looked_at and len(held) - at < _HEAD + length:
                break
            payload = bytes(held[at + _HEAD : at + _HEAD + length]) if looked_at else b""
            # Code 0, NO_ERROR: a graceful end (RFC 9113, 6.8). It is kept from the reader, which would give up on the answers
            # that still come.
            if kind == _GOAWAY and length >= 8 and payload[4:8] == b"\0\0\0\0":
                at += _HEAD + length
                self._going_away(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF)
                continue
            if looked_at and kind == _HEADERS:
                self._look_at(payload, flags)
                self._answering.add(stream)
            # DATA and HEADERS are the kinds that can end a stream.
            if flags & _END_STREAM and kind in (0x0, _HEADERS):
                self._answering.discard(stream)
            self._passing = _HEAD + length
        del held[:at]
        return b"".join(out)

    def _look_at(self, payload: bytes, flags: int) -> None:
        """The first header of a response, if its name is known without the connection's own table."""
        padding = payload[0] if flags & _PADDED and payload else 0
        begins = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
        block = payload[begins : len(payload) - padding]
        # A change of the table's size comes first.
        while block and block[0] & 0xE0 == 0x20:
            block = block[1:] if block[0] != 0x3F else b""
        if block and not _may_be_status(block):
            raise httpcore.RemoteProtocolError("a response of HTTP/2 has no :status")


def _may_be_status(block: bytes) -> bool:
    """Whether the first header of a block is ``:status``, or may be (RFC 7541, 6)."""
    first = block[0]
    if first & 0x80:
        index = first & 0x7F
    elif first & 0x40:
        index = first & 0x3F
    else:
        index = first & 0x0F
    if index == 0:
        return block[1:9] == b"\x07:status" or bool(block[1:2] and block[1] & 0x80)  # Huffman-coded: not looked at
    return index in _STATUS or index > _STATIC or index == (0x7F if first & 0x80 else 0x3F if first & 0x40 else 0x0F)


_WRITE_SECONDS = 5.0
"""For which a write that has begun goes on, although its request is cancelled."""


class FilteringBackend(httpcore.AsyncNetworkBackend):
    """Connects as httpcore does; what comes in over each connection goes through a filter of its own."""

    def __init__(self, going_away: Callable[[int], None]) -> None:
        self._inner, self._going_away = httpcore.TrioBackend(), going_away

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        made = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Filtered(made, self._going_away)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        return _Filtered(await self._inner.connect_unix_socket(path, timeout, socket_options), self._going_away)

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await self._inner.sleep(seconds)


class _Filtered(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream, going_away: Callable[[int], None]) -> None:
        self._inner, self._going_away = inner, going_away
        self._filter = FrameFilter(going_away)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See ``httpcore.AsyncNetworkStream``: only here do bytes pass the filter."""
        while True:
            data = await self._inner.read(max_bytes, timeout)
            passed = self._filter.feed(data)
            # Nothing would mean the end.
            if passed or not data:
                return passed

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Headers are compressed against a table that both sides keep alike. Bytes that a cancelled request had taken and not
        # written would be missing in it, and the other requests of the connection could not be read any more.
        """See ``httpcore.AsyncNetworkStream``."""
        with trio.move_on_after(_WRITE_SECONDS, shield=True) as scope:
            await self._inner.write(buffer, timeout)
        if scope.cancelled_caught:
            raise httpcore.WriteTimeout("the other side takes nothing")

    async def aclose(self) -> None:
        """See ``httpcore.AsyncNetworkStream``."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See ``httpcore.AsyncNetworkStream``: the stream over TLS is filtered as well, since frames can be read only there."""
        return _Filtered(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._going_away)

    def get_extra_info(self, info: str) -> Any:
        """See ``httpcore.AsyncNetworkStream``."""
        return self._inner.get_extra_info(info)
