from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping

import psycopg
import pytest
import trio

from tests.servers import Server, postgres_server
from velro_gate.monitor.sources.postgres import PostgresActivity, reason_of, statement_name
from velro_gate.monitor.watching import SourceError


def read_once(url: str) -> Mapping[str, float]:
    async def main() -> Mapping[str, float]:
        source = PostgresActivity(url)
        try:
            return await source.read()
        finally:
            await source.aclose()

    return trio.run(main)


def test_connections_are_counted_by_what_they_are_doing_and_ours_is_left_out(postgres_at: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(postgres_at.url, autocommit=True)) for _ in range(4)]
        clients[0].execute("BEGIN")
        values = read_once(postgres_at.url)
    assert values["connections"] == 4
    assert values["connections_idle"] == 3
    assert values["connections_in_transaction"] == 1
    assert values["connections_active"] == 0
    assert values["max_connections"] == 60


def test_a_connection_that_waits_for_a_lock_is_seen(postgres_at: Server) -> None:
    async def main() -> float:
        with psycopg.connect(postgres_at.url) as holder, psycopg.connect(postgres_at.url, autocommit=True) as waiter:
            holder.execute("SELECT pg_advisory_xact_lock(77)")
            source = PostgresActivity(postgres_at.url)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, waiter.execute, "SELECT pg_advisory_lock(77)")
                waiting = 0.0
                with trio.fail_after(20):
                    while waiting == 0.0:
                        waiting = (await source.read())["connections_waiting"]
                holder.rollback()
            await source.aclose()
        return waiting

    assert trio.run(main) == 1.0


def test_transactions_and_blocks_are_cumulative(postgres_at: Server) -> None:
    before = read_once(postgres_at.url)
    with psycopg.connect(postgres_at.url, autocommit=True) as client:
        for _ in range(20):
            client.execute("SELECT count(*) FROM pg_class")
        client.execute("SELECT pg_stat_force_next_flush()")
    after = read_once(postgres_at.url)
    assert after["transactions_total"] - before["transactions_total"] >= 20
    assert after["blocks_hit_total"] > before["blocks_hit_total"]


def test_one_connection_serves_every_reading(postgres_at: Server) -> None:
    async def main() -> int:
        source = PostgresActivity(postgres_at.url)
        pids = set()
        for _ in range(3):
            await source.read()
            assert source._connection is not None
            pids.add(source._connection.info.backend_pid)
        await source.aclose()
        return len(pids)

    assert trio.run(main) == 1


def test_a_url_that_names_a_driver_is_understood(postgres_at: Server) -> None:
    assert read_once(postgres_at.url.replace("postgresql:", "postgresql+asyncpg:"))["max_connections"] == 60


def test_a_user_without_rights_counts_the_sessions_of_others_and_does_not_guess_what_they_do(postgres_at: Server) -> None:
    with psycopg.connect(postgres_at.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE watcher LOGIN")
        values = read_once(postgres_at.url.replace("velro@", "watcher@"))
    assert values["connections"] >= 1
    assert values["max_connections"] == 60
    assert "connections_active" not in values


def test_no_server_is_a_source_error_without_the_password() -> None:
    with pytest.raises(SourceError, match=r"^it cannot be read \(Connection refused\)$"):
        read_once("postgresql://velro:secret@127.0.0.1:1/postgres")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('connection to server at "h", port 5432 failed: FATAL:  password authentication failed for user "secret"', "password"),
        ("secret: something else", ""),
    ],
)
def test_only_the_known_part_of_an_error_is_shown(said: str, reason: str) -> None:
    assert reason_of(said).startswith(reason)
    assert "secret" not in reason_of(said)


def test_a_database_that_does_not_exist_is_reported(postgres_at: Server) -> None:
    with pytest.raises(SourceError, match=r"\(does not exist\)"):
        read_once(postgres_at.url.replace("/postgres", "/absent"))


