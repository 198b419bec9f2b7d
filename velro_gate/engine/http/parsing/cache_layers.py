"""Which cache layer a response came from, as a code: what a service's own headers say, or the standard ones."""

from __future__ import annotations

import re
from collections.abc import Callable

from velro_gate.engine.http.parsing import cache_headers
from velro_gate.engine.http.parsing.headers import MOST_SPELLINGS, USUAL_CACHE
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, NO_CACHE_HEADER
from velro_gate.model.scenario import CacheHeaders

_LAYER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,23}")


class CacheLayers:
    """What X-Cache and X-Cache-Layer, or the headers in their place, say -> cache code.

    The layers that a scenario names have the first codes, the others follow in the order in which they are first seen.
    """

    MOST = 250

    def __init__(self, headers: CacheHeaders = USUAL_CACHE) -> None:
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
            if len(self._codes) < MOST_SPELLINGS:
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
