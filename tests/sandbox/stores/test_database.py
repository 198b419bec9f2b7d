"""The embedded database keeps the promises of a real PostgreSQL: one set of tests for both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.servers import Server, free_port, postgres_server
from velro_gate.errors import UsageError
from velro_gate.sandbox.catalogue import Access, Generation, Model
from velro_gate.sandbox.stores.database import Database
from velro_gate.sandbox.stores.pool import Pool
from velro_gate.sandbox.stores.postgres import PostgresDatabase
from velro_gate.sandbox.stores.sqlite import SqliteDatabase

USERS = 30
POOL = 7


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server(max_connections=30) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, postgres: Server) -> str | None:
    return None if request.param == "sqlite" else postgres.url


async def no_time() -> None:
    return


@contextlib.asynccontextmanager
async def opened(url: str | None, query_time: Callable[[], Awaitable[None]] = no_time) -> AsyncIterator[Database]:
    made: Database = (
        SqliteDatabase(users=USERS, pool_size=POOL, query_time=query_time)
        if url is None
        else PostgresDatabase(url, users=USERS, pool_size=POOL, query_seconds=30.0)
    )
    try:
        await made.open()
        yield made
    finally:
        await made.close()


def with_database(url: str | None, scene: Callable[[Database], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(url) as made:
            await scene(made)

    asyncio.run(run())


def test_it_opens_with_a_full_pool_and_none_of_it_in_use(url: str | None) -> None:
    async def scene(made: Database) -> None:
        assert (made.pool_size, made.pool_in_use) == (POOL, 0)
        await made.ping()
        assert (made.pool_size, made.pool_in_use) == (POOL, 0)

    with_database(url, scene)


def test_it_holds_the_catalogue(url: str | None) -> None:
    async def scene(made: Database) -> None:
        assert await made.access(5) == Access(5, shared=True)
        assert await made.access(USERS + 5) == Access(5, shared=True)
        assert await made.access(2 * USERS) is None
        assert await made.model(24) == Model(24, "Velro Audio 8")
        assert await made.model(0) is None
        assert await made.media_exists(2 * USERS - 1)
        assert not await made.media_exists(2 * USERS)

    with_database(url, scene)


def test_a_new_generation_is_its_owners_alone_and_leads_the_list(url: str | None) -> None:
    async def scene(made: Database) -> None:
        before, total = await made.newest(4, 20)
        number = await made.add(4, 9, "it's a 'quoted' %s prompt; --")
        assert number == 2 * USERS
        assert await made.access(number) == Access(4, shared=False)
        newest, after = await made.newest(4, 20)
        assert (total, after) == (2, 3)
        assert newest == [Generation(number, 4, 9, "it's a 'quoted' %s prompt; --", "queued", shared=False), *before]

    with_database(url, scene)


def test_a_model_with_another_name_has_a_version_that_is_one_higher(url: str | None) -> None:
    async def scene(made: Database) -> None:
        assert await made.rename_model(3, "it's new") == Model(3, "it's new", 2)
        assert await made.model(3) == Model(3, "it's new", 2)
        assert await made.rename_model(0, "nothing") is None

    with_database(url, scene)


def test_a_list_is_cut_at_its_limit_and_counts_everything(url: str | None) -> None:
    async def scene(made: Database) -> None:
        numbers = [await made.add(3, 1, "x") for _ in range(5)]
        newest, total = await made.newest(3, 4)
        assert [one.number for one in newest] == numbers[:0:-1]
        assert total == 7

    with_database(url, scene)


def test_a_user_whom_nobody_knows_owns_nothing_and_can_begin(url: str | None) -> None:
    stranger = (1 << 60) + 12_345

    async def scene(made: Database) -> None:
        assert await made.newest(stranger, 20) == ([], 0)
        number = await made.add(stranger, 1, "first")
        assert await made.access(number) == Access(stranger, shared=False)

    with_database(url, scene)


def test_more_queries_than_connections_wait_their_turn_and_all_get_an_answer(url: str | None) -> None:
    async def scene(made: Database) -> None:
        found = await asyncio.gather(*(made.access(number % USERS) for number in range(20 * POOL)))
        assert [one and one.owner for one in found] == [number % USERS for number in range(20 * POOL)]
        assert made.pool_in_use == 0

    with_database(url, scene)


def test_queries_that_are_given_up_lose_no_connection_of_a_real_postgresql(postgres: Server) -> None:
    async def give_up(query: Awaitable[object], after: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after):
                await query

    async def scene(made: Database) -> None:
        for _ in range(20):
            await asyncio.gather(*(give_up(made.access(number % USERS), 0.0005 * (number % 9)) for number in range(10 * POOL)))
        # Queries that nobody waits for any more end by themselves; then every connection is there and answers.
        while made.pool_in_use:
            await asyncio.sleep(0.01)
        found = await asyncio.gather(*(made.access(1) for _ in range(POOL)))
        assert {one and one.owner for one in found} == {1}
        assert (made.pool_size, made.pool_in_use) == (POOL, 0)
        assert others(postgres.url, "count(*)") == POOL

    with_database(postgres.url, scene)


def others(url: str, wanted: str) -> object:
    """Something that is selected of all other clients' connections to the server."""
    query = f"SELECT {wanted} FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with psycopg.connect(url) as watcher:
        row = watcher.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_connections_that_the_server_closed_are_opened_again_by_the_next_queries(postgres: Server) -> None:
    async def scene(made: Database) -> None:
        others(postgres.url, "bool_and(pg_terminate_backend(pid, 5000))")
        for _ in range(3):
            found = await asyncio.gather(*(made.access(1) for _ in range(POOL)))
            assert {one and one.owner for one in found} == {1}
        assert made.pool_in_use == 0
        assert others(postgres.url, "count(*)") == made.pool_size

    with_database(postgres.url, scene)


