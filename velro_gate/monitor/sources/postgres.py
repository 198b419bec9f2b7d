"""PostgreSQL, by its statistics views. Needs psycopg, which comes with an extra; without it the source says so."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, LiteralString

import trio

from velro_gate.monitor.watching import ShareSince, SourceError

if TYPE_CHECKING:
    import psycopg

_SECONDS = 4
"""How long connecting, and a statement, may take: less than the deadline of a whole reading."""

# One statement, so one round trip; ours left out by pid. The views are snapshots in shared memory and cost no locks. Without
# the role pg_read_all_stats the sessions of other roles show neither type nor state: then they are counted, and what they do
# is unknown, not 0.
_QUERY = """
SELECT count(pid) AS connections,
       CASE WHEN seen THEN count(*) FILTER (WHERE state = 'active') END AS connections_active,
       CASE WHEN seen THEN count(*) FILTER (WHERE state = 'idle') END AS connections_idle,
       CASE WHEN seen THEN count(*) FILTER (WHERE state LIKE 'idle in transaction%') END AS connections_in_transaction,
       CASE WHEN seen THEN count(*) FILTER (WHERE wait_event_type = 'Lock') END AS connections_waiting,
       CASE WHEN seen THEN greatest(max(extract(epoch FROM statement_timestamp() - query_start))
                                    FILTER (WHERE state = 'active'), 0) END AS longest_query,
       CASE WHEN seen THEN greatest(max(extract(epoch FROM statement_timestamp() - xact_start)), 0) END AS longest_transaction,
       CASE WHEN seen THEN greatest(max(extract(epoch FROM statement_timestamp() - query_start))
                                    FILTER (WHERE wait_event_type = 'Lock'), 0) END AS longest_wait,
       current_setting('max_connections')::int AS max_connections,
       transactions_total, blocks_hit_total, blocks_read_total, temporary_total, deadlocks_total,
       (SELECT count(*) FROM pg_locks l WHERE l.database = oid AND l.granted AND l.pid <> pg_backend_pid()) AS locks,
       -- A row's lock is waited for through the transaction that holds it, which belongs to no database.
       (SELECT count(*) FROM pg_locks l JOIN pg_stat_activity w ON w.pid = l.pid
        WHERE w.datid = oid AND NOT l.granted) AS locks_waiting
FROM (
    SELECT a.pid, a.state, a.wait_event_type, a.query_start, a.xact_start, d.datid AS oid,
           bool_and(a.pid IS NULL OR a.backend_type IS NOT NULL) OVER () AS seen,
           d.xact_commit + d.xact_rollback AS transactions_total,
           d.blks_hit AS blocks_hit_total, d.blks_read AS blocks_read_total, d.temp_bytes AS temporary_total,
           d.deadlocks AS deadlocks_total
    FROM pg_stat_database d
    LEFT JOIN pg_stat_activity a ON a.datid = d.datid AND a.pid <> pg_backend_pid()
                                AND coalesce(a.backend_type, 'client backend') = 'client backend'
    WHERE d.datname = current_database()
) AS sessions
GROUP BY seen, oid, transactions_total, blocks_hit_total, blocks_read_total, temporary_total, deadlocks_total
"""

# The text is normalised by the extension: constants are $1, $2, ... in it, so it shows no data.
_STATEMENTS = """
SELECT query, calls, total_exec_time / 1000.0
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_%'
ORDER BY total_exec_time DESC
LIMIT 20
"""
_MOST_ROWS = 20
"""Statements that are read at a time."""
_STATEMENTS_EVERY = 5.0
"""Seconds between two looks at pg_stat_statements: each makes the server read the texts of all statements."""
_MOST_STATEMENTS = 5
"""Statements that are followed from each look: a record must not grow with the number of queries."""
_MOST_LETTERS = 60
"""Of a statement's words in the name of its reading."""


_REASONS = (
    "Connection refused",
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "timeout expired",
    "does not exist",
    "could not translate host name",
    "Name or service not known",
    "failed to resolve host",
    "too many clients",
    "remaining connection slots are reserved",
    "certificate verify failed",
    "server does not support SSL",
    "permission denied",
)
"""What PostgreSQL and its library say of a failure that a user can act on; the rest of their text stays unseen."""


def reason_of(said: str) -> str:
    """The reason in the text of an error, without the parts that may repeat the connection string; empty: none is known."""
    return next((reason for reason in _REASONS if reason.lower() in said.lower()), "")


