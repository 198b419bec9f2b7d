"""Bodies in chunks on the way out, and compressed ones on the way in.

Only what a check or a capture reads is decompressed: the load's own work must stay small. The output is bounded, since a few
kilobytes can hold gigabytes.
"""

from __future__ import annotations

import zlib

CONTENT_ENCODING = b"content-encoding"

MOST_DECODED = 16 * 2**20
"""Bytes; decompressing them stops the loop for some 40 ms, and a check reads no more than that."""

MOST_MEMBERS = 1_000
"""Members of a gzip body. Files that grew line by line have many; an answer has one."""

_GZIP = frozenset({b"gzip", b"x-gzip"})
_WITH_HEADER = 16 + zlib.MAX_WBITS
_CHUNK = 16 * 1024


def decoded(body: bytes, coding: bytes, most: int = MOST_DECODED) -> bytes | None:
    """The body without its compression; None when it is broken or longer than ``most``. Other codings are left as they are."""
    if coding.strip().lower() not in _GZIP or not body:
        return body
    try:
        found = unpacked_members(body, most + 1)
    except zlib.error:
        return None
    return None if found is None or len(found) > most else found


def unpacked_members(body: bytes, enough: int) -> bytes | None:
    """What the members of a gzip body hold, one after the other, at most ``enough`` bytes; None where the last has no end.

    Each member copies what is left of the piece that it ends in, so the body is taken in small pieces and has few members.

    Raises:
        zlib.error: it is no gzip, or has more members than any sensible body.
    """
    found, left, members = bytearray(), memoryview(body), 0
    while left:
        members += 1
        if members > MOST_MEMBERS:
            raise zlib.error(f"more than {MOST_MEMBERS:,} members")
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


def chunked(body: bytes) -> bytes:
    """The body as HTTP/1.1 chunks, the last one included."""
    pieces = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
