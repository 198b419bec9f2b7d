"""Bodies in chunks on the way out, and compressed ones on the way in.

Only what a check or a capture reads is decompressed: the load's own work must stay small. It is decoded as httpx does, asked
for or not: gzip, deflate (with zlib's header or without), br, zstd, and several of them in a row. The output is bounded: a few
kilobytes can hold gigabytes.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import brotli
import zstandard

from velro_gate.units import format_count

CONTENT_ENCODING = b"content-encoding"

MOST_DECODED = 16 * 2**20
"""Bytes; a check reads no more than that."""

LIGHT = 256 * 2**10
"""Bytes; decompressing no more stops the loop for less than a millisecond. What is longer is unpacked outside of it."""

MOST_MEMBERS = 1_000
"""Members of a gzip body. Files that grew line by line have many; a response has one."""

MOST_CODINGS = 8
"""Codings on top of each other. There are bodies that unpack to themselves."""

_WITH_HEADER = 16 + zlib.MAX_WBITS
"""Makes zlib expect the header and trailer of gzip (RFC 1952) in place of its own."""
_CHUNK = 16 * 1024
"""Bytes that are unpacked, or packed, in one call."""


class CodingError(ValueError):
    """A body cannot be decoded; str() says why, in words."""


class TooLongError(CodingError):
    """It is longer than what was asked for."""


def decoded(body: bytes, coding: bytes, most: int = MOST_DECODED) -> bytes:
    """The body without its codings, the last one taken off first (RFC 9110, 8.4).

    Raises:
        TooLongError: it is longer than ``most``.
        CodingError: it is broken, or its coding is not supported.
    """
    names = coding.decode("latin-1").lower().split(",")
    if len(names) > MOST_CODINGS:
        raise CodingError(f"it has {format_count(len(names))} content codings, and no more than {MOST_CODINGS} are decoded")
    for name in reversed(names):
        decoder = _DECODERS.get(name.strip())
        if decoder is None:
            raise CodingError(f"the content coding {name.strip()!r} is not supported ({', '.join(sorted(_NAMED))})")
        if decoder is not _identity and body:
            body = _bounded(decoder, body, name.strip(), most)
    return body


def _bounded(decoder: Callable[[bytes, int], bytes | None], body: bytes, name: str, most: int) -> bytes:
    try:
        found = decoder(body, most + 1)
    except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
        raise CodingError(f"the body is not {name}: {error}") from error
    if found is not None and len(found) > most:
        raise TooLongError(f"the body is longer than {format_count(most)} bytes once {name} is decoded")
    if found is None:
        raise CodingError(f"the body ends before its {name} does")
    return found


# Each takes a body and the number of bytes after which it may stop; None: the body has no end.


def _identity(body: bytes, enough: int) -> bytes:  # noqa: ARG001 - the decoders' interface
    return body


def _gzip(body: bytes, enough: int) -> bytes | None:
    return unpacked_members(body, enough)


def unpacked_members(body: bytes, enough: int) -> bytes | None:
    """What the members of a gzip body hold, one after the other, at most ``enough`` bytes; None where the last has no end.

    Each member copies what is left of the piece that it ends in, so the body is taken in small pieces and has few members.

    Raises:
        zlib.error: it is not gzip, or has more members than any sensible body.
    """
    found, left, members = bytearray(), memoryview(body), 0
    while left:
        members += 1
        if members > MOST_MEMBERS:
            raise zlib.error(f"more than {format_count(MOST_MEMBERS)} members")
        member = zlib.decompressobj(_WITH_HEADER)
        while not member.eof:
            if not left:
                return None
            piece = left[:_CHUNK]
            found += member.decompress(piece, enough - len(found))
            if len(found) >= enough:
                return bytes(found)
            left = left[len(piece) - len(member.unused_data) :]
    return bytes(found)


def _deflate(body: bytes, enough: int) -> bytes | None:
    try:
        return _zlib(body, enough, zlib.MAX_WBITS)
    except zlib.error:
        # Many services leave zlib's header out (RFC 9110, 8.4.1.2).
        return _zlib(body, enough, -zlib.MAX_WBITS)


def _zlib(body: bytes, enough: int, window: int) -> bytes | None:
    stream = zlib.decompressobj(window)
    found = stream.decompress(body, enough)
    return found if stream.eof or len(found) >= enough else None


def _brotli(body: bytes, enough: int) -> bytes | None:
    stream = brotli.Decompressor()
    found = bytearray(stream.process(body, output_buffer_limit=enough))
    while not stream.is_finished() and not stream.can_accept_more_data() and len(found) < enough:
        found += stream.process(b"", output_buffer_limit=enough - len(found))
    return bytes(found) if stream.is_finished() or len(found) >= enough else None


def _zstd(body: bytes, enough: int) -> bytes | None:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True) as stream:
        found = bytearray()
        while len(found) < enough and (piece := stream.read(min(enough - len(found), _READ))):
            found += piece
    return bytes(found)


_READ = 256 * 1024
"""Bytes that are unpacked in one call, so that a small body that holds gigabytes is noticed before they are in memory."""
_DECODERS = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
_NAMED = ("gzip", "deflate", "br", "zstd")


def chunked(body: bytes) -> bytes:
    """The body as HTTP/1.1 chunks, the last one included."""
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
