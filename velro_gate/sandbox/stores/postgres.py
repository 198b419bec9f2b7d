"""The database when DATABASE_URL is set: PostgreSQL through a pool of psycopg connections, in a schema of the sandbox's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from velro_gate.errors import UsageError
from velro_gate.sandbox.catalogue import (
    GENERATIONS_PER_USER,
    MODELS,
    Access,
    Generation,
    Model,
    model_name,
    seeded_generations,
)
from velro_gate.sandbox.stores.pool import Pool, PoolConnection

OPEN_SECONDS = 30.0
"""How long all connections together may take to open."""
WAIT_SECONDS = 1.0
"""How long a query waits for a free connection."""
QUERY_SECONDS = 2.0
"""Seconds: of opening the pool, of a wait for a connection, of one query on the server."""

_LAYOUT = """
DROP SCHEMA IF EXISTS velro_sandbox CASCADE;
CREATE SCHEMA velro_sandbox;
CREATE TABLE velro_sandbox.models (number integer PRIMARY KEY, name text NOT NULL, version integer NOT NULL);
CREATE TABLE velro_sandbox.generations (
    number bigint PRIMARY KEY, owner bigint NOT NULL, model integer NOT NULL, prompt text NOT NULL, status text NOT NULL,
    shared boolean NOT NULL
);
CREATE TABLE velro_sandbox.media (number bigint PRIMARY KEY);
"""
_INDEX = "CREATE INDEX ON velro_sandbox.generations (owner, number)"
_NUMBERS = "CREATE SEQUENCE velro_sandbox.numbers MINVALUE 0 START {start} OWNED BY velro_sandbox.generations.number"
_NEWEST = """
SELECT number, owner, model, prompt, status, shared FROM velro_sandbox.generations
WHERE owner = %s ORDER BY number DESC LIMIT %s
"""
_ADD = """
INSERT INTO velro_sandbox.generations VALUES (nextval('velro_sandbox.numbers'), %s, %s, %s, 'queued', false) RETURNING number
"""
_RENAME = "UPDATE velro_sandbox.models SET name = %s, version = version + 1 WHERE number = %s RETURNING name, version"


class PostgresDatabase:
    """The catalogue in the schema ``velro_sandbox``, which is laid out again at every start.

    Args:
        pool_size: connections held from the start.
        open_seconds: longest wait for all of them.
    """

    faults: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError)

    def __init__(
        self, url: str, *, users: int, pool_size: int, open_seconds: float = OPEN_SECONDS, query_seconds: float = QUERY_SECONDS
    ) -> None:
        # Libraries write the driver into the scheme (postgresql+asyncpg://); libpq knows none.
        self._url = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url)
        self._users = users
        self._open_seconds = open_seconds
        self._pool = Pool(self._url, size=pool_size, wait=WAIT_SECONDS, longest=query_seconds)

    @property
    def pool_size(self) -> int:
        """See Database."""
        return self._pool.open_count

    @property
    def pool_in_use(self) -> int:
        """See Database."""
        return self._pool.in_use

    @property
    def pool_waiting(self) -> int:
        """See Database."""
        return self._pool.waiting

    async def open(self) -> None:
        """Connect, lay out the tables and fill them.

        Raises:
            UsageError: the URL is invalid, the database cannot be reached, or gives fewer connections than the pool holds.
        """
        try:
            conninfo_to_dict(self._url)
        except psycopg.ProgrammingError as fault:
            # The fault's text is not shown: it quotes the URL, password included.
            raise UsageError(
                "the sandbox's database cannot be used",
                where="DATABASE_URL",
                why="it is not the URL of a PostgreSQL database",
                hint="Write postgresql://user:password@host:port/name, or unset DATABASE_URL.",
            ) from fault
        try:
            async with await psycopg.AsyncConnection.connect(self._url, connect_timeout=10) as connection:
                await self._lay_out(connection)
            await self._pool.open(self._open_seconds)
        except self.faults as fault:
            await self._pool.close()
            raise UsageError(
                "the sandbox's database cannot be used",
                where="DATABASE_URL",
                why=str(fault).partition("\n")[0] or "it did not answer in time",
                hint=f"It has to admit {self._pool.size} connections (max_connections) and to allow a schema of its own.",
            ) from fault

    async def _lay_out(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(_LAYOUT)
        await _copy(connection, "models", ((n, model_name(n), 1) for n in MODELS))
        rows = map(astuple, seeded_generations(self._users))
        await _copy(connection, "generations", rows)
        count = self._users * GENERATIONS_PER_USER
        await _copy(connection, "media", ((n,) for n in range(count)))
        await connection.execute(_INDEX)
        await connection.execute(psycopg.sql.SQL(_NUMBERS).format(start=psycopg.sql.Literal(count)))
        await connection.execute("ANALYZE velro_sandbox.generations")

    async def close(self) -> None:
        """See Database."""
        await self._pool.close()

    async def ping(self) -> None:
        """See Database."""
        await self._query("SELECT 1")

    async def access(self, generation: int) -> Access | None:
        """See Database."""
        rows = await self._query("SELECT owner, shared FROM velro_sandbox.generations WHERE number = %s", generation)
        return Access(*rows[0]) if rows else None

    async def newest(self, owner: int, limit: int) -> tuple[list[Generation], int]:
        """See Database."""
        rows = await self._query(_NEWEST, owner, limit)
        total = await self._query("SELECT count(*) FROM velro_sandbox.generations WHERE owner = %s", owner)
        return [Generation(*row) for row in rows], total[0][0]

    async def model(self, number: int) -> Model | None:
        """See Database."""
        rows = await self._query("SELECT name, version FROM velro_sandbox.models WHERE number = %s", number)
        return Model(number, *rows[0]) if rows else None

    async def rename_model(self, number: int, name: str) -> Model | None:
        """See Database."""
        rows = await self._query(_RENAME, name, number)
        return Model(number, *rows[0]) if rows else None

    async def media_exists(self, number: int) -> bool:
        """See Database."""
        return bool(await self._query("SELECT 1 FROM velro_sandbox.media WHERE number = %s", number))

    async def add(self, owner: int, model: int, prompt: str) -> int:
        """See Database."""
        rows = await self._query(_ADD, owner, model, prompt)
        number: int = rows[0][0]
        return number

    async def _query(self, sql: str, *values: int | str) -> list[Any]:
        async def ask(connection: PoolConnection) -> list[Any]:
            """The question with the pool's deadlines, as a service would ask it."""
            cursor = await connection.execute(sql.encode(), values)
            return await cursor.fetchall()

        return await self._pool.run(ask)


async def _copy(connection: psycopg.AsyncConnection[Any], table: str, rows: Iterable[tuple[object, ...]]) -> None:
    statement = psycopg.sql.SQL("COPY velro_sandbox.{} FROM STDIN").format(psycopg.sql.Identifier(table))
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)