class PostgresActivity:
    """Reads one database over a connection that is kept open, in a worker thread."""

    name = key = "database"

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        # Libraries write the driver into the scheme (postgresql+asyncpg://); libpq knows none.
        self._url = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._clock = clock
        self._share = ShareSince("blocks_hit_total", "blocks_read_total")
        self._statements_at = -_STATEMENTS_EVERY
        self._has_statements: bool | None = None
        self._kept: set[str] = set()

    async def read(self) -> Mapping[str, float]:
        """See ``velro_gate.model.readings``.

        Raises:
            SourceError: psycopg is not installed, there is no connection, or the views may not be read.
        """
        return await trio.to_thread.run_sync(self.read_blocking, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Close the connection once no reading uses it any more."""
        await trio.to_thread.run_sync(self._close, limiter=self._limiter, abandon_on_cancel=True)

    def read_blocking(self) -> dict[str, float]:
        """The same for a caller that may block.

        Raises:
            SourceError: psycopg is not installed, or the database does not answer.
        """
        try:
            import psycopg
        except ImportError as error:
            raise SourceError("the package psycopg is not installed") from error
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._url, autocommit=True, connect_timeout=_SECONDS, application_name="velro-gate", prepare_threshold=None
                )
                self._connection.execute(f"SET statement_timeout = {_SECONDS * 1000}")
            rows, columns = _first(self._connection, _QUERY, 1)
            statements = self._statements(self._connection)
        except psycopg.Error as error:
            self._close()
            # The text of a connection error may repeat the connection string.
            known = reason_of(str(error)) or (error.sqlstate or type(error).__name__)[:40]
            raise SourceError(f"it cannot be read ({known})") from error
        except SourceError:
            self._close()
            raise
        if not rows:
            raise SourceError("PostgreSQL has no statistics of this database")
        values = {name: float(value) for name, value in zip(columns, rows[0], strict=True) if value is not None}
        return values | self._share.read("buffer_hit_share", values) | statements

    def _statements(self, connection: psycopg.Connection[tuple[Any, ...]]) -> dict[str, float]:
        """Time and calls of the statements that took most, where the extension is there and may be read."""
        import psycopg

        if self._has_statements is False or self._clock() - self._statements_at < _STATEMENTS_EVERY:
            return {}
        self._statements_at = self._clock()
        try:
            rows, _ = _first(connection, _STATEMENTS, _MOST_ROWS)
        # By the time limit: the server is busy now, and the extension may answer later.
        except psycopg.errors.QueryCanceled:
            return {}
        except psycopg.DatabaseError:
            self._has_statements = False
            return {}
        self._has_statements = True
        return self._named(rows)

    def _named(self, rows: list[tuple[Any, ...]]) -> dict[str, float]:
        """Once among the first, a statement stays, so that its series has no gaps. Two of the same first words are one."""
        calls: Counter[str] = Counter()
        seconds: Counter[str] = Counter()
        for query, count, time_taken in rows:
            name = statement_name(query)
            calls[name] += count
            seconds[name] += time_taken
        first = [name for name, _ in seconds.most_common(_MOST_STATEMENTS)]
        # A few more than are looked at: one that comes to the top later is followed too, up to a bound.
        self._kept.update(first[: max(_MOST_STATEMENTS * 2 - len(self._kept), 0)])
        return {f"statement_{name}_seconds": seconds[name] for name in self._kept if name in seconds} | {
            f"statement_{name}_calls_total": float(calls[name]) for name in self._kept if name in calls
        }

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _first(
    connection: psycopg.Connection[tuple[Any, ...]], query: LiteralString, most: int
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The first rows of a query as they come, and the names of their columns.

    Raises:
        SourceError: more rows come than were asked for, which no PostgreSQL sends. They are not waited for.
    """
    rows: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for row in cursor.stream(query):
            if len(rows) == most:
                # Else what is still to come would be read, to its end.
                connection.pgconn.finish()
                raise SourceError("it does not answer like a PostgreSQL")
            rows.append(row)
        return rows, [column.name for column in cursor.description or ()]


def statement_name(query: str) -> str:
    """The first words of a statement as a name: ``select_owner_shared_from_generations_where_number``."""
    words = re.sub(r"\W+", "_", re.sub(r"\$\d+|--[^\n]*|/\*.*?\*/", " ", query)).strip("_").lower()
    return words[:_MOST_LETTERS].rstrip("_") or "unnamed"


def source_at(url: str, *, verify: bool) -> PostgresActivity:  # noqa: ARG001 - its URL says how its certificate is checked
    """The database at a URL."""
    return PostgresActivity(url)
