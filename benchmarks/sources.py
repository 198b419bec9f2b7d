"""What each source of readings costs: CPU of one reading a second. ``python -m benchmarks.sources``.

The runner, the service's processes and the metrics page are those of a sandbox under no load; Redis and PostgreSQL are real
servers. CPU is the whole process's over all readings of a source, so work in threads counts too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import trio

from benchmarks.table import Page, Table, options
from tests.servers import postgres_server, redis_server
from velro_gate.monitor.neighbours import Neighbours
from velro_gate.monitor.postgres import PostgresActivity
from velro_gate.monitor.prometheus import PrometheusText
from velro_gate.monitor.redis_info import RedisInfo
from velro_gate.monitor.runner import RunnerMonitor
from velro_gate.monitor.service import ServiceProcesses
from velro_gate.monitor.watching import ReadingSource
from velro_gate.sandbox.process import running
from velro_gate.sandbox.settings import Settings

MOST = 0.02
"""Share of a core that one source may take."""


def main() -> None:
    """Read every source a number of times, a second apart, and print what it took."""
    arguments = options(__doc__)
    arguments.add_argument("--readings", type=int, default=10)
    wanted = arguments.parse_args()
    rows = []
    with running(Settings(port=0)) as sandbox, redis_server() as redis, postgres_server() as postgres:
        port = int(sandbox.url.rpartition(":")[2])
        made: dict[str, Callable[[], ReadingSource]] = {
            "runner, neighbours included": lambda: RunnerMonitor(neighbours=Neighbours()),
            "the service's processes": lambda: ServiceProcesses(port),
            "metrics page": lambda: PrometheusText(f"{sandbox.url}/metrics"),
            "Redis": lambda: RedisInfo(redis.url),
            "PostgreSQL": lambda: PostgresActivity(postgres.url),
        }
        for name, source in made.items():
            share = trio.run(_share, source, wanted.readings)
            rows.append((name, f"{share:.2%}", f"{MOST:.0%}", "reached" if share < MOST else "MISSED"))
    columns = ("source", "share of a core, read once a second", "to reach", "result")
    Page(markdown=wanted.markdown).show(Table(title="sources of readings", columns=columns, rows=tuple(rows)))


async def _share(make: Callable[[], ReadingSource], readings: int) -> float:
    source = make()
    await source.read()  # the first one finds things out
    spent = time.process_time()
    for beat in _beats(readings):
        await trio.sleep_until(beat)
        await source.read()
    taken = time.process_time() - spent
    await source.aclose()
    return taken / readings


def _beats(count: int) -> Iterator[float]:
    begin = trio.current_time()
    yield from (begin + 1.0 + second for second in range(count))


if __name__ == "__main__":
    main()
