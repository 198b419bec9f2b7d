"""The embedded database: a SQLite file and a pool of connections to it.

Reads go by primary key or index and take some 10 µs, less than handing them to a thread and back would cost, so they run on
the event loop; a write can wait for the disk, so one writer thread does all of them, which SQLite would make queue anyway.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any

from velro_gate.sandbox.catalogue import (
    GENERATIONS_PER_USER,
    MODELS,
    Access,
    Generation,
    Model,
    model_name,
    seeded_generations,
)

_TABLES = """
CREATE TABLE models (number INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE generations (
    number INTEGER PRIMARY KEY, owner INTEGER NOT NULL, model INTEGER NOT NULL, prompt TEXT NOT NULL, status TEXT NOT NULL,
    shared INTEGER NOT NULL
);
CREATE TABLE media (number INTEGER PRIMARY KEY);
"""
_INDEX = "CREATE INDEX generations_by_owner ON generations (owner, number)"
_NEWEST = "SELECT number, owner, model, prompt, status, shared FROM generations WHERE owner = ? ORDER BY number DESC LIMIT ?"
_ADD = "INSERT INTO generations (owner, model, prompt, status, shared) VALUES (?, ?, ?, 'queued', 0)"


class SqliteDatabase:
    """The catalogue in a temporary file that goes when the sandbox does.

    Args:
        place: where its folder is made.
        query_time: awaited by every query while it holds its connection, and stands for the network and the disk that a real
            database would have in between.
    """

    faults: tuple[type[Exception], ...] = (sqlite3.OperationalError,)

    def __init__(
        self, *, users: int, pool_size: int, query_time: Callable[[], Awaitable[None]], place: Path | None = None
    ) -> None:
        self._users = users
        self._size = pool_size
        self._query_time = query_time
        self._free = asyncio.Semaphore(pool_size)
        self._idle: list[sqlite3.Connection] = []
        self._opened = self._waiting = 0
        self._place = place
        self._folder: Path | None = None
        self._writer: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="velro-sandbox-writer")

    @property
    def pool_size(self) -> int:
        """See Database."""
        return self._opened

    @property
    def pool_in_use(self) -> int:
        """See Database."""
        return self._opened - len(self._idle)

    @property
    def pool_waiting(self) -> int:
        """See Database."""
        return self._waiting

    async def open(self) -> None:
        """See Database."""
        self._folder = Path(tempfile.mkdtemp(prefix="velro-sandbox-", dir=self._place))
        path = self._folder / "velro.db"
        self._writer = await self._in_thread(lambda: _fill(path, self._users))
        self._idle = [_connect(path) for _ in range(self._size)]
        self._opened = self._size

    async def close(self) -> None:
        """See Database."""
        for connection in self._idle:
            connection.close()
        self._idle, self._opened = [], 0
        if self._writer is not None:
            await self._in_thread(self._writer.close)
        self._thread.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def ping(self) -> None:
        """See Database."""
        await self._query("SELECT 1")

    async def access(self, generation: int) -> Access | None:
        """See Database."""
        rows = await self._query("SELECT owner, shared FROM generations WHERE number = ?", generation)
        return Access(rows[0][0], bool(rows[0][1])) if rows else None

    async def newest(self, owner: int, limit: int) -> tuple[list[Generation], int]:
        """See Database."""
        rows = await self._query(_NEWEST, owner, limit)
        total = await self._query("SELECT count(*) FROM generations WHERE owner = ?", owner)
        return [Generation(*row) for row in rows], total[0][0]

    async def model(self, number: int) -> Model | None:
        """See Database."""
        rows = await self._query("SELECT name, version FROM models WHERE number = ?", number)
        return Model(number, *rows[0]) if rows else None

    async def rename_model(self, number: int, name: str) -> Model | None:
        """See Database."""
        await self._query_time()
        row = await self._in_thread(lambda: self._rename(number, name))
        return Model(number, *row) if row else None

    async def media_exists(self, number: int) -> bool:
        """See Database."""
        return bool(await self._query("SELECT 1 FROM media WHERE number = ?", number))

    async def add(self, owner: int, model: int, prompt: str) -> int:
        """See Database."""
        await self._query_time()
        number: int = await self._in_thread(lambda: self._insert(owner, model, prompt))
        return number

    def _rename(self, number: int, name: str) -> tuple[str, int] | None:
        assert self._writer is not None
        with self._writer:
            self._writer.execute("UPDATE models SET name = ?, version = version + 1 WHERE number = ?", (name, number))
            found: tuple[str, int] | None = self._writer.execute(
                "SELECT name, version FROM models WHERE number = ?", (number,)
            ).fetchone()
        return found

    def _insert(self, owner: int, model: int, prompt: str) -> int:
        assert self._writer is not None
        with self._writer:
            number = self._writer.execute(_ADD, (owner, model, prompt)).lastrowid
        assert number is not None
        return number

    async def _query(self, sql: str, *values: int) -> list[Any]:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        connection = self._idle.pop()
        try:
            await self._query_time()
            return connection.execute(sql, values).fetchall()
        finally:
            self._idle.append(connection)
            self._free.release()

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level="DEFERRED", check_same_thread=False)
    # The file lives as long as the process, so nothing has to survive a crash; 200 page caches must stay small.
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -256; PRAGMA busy_timeout = 200;")
    return connection


def _fill(path: Path, users: int) -> sqlite3.Connection:
    connection = _connect(path)
    # Readers must not wait for the writer.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(_TABLES)
    with connection:
        connection.executemany("INSERT INTO models VALUES (?, ?, 1)", [(n, model_name(n)) for n in MODELS])
        rows = map(astuple, seeded_generations(users))
        connection.executemany("INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO media VALUES (?)", ((n,) for n in range(users * GENERATIONS_PER_USER)))
        connection.execute(_INDEX)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection
