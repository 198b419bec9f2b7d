"""A request of httpx as the bytes that go over an HTTP/1.1 connection: headers as written, the body counted or chunked."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

import httpx

from velro_gate.engine.steps.requests import SAFE

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_TARGET = re.compile(rb"[\x21-\x7e\x80-\xff]+")


class Message:
    """One request, ready to be sent.

    Attributes:
        first: the head, and the body with it where it lies in memory.
        streams: whether ``rest`` has to follow.
        head_only: the response has no body, as its method is HEAD.
        may_repeat: it may be sent again when it is unknown whether it was seen.

    Raises:
        httpx.LocalProtocolError: it cannot be sent, as it is not HTTP.
    """

    __slots__ = ("_chunked", "_length", "first", "head_only", "may_repeat", "request", "streams")

    def __init__(self, request: httpx.Request) -> None:
        self.request = request
        self.head_only = request.method == "HEAD"
        self._chunked = False
        self._length = 0
        head = self._head()
        self.streams = not isinstance(request.stream, httpx.ByteStream)
        self.may_repeat = request.method in SAFE and not self.streams
        if isinstance(request.stream, httpx.ByteStream):
            body = b"".join(request.stream)
            head += self._framed(body) + self._end(len(body))
        self.first = head

    def _head(self) -> bytes:
        request = self.request
        target = request.extensions.get("target", request.url.raw_path)
        method = request.method.encode("ascii", "replace")
        if not _NAME.fullmatch(method) or not _TARGET.fullmatch(target):
            raise self._refused("the method or the path holds a character that cannot stand there")
        lines = [b"%b %b HTTP/1.1" % (method, target)]
        for name, value in request.headers.raw:
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                # The value is not shown: it may be a secret.
                raise self._refused(f"the header {name.decode('latin-1')!r} holds a character that cannot stand there")
            lines.append(b"%b: %b" % (name, value))
            self._look_at(name.lower(), value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _look_at(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if not value.isdigit():
                raise self._refused("Content-Length is not a number")
            self._length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise self._refused("the only Transfer-Encoding that can be sent is chunked")
            self._chunked = True

    async def rest(self) -> AsyncGenerator[bytes]:
        """The pieces of a body that streams, framed.

        Raises:
            httpx.LocalProtocolError: it is longer or shorter than its header says. Whatever the stream raises.
        """
        count = 0
        assert isinstance(self.request.stream, AsyncIterable)
        async with _closing(aiter(self.request.stream)) as pieces:
            async for piece in pieces:
                count += len(piece)
                if count > self._length and not self._chunked:
                    raise self._refused("the body is longer than its Content-Length says")
                if piece:
                    yield self._framed(piece)
        end = self._end(count)
        if end:
            yield end

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked and piece else piece

    def _end(self, count: int) -> bytes:
        if self._chunked:
            return b"0\r\n\r\n"
        if count != self._length:
            raise self._refused(f"the body has {count} bytes, but its Content-Length says {self._length}")
        return b""

    def _refused(self, why: str) -> httpx.LocalProtocolError:
        return httpx.LocalProtocolError(why, request=self.request)


@asynccontextmanager
async def _closing(pieces: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """The same; a generator is ended here, and not when it happens to be collected."""
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