def test_a_connection_that_the_server_ended_is_opened_again(postgres_at: Server) -> None:
    async def main() -> Mapping[str, float]:
        source = PostgresActivity(postgres_at.url)
        await source.read()
        assert source._connection is not None
        with psycopg.connect(postgres_at.url, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", [source._connection.info.backend_pid])
        with pytest.raises(SourceError):
            await source.read()
        values = await source.read()
        await source.aclose()
        return values

    assert trio.run(main)["max_connections"] == 60


def test_a_server_that_has_gone_is_a_source_error() -> None:
    with postgres_server() as gone:
        source = PostgresActivity(gone.url)

        async def read() -> None:
            await source.read()

        trio.run(read)
    with pytest.raises(SourceError):
        trio.run(read)


def test_without_psycopg_the_source_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from velro_gate.monitor.sources.postgres import PostgresActivity\n"
        "from velro_gate.monitor import SourceError\n"
        "try: PostgresActivity('postgresql://d.test/x').read_blocking()\n"
        "except SourceError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert "psycopg is not installed" in done.stdout


def test_locks_waits_and_the_longest_statement_are_seen(postgres_at: Server) -> None:
    with contextlib.ExitStack() as stack:
        holder, waiter = (stack.enter_context(psycopg.connect(postgres_at.url, autocommit=True)) for _ in range(2))
        holder.execute("CREATE TABLE IF NOT EXISTS held (n int)")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE held")
        waiter.execute("SET lock_timeout = 0")
        with psycopg.connect(postgres_at.url) as other:
            waiter.pgconn.send_query(b"SELECT * FROM held")
            while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                pass
        values = read_once(postgres_at.url)
        waiter.close()
    assert values["locks"] >= 1
    assert values["locks_waiting"] == 1
    assert values["connections_waiting"] == 1
    assert values["longest_query"] >= values["longest_wait"] > 0.0
    assert values["longest_transaction"] > 0.0


def test_the_statements_that_take_most_are_read_where_the_extension_is_there() -> None:
    with postgres_server(options=("shared_preload_libraries=pg_stat_statements",)) as server:
        assert not any(name.startswith("statement_") for name in read_once(server.url))
        with psycopg.connect(server.url, autocommit=True) as client:
            client.execute("CREATE EXTENSION pg_stat_statements")
            client.execute("CREATE TABLE things AS SELECT generate_series(1, 10) AS n")
            for n in range(3):
                client.execute("SELECT n FROM things WHERE n = %s", (n,))
        values = read_once(server.url)
    name = next(name for name in values if name.startswith("statement_select_n_from_things") and name.endswith("_calls_total"))
    assert values[name] == 3
    assert values[name.replace("_calls_total", "_seconds")] > 0.0


def test_a_statements_name_is_its_first_words_without_its_values() -> None:
    assert statement_name("SELECT a, b -- why\nFROM t WHERE n = $1") == "select_a_b_from_t_where_n"
    assert len(statement_name("SELECT " + "column_of_a_table, " * 20)) <= 60
    assert statement_name("$1") == "unnamed"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


READY = message(b"Z", b"I")
GREETING = message(b"R", bytes(4)) + message(b"S", b"client_encoding\0UTF8\0") + READY
COLUMN = message(b"T", struct.pack("!h", 1) + b"connections\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))


def endless(listener: socket.socket, sent: list[int]) -> None:
    """One client's PostgreSQL, whose first query has a result without end."""
    client, _ = listener.accept()
    with client, contextlib.suppress(OSError):
        client.recv(1 << 16)
        client.sendall(GREETING)
        client.recv(1 << 16)
        client.sendall(message(b"C", b"SET\0") + READY)
        client.recv(1 << 16)
        client.sendall(message(b"1", b"") + message(b"2", b"") + COLUMN)
        rows = message(b"D", struct.pack("!hI", 1, 1) + b"7") * 1_000
        while True:
            client.sendall(rows)
            sent.append(len(rows))


@pytest.mark.hostile("own metrics")
def test_a_result_without_end_is_left_after_the_row_that_was_asked_for() -> None:
    sent: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=endless, args=(listener, sent))
        server.start()
        port = listener.getsockname()[1]
        with pytest.raises(SourceError, match="does not answer like a PostgreSQL"):
            read_once(f"postgresql://user@127.0.0.1:{port}/base?sslmode=disable&gssencmode=disable")
        server.join()
    assert sum(sent) < 50_000_000