def test_the_server_ends_a_query_that_takes_too_long_and_its_connection_stays(postgres: Server) -> None:
    async def scene() -> None:
        pool = Pool(postgres.url, size=1, wait=1.0, longest=0.05)
        await pool.open(10.0)
        with pytest.raises(psycopg.errors.QueryCanceled):
            await pool.run(lambda connection: connection.execute("SELECT pg_sleep(20)"))
        await pool.run(lambda connection: connection.execute("SELECT 1"))
        assert (pool.open_count, pool.in_use) == (1, 0)
        await pool.close()

    asyncio.run(scene())


def test_concurrent_writes_get_numbers_of_their_own(url: str | None) -> None:
    async def scene(made: Database) -> None:
        numbers = await asyncio.gather(*(made.add(number, 1, "x") for number in range(25)))
        assert sorted(numbers) == list(range(2 * USERS, 2 * USERS + 25))

    with_database(url, scene)


def test_a_query_of_the_embedded_database_holds_its_connection_for_its_whole_time() -> None:
    async def scene() -> None:
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        async with opened(None, wait) as made:
            queries = [asyncio.create_task(made.access(1)) for _ in range(POOL + 3)]
            await asyncio.sleep(0)
            assert made.pool_in_use == POOL
            gate.set()
            await asyncio.gather(*queries)
            assert made.pool_in_use == 0

    asyncio.run(scene())


def test_the_embedded_database_leaves_no_file_and_no_descriptor_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        made = SqliteDatabase(users=USERS, pool_size=POOL, query_time=no_time, place=tmp_path)
        await made.open()
        assert list(tmp_path.iterdir())
        await made.ping()
        await made.close()

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(scene())
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_opening_again_lays_the_catalogue_out_again_and_leaves_other_schemas_alone(postgres: Server) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS theirs (number integer)")
        connection.execute("INSERT INTO theirs VALUES (1)")

    async def add(made: Database) -> None:
        assert await made.add(1, 1, "x") == 2 * USERS

    with_database(postgres.url, add)
    with_database(postgres.url, add)
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT count(*) FROM theirs").fetchone()
    assert row is not None
    assert row[0] >= 1


def test_a_database_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be used") as refused:
        with_database(f"postgresql://velro@127.0.0.1:{free_port()}/postgres", lambda made: made.ping())
    assert refused.value.where == "DATABASE_URL"


@pytest.mark.parametrize("url", ["mysql://u:hunter2@db/x", "postgresql://u@db/x?passwort=hunter2", "hunter2"])
def test_what_is_no_url_of_a_database_is_a_usage_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(UsageError, match="it is not the URL of a PostgreSQL database") as refused:
        with_database(url, lambda made: made.ping())
    assert "hunter2" not in str(refused.value)


def test_the_url_may_name_a_driver_as_other_libraries_write_it(postgres: Server) -> None:
    with_database(postgres.url.replace("postgresql:", "postgresql+asyncpg:"), lambda made: made.ping())


def test_a_server_that_admits_fewer_connections_than_the_pool_holds_is_a_usage_error(postgres: Server) -> None:
    async def scene() -> None:
        made = PostgresDatabase(postgres.url, users=1, pool_size=40, open_seconds=0.5)
        with pytest.raises(UsageError, match="cannot be used") as refused:
            await made.open()
        assert "40 connections" in refused.value.hint

    asyncio.run(scene())
