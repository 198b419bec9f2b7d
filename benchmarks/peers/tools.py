"""The tools: which package brings each, and how it is configured to send a load. Nothing is installed here."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.reports import WRK_MARK, Report, read_hey, read_k6, read_locust, read_ours, read_wrk
from benchmarks.processes import module, our_environment

FOREVER = 1_800
"""Seconds that a tool is set to run; it is ended by a signal long before."""

HEY_MOST_USERS = 500

OURS = "velro-gate"

_K6 = """
import http from 'k6/http';
export const options = {
  scenarios: { load: %(executor)s },
  discardResponseBodies: true,
  insecureSkipTLSVerify: true,
  summaryTrendStats: ['med', 'p(95)', 'p(99)'],
};
export default function () { http.get('%(url)s'); }
export function handleSummary(data) { return { '%(summary)s': JSON.stringify(data) }; }
"""

# In Locust's favour: users wait until all have started, or the first would starve the start of the others; they wait at random,
# since a constant throughput keeps in step those that started in one burst; and they share one TLS context.
_LOCUST = """
import random
import ssl
import time

from gevent.event import Event
from locust import FastHttpUser, between, events, task

ALL_STARTED = Event()
CONTEXT = ssl._create_unverified_context()
PERIOD = %(period)s

@events.spawning_complete.add_listener
def let_them_go(user_count, **_):
    ALL_STARTED.set()

class Asker(FastHttpUser):
    host = "%(origin)s"
    wait_time = between(0, 2 * PERIOD)
    ssl_context_factory = staticmethod(lambda cafile=None: CONTEXT)

    def on_start(self):
        if not PERIOD:
            ALL_STARTED.wait()
        time.sleep(random.random() * PERIOD)

    @task
    def ask(self):
        self.client.get("%(path)s")
