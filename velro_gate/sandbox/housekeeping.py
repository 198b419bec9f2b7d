"""Garbage collection for a server with thousands of connections: a full collection would stop it for a fifth of a second.

What exists when serving starts is frozen, collection is no longer triggered by allocation, and once a second the young
objects alone are collected. Full collections happen only when memory has grown by a bound, and are counted.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

EVERY = 1.0
"""Seconds between two rounds."""
GROWTH = 512 * 2**20
"""Bytes of growth after which a full collection is worth its pause."""


def settle() -> None:
    """Free what starting left behind, then take everything that exists out of the collector's sight."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def keep_house(read_rss: Callable[[], int] | None = None) -> None:
    """Collect young garbage for as long as the server runs; to be cancelled."""
    rss = read_rss or resident_bytes
    settled = rss()
    while True:
        await asyncio.sleep(EVERY)
        settled = tidy(settled, rss())


def tidy(settled: int, now: int) -> int:
    """One round: a full collection if memory grew from ``settled`` to ``now`` by more than the bound; the new ``settled``."""
    if now - settled > GROWTH:
        gc.collect()
        return now
    gc.collect(0)
    return settled


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not report it."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * 4096
