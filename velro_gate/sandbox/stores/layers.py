"""Reading through the three layers: memory, then Redis, then the database; each response says which of them gave it.

Redis away: its breaker opens and reads fall through to the database. Database away: what is cached is still answered, the
rest is refused with 503. Several requests that miss the same key at once cause one query.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from velro_gate.sandbox.problem import AwayError
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.memory import Memory
from velro_gate.sandbox.stores.shared import Shared
from velro_gate.sandbox.tally import DATABASE, MEMORY, REDIS, Tally

FLUSH_SECONDS = 8.0
"""For finding and dropping tens of thousands of keys, batch by batch."""


class Found(NamedTuple):
    """A body and the layer that gave it; body is None when there is no such thing."""

    body: bytes | None
    layer: str


class Layers:
    """The cache layers before the database."""

    def __init__(self, *, memory: Memory, shared: Shared, redis: Dependency, database: Dependency, tally: Tally) -> None:
        self._memory = memory
        self._shared = shared
        self._redis = redis
        self._database = database
        self._tally = tally
        self._fetching: dict[str, asyncio.Task[Found]] = {}
        self._superseded: set[str] = set()
        self._outdated: set[str] = set()
        self.invalidates = True
        """Whether what is written or declared invalid leaves the caches; not so in a backend that is wrong on purpose."""

    async def read(self, key: str, query: Callable[[], Awaitable[bytes | None]]) -> Found:
        """The body under a key; ``query`` asks the database for it when no layer has it.

        Raises:
            AwayError: no layer has it and the database is away.
        """
        body = self._memory.get(key)
        if body is not None:
            self._tally.hits[MEMORY] += 1
            return Found(body, MEMORY)
        self._tally.misses[MEMORY] += 1
        task = self._fetching.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fetch(key, query))
            self._fetching[key] = task
            task.add_done_callback(lambda _: self._fetched(key))
        # One who waits may leave without taking the query away from the others.
        return await asyncio.shield(task)

    async def write(self, key: str, body: bytes) -> None:
        """Put what was just written to the database into both cache layers (write-through)."""
        if not self.invalidates:
            return
        if key in self._fetching:
            # What is being fetched may be older than this.
            self._superseded.add(key)
        self._memory.put(key, body)
        await self._share(key, body)

    def forget(self, key: str) -> None:
        """Believe no layer about this key until the database has been asked again."""
        if not self.invalidates:
            return
        if key in self._fetching:
            self._superseded.add(key)
        self._memory.drop(key)
        self._outdated.add(key)

    async def invalidate(self, prefix: str) -> None:
        """Forget in both layers what lies under keys that begin so.

        Raises:
            AwayError: the shared layer is away.
        """
        if not self.invalidates:
            return
        self._superseded |= {key for key in self._fetching if key.startswith(prefix)}
        self._memory.flush(prefix)
        await self._redis.ask(lambda: self._shared.flush(prefix), deadline=FLUSH_SECONDS)

    async def drop(self, key: str) -> None:
        """Forget one key in both layers, and no other that begins like it.

        Raises:
            AwayError: the shared layer is away.
        """
        if not self.invalidates:
            return
        if key in self._fetching:
            self._superseded.add(key)
        self._memory.drop(key)
        await self._redis.ask(lambda: self._shared.drop(key))

    async def warm(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Fill the shared layer. A process that has just started holds nothing itself: its own layer fills as it is asked."""
        await self._shared.fill(list(entries))

    async def flush(self, layer: str) -> None:
        """Forget everything in one layer."""
        if layer == MEMORY:
            self._memory.flush()
        else:
            await self._redis.ask(self._shared.flush, deadline=FLUSH_SECONDS)
            self._outdated.clear()

    async def _fetch(self, key: str, query: Callable[[], Awaitable[bytes | None]]) -> Found:
        body = await self._recall(key)
        if body is not None:
            self._tally.hits[REDIS] += 1
            # Written or dropped while this was on its way: those who asked before get the answer, but in the layers it would
            # bring the old value back until it expires.
            if key not in self._superseded:
                self._memory.put(key, body)
            return Found(body, REDIS)
        self._tally.misses[REDIS] += 1
        body = await self._database.ask(query)
        if body is None:
            self._tally.misses[DATABASE] += 1
            return Found(None, DATABASE)
        self._tally.hits[DATABASE] += 1
        if key not in self._superseded:
            self._memory.put(key, body)
            await self._share(key, body)
        return Found(body, DATABASE)

    def _fetched(self, key: str) -> None:
        self._fetching.pop(key, None)
        self._superseded.discard(key)

    async def _recall(self, key: str) -> bytes | None:
        if key in self._outdated:
            return None
        try:
            return await self._redis.ask(lambda: self._shared.get(key))
        except AwayError:
            return None

    async def _share(self, key: str, body: bytes) -> None:
        try:
            await self._redis.ask(lambda: self._shared.put(key, body))
        except AwayError:
            # Redis may come back with what it held before this write; it must not be believed about this key.
            self._outdated.add(key)
        else:
            self._outdated.discard(key)