"""

_WRK = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '%s {"requests":%%d,"p50":%%f,"p95":%%f,"p99":%%f,"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d}\\n',
    summary.requests, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A load. url: with its path. rate: offered per second over all users; None: as fast as answers come.

    seconds: of the stretch that is counted. keep: whether ours keeps its samples as in a real run.
    """

    url: str
    users: int
    seconds: float
    rate: float | None = None
    keep: bool = True

    @property
    def ramp(self) -> float:
        """Seconds in which ours connects its users."""
        return max(1.0, self.users / (250.0 if self.url.startswith("https") else 2_500.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A generator. package: what brings it. plan: writes its files into a folder and gives its command.

    lacks: why it cannot carry out a job, or nothing. end_signal: at which it ends in good order and prints its figures.
    """

    name: str
    package: str
    plan: Callable[[str, Job, Path], list[str]]
    read: Callable[[str, Path], Report]
    lacks: Callable[[Job], str] = lambda _: ""
    end_signal: signal.Signals = signal.SIGINT

    @property
    def environment(self) -> Mapping[str, str]:
        """One core each: Go's runtime would use as many threads as there are cores."""
        if self.name == OURS:
            return our_environment()
        rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**rest, "GOMAXPROCS": "1", "K6_NO_USAGE_REPORT": "true"}


def _plan_wrk(binary: str, job: Job, folder: Path) -> list[str]:
    script = folder / "figures.lua"
    script.write_text(_WRK % WRK_MARK, encoding="utf-8")
    return [binary, "-t1", f"-c{job.users}", f"-d{FOREVER}s", "--timeout", "10s", "-s", str(script), job.url]


def _plan_k6(binary: str, job: Job, folder: Path) -> list[str]:
    if job.rate is None:
        executor = f"{{ executor: 'constant-vus', vus: {job.users}, duration: '{FOREVER}s', gracefulStop: '2s' }}"
    else:
        executor = (
            f"{{ executor: 'constant-arrival-rate', rate: {job.rate:.0f}, timeUnit: '1s', duration: '{FOREVER}s', "
            f"preAllocatedVUs: {job.users}, maxVUs: {job.users}, gracefulStop: '2s' }}"
        )
    script = folder / "load.js"
    names = {"executor": executor, "url": job.url, "summary": str(folder / "summary.json")}
    script.write_text(_K6 % names, encoding="utf-8")
    return [binary, "run", "--quiet", "--no-color", str(script)]


def _plan_locust(binary: str, job: Job, folder: Path) -> list[str]:
    script = folder / "locustfile.py"
    origin, _, path = job.url.removeprefix("http://").removeprefix("https://").partition("/")
    scheme = job.url.partition(":")[0]
    period = 0.0 if job.rate is None else job.users / job.rate
    names = {"origin": f"{scheme}://{origin}", "path": f"/{path}", "period": period}
    script.write_text(_LOCUST % names, encoding="utf-8")
    users = ["-u", str(job.users), "-r", str(max(100, job.users // 4)), "-t", f"{FOREVER}s"]
    return [
        binary,
        "-f",
        str(script),
        "--headless",
        *users,
        "--json",
        "--reset-stats",
        "--only-summary",
        "--exit-code-on-error",
        "0",
    ]


def _plan_hey(binary: str, job: Job, _: Path) -> list[str]:
    pace = [] if job.rate is None else ["-q", f"{job.rate / job.users:g}"]
    return [binary, "-z", f"{FOREVER}s", "-c", str(job.users), "-cpus", "1", "-t", "10", *pace, job.url]


def _plan_ours(_: str, job: Job, folder: Path) -> list[str]:
    more: Sequence[object] = [] if job.rate is None else ["--rate", job.rate]
    kept: Sequence[object] = ["--keep", folder / "samples.npz"] if job.keep else []
    # An open plan is laid out ahead and takes memory, so its length is not left open.
    seconds = FOREVER if job.rate is None else job.seconds + 20.0
    base = ["--url", job.url, "--users", job.users, "--ramp", job.ramp, "--seconds", seconds]
    return module("benchmarks.saturate", *base, *more, *kept)


def _hey_lacks(job: Job) -> str:
    if job.users > HEY_MOST_USERS:
        return f"keeps {HEY_MOST_USERS} idle connections at most, so more users would reconnect all the time"
    return "lets all its users send at the same moment" if job.rate is not None else ""


def _read_k6(_: str, folder: Path) -> Report:
    summary = folder / "summary.json"
    return read_k6(summary.read_text(encoding="utf-8") if summary.exists() else "")


TOOLS = (
    Tool(name=OURS, package="", plan=_plan_ours, read=lambda output, _: read_ours(output)),
    Tool(
        name="wrk",
        package="Debian wrk",
        plan=_plan_wrk,
        read=lambda output, _: read_wrk(output),
        lacks=lambda job: "cannot offer a rate" if job.rate is not None else "",
    ),
    Tool(name="k6", package="PyPI k6", plan=_plan_k6, read=_read_k6),
    Tool(
        name="locust",
        package="PyPI locust",
        plan=_plan_locust,
        read=lambda output, _: read_locust(output),
        # Ctrl-C is lost in whichever of its users happens to run.
        end_signal=signal.SIGTERM,
    ),
    Tool(
        name="hey",
        package="Debian hey",
        plan=_plan_hey,
        read=lambda output, _: read_hey(output),
        lacks=_hey_lacks,
    ),
)


def find_tools(names: Sequence[str], places: Sequence[Path]) -> tuple[dict[str, str], list[str]]:
    """Binaries by tool name, and a sentence for each tool that is not there. Ours needs none."""
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])
    found, missing = {OURS: ""}, []
    for tool in TOOLS:
        if tool.name in names and tool.name != OURS:
            binary = shutil.which(tool.name, path=path)
            if binary is None:
                missing.append(f"{tool.name} is not here and is left out; the package {tool.package} brings it.")
            else:
                found[tool.name] = binary
    return found, missing
