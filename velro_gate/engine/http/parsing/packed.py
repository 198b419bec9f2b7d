"""Whether a body that comes in pieces is what its Content-Encoding says, without keeping any of it.

httpx hands a broken one on as an error of its own, or, where it is merely cut short, as if it were whole. What a service packs
wrongly is an outcome, whatever the journey makes of it.
"""

from __future__ import annotations

import zlib

from velro_gate.engine.http.parsing.codings import MOST_MEMBERS

_AT_A_TIME = 256 * 1024
"""Bytes that are unpacked in one call."""
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class PackedBody:
    """Whether a packed body is whole, piece by piece, without keeping it; codings other than gzip and deflate are passed over.

    Attributes:
        broken: it is wrong so far.
    """

    def __init__(self, coding: str) -> None:
        self._kind = coding.strip().lower()
        self._window = _WINDOWS.get(self._kind)
        self._member: zlib._Decompress | None = None
        self._members = 0
        self.broken = False

    def feed(self, piece: bytes) -> None:
        """The next piece as it came."""
        while piece and self._window is not None and not self.broken:
            piece = self._rest_after(piece, self._window)

    def end(self) -> bool:
        """Whether everything that was begun has ended."""
        return not self.broken and (self._member is None or self._member.eof)

    def _rest_after(self, piece: bytes, window: int) -> bytes:
        """What of a piece lies behind the member that is under way."""
        if self._member is None or self._member.eof:
            self._members += 1
            if self._members > MOST_MEMBERS:
                self.broken = True
                return b""
            self._member = zlib.decompressobj(window)
        try:
            # Not all at once: a few kilobytes can hold gigabytes.
            self._member.decompress(piece, _AT_A_TIME)
        except zlib.error:
            if self._kind == "deflate" and window > 0 and self._members == 1:
                # Many services leave zlib's header out (RFC 9110, 8.4.1.2).
                self._window, self._member, self._members = -zlib.MAX_WBITS, None, 0
                return piece
            self.broken = True
            return b""
        return self._member.unconsumed_tail or self._member.unused_data
