"""Bodies that take long to be looked at: that is done outside the loop, one at a time.

Unpacking 16 MB takes some 40 ms, in which no other response would be read and no arrival sent. Its decoders let go of the
interpreter's lock, so a thread does it while the loop goes on; reading JSON does not, so a process does that. One at a time:
what is unpacked is never more than one body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

Unpack = Callable[[], Any]


class Unpacking:
    """What waits to be unpacked, in the order in which it came. pending: how many do."""

    def __init__(self) -> None:
        self.pending = 0
        self._put, self._get = trio.open_memory_channel[tuple[Unpack, Callable[[Any], None]]](float("inf"))

    def put(self, work: Unpack, then: Callable[[Any], None]) -> None:
        """Have something done, which must not raise. then: gets what comes of it, in the loop."""
        self.pending += 1
        self._put.send_nowait((work, then))

    async def run(self, elsewhere: Callable[[Unpack], Awaitable[Any]]) -> None:
        """Do what there is and what will be, until it is cancelled. elsewhere: does something outside the loop."""
        async for work, then in self._get:
            found = await elsewhere(work)
            self.pending -= 1
            then(found)
