"""The first cache layer: inside the process, bounded in size and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from cachetools import TLRUCache

JITTER = 0.2
"""Lifetimes are shortened by up to this share, so that what was stored together does not expire together."""


class Memory:
    """A bounded mapping from keys to bodies.

    Args:
        ttl: seconds.
        clock: any monotonic one.
    """

    def __init__(self, entries: int, ttl: float, *, clock: Callable[[], float] = time.monotonic, seed: int = 0) -> None:
        random = Random(seed).random
        self._bodies: TLRUCache[str, bytes] = TLRUCache(
            entries, lambda _key, _body, now: now + ttl * (1.0 - JITTER * random()), timer=clock
        )

    def __len__(self) -> int:
        return len(self._bodies)

    def get(self, key: str) -> bytes | None:
        """The body, or None when there is none or it has expired."""
        return self._bodies.get(key)

    def put(self, key: str, body: bytes) -> None:
        """Keep a body; the one used least recently makes room."""
        self._bodies[key] = body

    def drop(self, key: str) -> None:
        """Forget one body, if it is there."""
        self._bodies.pop(key, None)

    def flush(self, prefix: str = "") -> None:
        """Forget everything, or what lies under keys that begin so."""
        if not prefix:
            self._bodies.clear()
            return
        for key in [key for key in self._bodies if key.startswith(prefix)]:
            self._bodies.pop(key, None)
