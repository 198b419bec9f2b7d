"""What each source of readings costs, read once a second: CPU, and what it adds to the service's p95.
``python -m benchmarks.sources``; seven minutes, and less with ``--only``.

The service is a sandbox without simulated work, with a real Redis and a real PostgreSQL behind it. CPU is that of the process
that reads, threads included, from the call of a reading to its end, under the same load. For p95 another process sends a
constant rate, and stretches with and without the source alternate in pairs, the order of which changes (off, on, on, off); the
difference is the mean over the pairs, with Student's 95 % interval.
"""

from __future__ import annotations

import array
import http.client
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import trio

from benchmarks.table import Page, Table, options
from tests.servers import postgres_server, redis_server
from velro_gate.analysis.statistics.intervals import student
from velro_gate.monitor.sources.neighbours import Neighbours
from velro_gate.monitor.sources.postgres import PostgresActivity
from velro_gate.monitor.sources.prometheus import PrometheusText
from velro_gate.monitor.sources.redis_info import RedisInfo
from velro_gate.monitor.sources.runner import RunnerMonitor
from velro_gate.monitor.sources.service import ServiceProcesses
from velro_gate.monitor.watching import ReadingSource
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import Settings

MOST = 0.02
"""Share of a core that one source may take."""

MOST_P95 = 0.5e-3
"""Seconds that one source may add to the service's p95."""

RATE = 200.0
"""Requests a second."""

NAMES = {
    "runner": "runner, neighbours included",
    "processes": "the service's processes",
    "prometheus": "metrics page",
    "redis": "Redis",
    "postgres": "PostgreSQL",
}
"""What can be measured, as the table calls it."""

PATH = "/api/v1/generations?limit=20"
SETTLE = 1.0
"""Seconds at the beginning of the load that are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Seconds of the monotonic clock in which a source was read, or not."""

    on: bool
    begin: float
    end: float


def main() -> None:
    """Measure every source, and print what it took and what it added."""
    if sys.argv[1:2] == ["--send"]:
        send(sys.argv[2], sys.argv[3], float(sys.argv[4]))
        return
    arguments = options(__doc__)
    arguments.add_argument("--pairs", type=int, default=8, help="Pairs of stretches for p95")
    arguments.add_argument("--seconds", type=float, default=5.0, help="Length of a stretch")
    arguments.add_argument("--only", nargs="+", choices=NAMES, metavar="SOURCE", help=f"These only: {', '.join(NAMES)}")
    wanted = arguments.parse_args()
    rows = []
    with (
        redis_server() as redis,
        postgres_server() as postgres,
        running_sandbox(Settings(work=False, redis_url=redis.url, database_url=postgres.url)) as sandbox,
    ):
        port = int(sandbox.url.rpartition(":")[2])
        made: dict[str, Callable[[], ReadingSource]] = {
            "runner": lambda: RunnerMonitor(neighbours=Neighbours()),
            "processes": lambda: ServiceProcesses(port),
            "prometheus": lambda: PrometheusText(f"{sandbox.url}/metrics"),
            "redis": lambda: RedisInfo(redis.url),
            "postgres": lambda: PostgresActivity(postgres.url),
        }
        for key in wanted.only or made:
            name, source = NAMES[key], made[key]
            share, p95, added, reach = _costs(source, sandbox, wanted.pairs, wanted.seconds)
            rows.append((name, f"{share:.2%}", _ms(p95), f"{_ms(added)} +- {_ms(reach)}", _held(share, added, reach)))
    columns = ("source", "share of a core", "p95 without it", "added to p95", f"below {MOST:.0%} and {_ms(MOST_P95)}")
    Page(markdown=wanted.markdown).show(Table(title="sources of readings", columns=columns, rows=tuple(rows)))


def _held(share: float, added: float, reach: float) -> str:
    if share >= MOST or added - reach >= MOST_P95:
        return "MISSED"
    return "reached" if added + reach < MOST_P95 else "not shown: more pairs"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


def _costs(
    make: Callable[[], ReadingSource], sandbox: RunningSandbox, pairs: int, seconds: float
) -> tuple[float, float, float, float]:
    """CPU of a reading, the service's p95 without the source, what the source adds to it, half of its interval; in seconds."""
    whole = SETTLE + 2.0 * pairs * seconds + 1.0
    command = [sys.executable, "-m", "benchmarks.sources", "--send", sandbox.url, sandbox.key, str(whole)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as load:
        assert load.stdout is not None
        load.stdout.readline()  # it sends
        stretches, taken = trio.run(_stretches, make, pairs, seconds)
        columns = np.frombuffer(load.stdout.read(), np.float64).reshape(2, -1)
    if load.returncode:
        raise RuntimeError("the load ended with an error, which it has printed")
    sent, took = columns
    values = [float(np.quantile(took[(sent >= one.begin) & (sent < one.end)], 0.95)) for one in stretches]
    on = np.array([value for value, one in zip(values, stretches, strict=True) if one.on])
    off = np.array([value for value, one in zip(values, stretches, strict=True) if not one.on])
    differences = on - off
    error = float(differences.std(ddof=1)) / math.sqrt(pairs) if pairs > 1 else math.inf
    reach = student(pairs - 1.0) * error if pairs > 1 else math.inf
    return float(np.mean(taken)), float(np.median(off)), float(differences.mean()), reach


async def _stretches(
    make: Callable[[], ReadingSource], pairs: int, seconds: float
) -> tuple[Sequence[Stretch], Sequence[float]]:
    """Stretches of the load, the i-th one with the source and the i-th one without it a pair; CPU seconds of each reading."""
    source = make()
    await source.read()
    await trio.sleep(SETTLE)
    found, taken = [], []
    for pair in range(pairs):
        for on in (False, True) if pair % 2 == 0 else (True, False):
            begin = time.monotonic()
            if on:
                for beat in range(max(int(seconds), 1)):
                    # Not the whole second: to wake a process takes up to 40 ms of CPU on an idle virtual machine, and a run's
                    # process is awake anyway.
                    spent = time.process_time()
                    await source.read()
                    taken.append(time.process_time() - spent)
                    await trio.sleep(max(begin + min(beat + 1.0, seconds) - time.monotonic(), 0.0))
            await trio.sleep(max(begin + seconds - time.monotonic(), 0.0))
            found.append(Stretch(on=on, begin=begin, end=time.monotonic()))
    await source.aclose()
    return found, taken


def send(url: str, key: str, seconds: float) -> None:
    """Send a constant rate over one connection; then write when each request was sent and how long it took, in two columns."""
    at, took = array.array("d"), array.array("d")
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"Authorization": f"Bearer {key}"}
    sys.stdout.buffer.write(b"sends\n")
    sys.stdout.buffer.flush()
    begin = time.monotonic()
    for number in range(int(seconds * RATE)):
        time.sleep(max(begin + number / RATE - time.monotonic(), 0.0))
        sent = time.monotonic()
        connection.request("GET", PATH, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the sandbox answers {answer.status}")
        at.append(sent)
        took.append(time.monotonic() - sent)
    sys.stdout.buffer.write(at.tobytes() + took.tobytes())


if __name__ == "__main__":
    main()
