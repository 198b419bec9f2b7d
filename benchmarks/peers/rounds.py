"""One run of one tool, measured from outside: requests by the server's own counter, CPU and memory by the operating system.

All are treated alike: set to run for long, watched until their users are connected, given a moment to settle, counted over a
stretch, and ended by a signal, at which each prints its own figures. So start-up and ramp are in nobody's rate.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nginx import Counters, Nginx
from benchmarks.peers.reports import Report, UnreadableError
from benchmarks.peers.tools import Job, Tool
from benchmarks.ports import wait_for_ports
from benchmarks.processes import FailedError, Meter, Started, started

SETTLE = 2.0
_CONNECTED = 0.99
_LOOK_EVERY = 0.5
_END_SECONDS = 90.0
_LONGEST = 200
_PATIENCE = {"http": 0.02, "https": 0.05}
"""Seconds per user that a tool may take to connect them all, in addition to half a minute."""

_NO_MORE = 20.0
"""Seconds without one more connection after which no more are expected: saturated, Locust serves those of its users that have
one and starves the rest.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one run. rate: answers per second; cpu: of one core; memory: bytes at most. report: the tool's own words.

    fault: why there are no figures, or what is wrong with them.
    """

    rate: float | None = None
    cpu: float | None = None
    memory: int | None = None
    connected: int | None = None
    report: Report | None = None
    fault: str = ""


def measure(tool: Tool, binary: str, job: Job, server: Nginx, *, core: int | None) -> Outcome:
    """Run a tool against nginx and count."""
    wait_for_ports(job.users + 1_000)
    with tempfile.TemporaryDirectory(prefix="velro-peer-") as place:
        folder = Path(place)
        with started(tool.plan(binary, job, folder), core=core, env=tool.environment, where=folder) as running:
            try:
                connected = _wait_for_users(running, server, job)
                # Ours connects its users in a given time; the others take what they take.
                time.sleep(SETTLE + 0.1 * job.ramp)
                rate, cpu, memory = _count(running.meter, server, job.seconds)
            except FailedError as error:
                return Outcome(fault=_in_short(str(error)))
            report, fault = _end(tool, running, folder)
    if connected < _CONNECTED * job.users:
        fault = f"only {connected:,} of {job.users:,} users connected. {fault}".strip()
    return Outcome(rate=rate, cpu=cpu, memory=memory, connected=connected, report=report, fault=fault)


def _wait_for_users(running: Started, server: Nginx, job: Job) -> int:
    """Connections, ours for asking left out, once all users have one, or no more come, or patience ends."""
    deadline = time.monotonic() + 30.0 + job.users * _PATIENCE[job.url.partition(":")[0]]
    most, grew = 0, time.monotonic()
    while True:
        connected, now = server.counters().active - 1, time.monotonic()
        if connected > most:
            most, grew = connected, now
        if connected >= _CONNECTED * job.users or now > deadline or (most and now - grew > _NO_MORE):
            return connected
        if running.process.poll() is not None:
            raise FailedError(f"ended by itself with {running.process.returncode}: {running.complaints().strip()[-300:]}")
        time.sleep(_LOOK_EVERY)


def _count(meter: Meter, server: Nginx, seconds: float) -> tuple[float, float, int]:
    memory = meter.resident()
    cpu, before = meter.cpu_seconds(), server.counters()
    while (left := before.at + seconds - time.monotonic()) > 0.0:
        time.sleep(min(left, _LOOK_EVERY))
        memory = max(memory, meter.resident())
    used, after = meter.cpu_seconds() - cpu, server.counters()
    return answers_per_second(before, after), used / (after.at - before.at), memory


def answers_per_second(before: Counters, after: Counters) -> float:
    """Answers between two looks at the server's counter, the looks themselves left out."""
    return (after.requests - before.requests - 1) / (after.at - before.at)


def _end(tool: Tool, running: Started, folder: Path) -> tuple[Report | None, str]:
    running.process.send_signal(tool.end_signal)
    try:
        running.wait(_END_SECONDS)
        return tool.read(running.output(), folder), ""
    except (FailedError, UnreadableError) as error:
        return None, _in_short(f"no figures of its own: {error} {running.complaints()[-200:]}")


def _in_short(fault: str) -> str:
    """On one line that a table can hold."""
    words = " ".join(fault.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST // 2]} ... {words[-_LONGEST // 2 :]}"


def say(sentence: str) -> None:
    """Progress, on the error stream, so that the tables can be piped."""
    print(sentence, file=sys.stderr, flush=True)
