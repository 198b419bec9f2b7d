"""PostgreSQL, by its statistics views. Needs psycopg, which comes with an extra; without it the source says so."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from velro_gate.monitor.watching import SourceError

if TYPE_CHECKING:
    import psycopg

_SECONDS = 4

# One statement, so one round trip; ours left out by pid. The views are snapshots in shared memory and cost no locks. Without
# the role pg_read_all_stats the sessions of other roles show neither type nor state: then they are counted, and what they do
# is unknown, not 0.
_QUERY = """
SELECT count(pid) AS connections,
       CASE WHEN seen THEN count(*) FILTER (WHERE state = 'active') END AS connections_active,
       CASE WHEN seen THEN count(*) FILTER (WHERE state = 'idle') END AS connections_idle,
       CASE WHEN seen THEN count(*) FILTER (WHERE state LIKE 'idle in transaction%') END AS connections_in_transaction,
       CASE WHEN seen THEN count(*) FILTER (WHERE wait_event_type = 'Lock') END AS connections_waiting,
       current_setting('max_connections')::int AS max_connections,
       transactions_total, blocks_hit_total, blocks_read_total, deadlocks_total
FROM (
    SELECT a.pid, a.state, a.wait_event_type,
           bool_and(a.pid IS NULL OR a.backend_type IS NOT NULL) OVER () AS seen,
           d.xact_commit + d.xact_rollback AS transactions_total,
           d.blks_hit AS blocks_hit_total, d.blks_read AS blocks_read_total, d.deadlocks AS deadlocks_total
    FROM pg_stat_database d
    LEFT JOIN pg_stat_activity a ON a.datid = d.datid AND a.pid <> pg_backend_pid()
                                AND coalesce(a.backend_type, 'client backend') = 'client backend'
    WHERE d.datname = current_database()
) AS sessions
GROUP BY seen, transactions_total, blocks_hit_total, blocks_read_total, deadlocks_total
"""


class PostgresActivity:
    """Reads one database over a connection that is kept open, in a worker thread."""

    name = "database"

    def __init__(self, url: str) -> None:
        # Libraries write the driver into the scheme (postgresql+asyncpg://); libpq knows none.
        self._url = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._limiter = trio.CapacityLimiter(1)

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
        """The same for a caller that may block."""
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
            cursor = self._connection.execute(_QUERY)
            row, columns = cursor.fetchone(), cursor.description or []
        except psycopg.Error as error:
            self._close()
            # The text of a connection error may repeat the connection string.
            raise SourceError(f"it cannot be read ({error.sqlstate or type(error).__name__})") from error
        if row is None:
            raise SourceError("PostgreSQL has no statistics of this database")
        return {column.name: float(value) for column, value in zip(columns, row, strict=True) if value is not None}

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def source_at(url: str, *, verify: bool) -> PostgresActivity:  # noqa: ARG001 - its URL says how its certificate is checked
    """The database at a URL."""
    return PostgresActivity(url)
