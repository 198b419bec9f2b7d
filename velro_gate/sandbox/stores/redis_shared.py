"""The second cache layer as a real Redis. Imported only where one is named: its client takes a tenth of a sandbox's start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from velro_gate.errors import UsageError

REDIS_SECONDS = 0.25
"""Longest wait for Redis: a cache that answers later than the database would is not a cache."""

_PREFIX = "velro-sandbox:"
_BATCH = 1_000
"""Keys of one command: Redis carries commands out one at a time, so a longer one would keep all others waiting."""
_CONNECTIONS = 64
"""Most connections of the pool."""


class RedisShared:
    """A real Redis. Keys carry a prefix, and only those are ever flushed.

    Args:
        ttl: seconds.

    Raises:
        UsageError: the URL is not one of Redis.
    """

    faults: tuple[type[Exception], ...] = (RedisError, OSError)

    def __init__(self, url: str, ttl: float) -> None:
        self._ttl = math.ceil(ttl)
        self._redis = Redis.from_pool(_pool(url))

    async def get(self, key: str) -> bytes | None:
        """See Shared."""
        with _closed_is_gone():
            body = await self._redis.get(_PREFIX + key)
        return body if body is None or isinstance(body, bytes) else str(body).encode()

    async def put(self, key: str, body: bytes) -> None:
        """See Shared."""
        with _closed_is_gone():
            await self._redis.set(_PREFIX + key, body, ex=self._ttl)

    async def fill(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """See Shared."""
        for batch in _batches(entries):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key, body in batch:
                    pipeline.set(_PREFIX + key, body, ex=self._ttl)
                await pipeline.execute()

    async def flush(self, prefix: str = "") -> None:
        """See Shared."""
        with _closed_is_gone():
            keys = [key async for key in self._redis.scan_iter(match=f"{_PREFIX}{prefix}*", count=_BATCH)]
            for start in range(0, len(keys), _BATCH):
                await self._redis.unlink(*keys[start : start + _BATCH])

    async def drop(self, key: str) -> None:
        """See Shared."""
        with _closed_is_gone():
            await self._redis.unlink(f"{_PREFIX}{key}")

    async def ping(self) -> None:
        """See Shared."""
        with _closed_is_gone():
            await self._redis.get(_PREFIX)

    async def close(self) -> None:
        """See Shared."""
        await self._redis.aclose()


@contextmanager
def _closed_is_gone() -> Iterator[None]:
    """A pooled connection that was reset is noticed when it is used next: uvloop has a RuntimeError for that, and asyncio a
    ConnectionError, which is what it is.
    """
    try:
        yield
    except RuntimeError as fault:
        if "closed" not in str(fault):
            raise
        raise ConnectionError(str(fault)) from fault


def _pool(url: str) -> BlockingConnectionPool:
    try:
        # One try and no retries: the breaker decides when to ask again.
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=REDIS_SECONDS,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as fault:
        # Neither the URL nor the fault's text is shown: both may hold a password.
        raise UsageError(
            "the sandbox's Redis cannot be used",
            where="REDIS_URL",
            why="it is not the URL of a Redis server",
            hint="Write redis://host:port/0 (rediss:// with TLS, unix:// for a socket), or unset REDIS_URL.",
        ) from fault


def _batches(entries: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    rest = iter(entries)
    while batch := list(islice(rest, _BATCH)):
        yield batch
