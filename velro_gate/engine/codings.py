"""Bodies in chunks on the way out, and compressed ones on the way in.

Only what a check or a capture reads is decompressed: the load's own work must stay small. The output is bounded, since a few
kilobytes can hold gigabytes.
"""

from __future__ import annotations

import zlib

CONTENT_ENCODING = b"content-encoding"

MOST_DECODED = 16 * 2**20
"""Bytes; decompressing them stops the loop for some 40 ms, and a check reads no more than that."""

_GZIP = frozenset({b"gzip", b"x-gzip"})
_WITH_HEADER = 16 + zlib.MAX_WBITS
_CHUNK = 16 * 1024


def decoded(body: bytes, coding: bytes, most: int = MOST_DECODED) -> bytes | None:
    """The body without its compression; None when it is broken or longer than ``most``. Other codings are left as they are."""
    if coding.strip().lower() not in _GZIP or not body:
        return body
    found = bytearray()
    # A gzip file may have several members, one after the other.
    while body:
        member = zlib.decompressobj(_WITH_HEADER)
        try:
            found += member.decompress(body, most + 1 - len(found))
        except zlib.error:
            return None
        if len(found) > most or not member.eof:
            return None
        body = member.unused_data
    return bytes(found)


def chunked(body: bytes) -> bytes:
    """The body as HTTP/1.1 chunks, the last one included."""
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
