"""A pool of PostgreSQL connections that loses none of them to queries that are given up.

- Who asks may leave (a deadline, a closed connection); the query goes on in a task of its own and gives its connection back.
  Cancelling it would leave the connection in the middle of a response; psycopg_pool 3.3 loses connections for good where a
  wait for one is given up while it is being handed over.
- The server ends a query after ``statement_timeout``. Where not even that is heard, the connection is hung up.
- A connection that was closed by the other side is found before it is used. Where one is lost in a query, all idle ones are
  dropped with it: what cut one has most likely cut them all.
- A lost connection is opened again by the next query that needs it, so the pool is well as soon as the server is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")
PoolConnection = psycopg.AsyncConnection[Any]

_OPEN_AT_ONCE = 8
"""Connections that are opened at the same time: PostgreSQL starts a process for each."""
_FIRST_SECONDS, _LATER_SECONDS = 10, 2
"""Seconds in which a connection has to stand: when the pool is opened, and while somebody waits for it."""
_GRACE = 1.0
"""Seconds after the server's own limit in which its word that it has ended a query may come."""


class Pool:
    """Connections to a database, each used by one query at a time.

    Args:
        size: connections.
        wait: longest wait for one, in seconds.
        longest: seconds of a query.
    """

    def __init__(self, url: str, *, size: int, wait: float, longest: float) -> None:
        self._url = url
        self._wait = wait
        self._longest = longest
        self.size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[PoolConnection] = []
        self._running: set[asyncio.Task[Any]] = set()
        self.open_count = self.waiting = 0
        self._closed = False

    @property
    def in_use(self) -> int:
        """Connections that a query holds or opens."""
        return len(self._running)

    async def open(self, seconds: float) -> None:
        """Open every connection.

        Raises:
            psycopg.OperationalError: the server does not give that many. TimeoutError: not in time.
        """
        gate = asyncio.Semaphore(_OPEN_AT_ONCE)

        async def one() -> None:
            """Open one, a few of them at the same time."""
            async with gate:
                self._idle.append(await self._connect(_FIRST_SECONDS))

        async with asyncio.timeout(seconds):
            found = await asyncio.gather(*(one() for _ in range(self.size)), return_exceptions=True)
        for fault in found:
            if isinstance(fault, BaseException):
                raise fault

    async def close(self) -> None:
        """Let running queries end, and close every connection."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running)
        await self._drop_idle()

    async def run(self, query: Callable[[PoolConnection], Awaitable[T]]) -> T:
        """What a query returns; it is not cancelled with its caller.

        Raises:
            TimeoutError: no connection was free in time. psycopg.Error: what the query raises.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        finally:
            self.waiting -= 1
        # Nothing is awaited in between: from here on the task gives back what was taken.
        task = asyncio.create_task(self._carry_out(query))
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task,))
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._free.release()
        # Where nobody waits for it any more, its fault is dropped.
        task.exception()

    async def _carry_out(self, query: Callable[[PoolConnection], Awaitable[T]]) -> T:
        connection = await self._usable()
        hang_up = asyncio.get_running_loop().call_later(self._longest + _GRACE, _hang_up, connection)
        try:
            return await query(connection)
        finally:
            hang_up.cancel()
            if connection.closed or self._closed:
                await self._discard(connection)
                await self._drop_idle()
            else:
                self._idle.append(connection)

    async def _usable(self) -> PoolConnection:
        while self._idle:
            connection = self._idle.pop()
            if not _was_closed(connection):
                return connection
            await self._discard(connection)
        return await self._connect(_LATER_SECONDS)

    async def _connect(self, seconds: int) -> PoolConnection:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=seconds)
        milliseconds = round(self._longest * 1_000)
        await connection.execute(f"SET statement_timeout = {milliseconds}".encode())
        self.open_count += 1
        return connection

    async def _discard(self, connection: PoolConnection) -> None:
        self.open_count -= 1
        with contextlib.suppress(psycopg.Error):
            await connection.close()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._discard(self._idle.pop())


def _was_closed(connection: PoolConnection) -> bool:
    """Whether the other side has closed an idle connection: there is something to read where nothing was asked."""
    if connection.closed:
        return True
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))


def _hang_up(connection: PoolConnection) -> None:
    """Let whoever waits for this connection find that it has ended."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
