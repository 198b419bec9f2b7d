"""Which headers of a response are looked at, by whatever spelling a service has for their names."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from velro_gate.engine.http.parsing import cache_headers
from velro_gate.model.scenario import CacheHeaders

MOST_SPELLINGS = 1_000
"""Spellings of header names, and pairs of values, that are remembered: a service may make up as many as it likes."""


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
STANDARD_NAMES = {int(kind): name for name, kind in _STANDARD.items()}
"""Kind of a standard cache header -> its name."""
USUAL_CACHE = CacheHeaders()
"""The names that cache headers have where a scenario gives no others."""


class HeaderKinds(dict[bytes, int]):
    """Header name in any spelling -> Header. Spellings are remembered, so that a name is lowered once and not each time.

    Args:
        captured: lower-case names whose values a step captures.
        cache: the headers that show how a cache answered.
    """

    def __init__(self, captured: Iterable[bytes] = (), cache: CacheHeaders = USUAL_CACHE) -> None:
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
        if len(self) < MOST_SPELLINGS:
            self[name] = int(kind)
        return kind
