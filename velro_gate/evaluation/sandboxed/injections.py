"""Causes that are made on purpose while the sandbox is under load: by its control endpoint, or by processes and signals."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from velro_gate.errors import UsageError
from velro_gate.sandbox.process import RunningSandbox
from velro_gate.sandbox.settings import GENERATION_LIST, MODEL, STEPS

LONGEST = 60.0
"""Seconds after which a process that disturbs ends by itself."""

_NEIGHBOUR = """
import sys, time
busy, idle, until = float(sys.argv[1]), float(sys.argv[2]), time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    end = time.monotonic() + busy
    while time.monotonic() < end:
        pass
    if idle:
        time.sleep(idle)
"""

_STOPPER = """
import os, signal, sys, time
pid, until = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
try:
    while time.monotonic() < until:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.04)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.04)
except ProcessLookupError:
    pass
"""

Act = Callable[["InjectionPlace"], None]


def _nothing(_: InjectionPlace) -> None:
    """Where nothing is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionPlace:
    """Where a cause is injected."""

    sandbox: RunningSandbox
    """The sandbox under load."""
    redis: int | None
    """Process id of its Redis; None: it has none of its own."""
    stack: contextlib.ExitStack
    """What is undone when the run has ended."""
    over: Callable[[], bool]
    """Set when the run has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A cause."""

    name: str
    code: str
    """Code of the bottleneck that must be reported first."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the sandbox."""
    before: Act = _nothing
    """Done before the load."""
    act: Act = _nothing
    """Done AT seconds into the measured stretch, in a thread of its own."""
    needs_redis: bool = False
    """Whether the sandbox gets a real Redis."""


AT = 4.0
"""Seconds into the measured stretch at which a cause sets in."""


def _order(**order: object) -> Act:
    return lambda place: void(place.sandbox.control(order))


def void(_: object) -> None:
    """Drop a result."""


def _disturbed(count: int, busy: float, idle: float) -> Act:
    """Processes that are nobody's children, as those of other users are."""

    def act(place: InjectionPlace) -> None:
        """Start the neighbours, each for ``LONGEST`` seconds at most, should nobody end them."""
        for _ in range(count):
            _detached(place.stack, _NEIGHBOUR, str(busy), str(idle), str(LONGEST))

    return act


def _detached(stack: contextlib.ExitStack, program: str, *arguments: str) -> None:
    line = shlex.join([sys.executable, "-c", program, *arguments])
    shell = ["/bin/sh", "-c", f"{line} </dev/null >/dev/null 2>&1 & echo $!"]
    pid = int(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
    stack.callback(_end, pid)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _stop_generator(place: InjectionPlace) -> None:
    """Stop this process for half of the time, as a CPU quota does."""
    _detached(place.stack, _STOPPER, str(os.getpid()), "9")


def _freeze_redis(place: InjectionPlace) -> None:
    assert place.redis is not None, "the sandbox was started with one"
    os.kill(place.redis, signal.SIGSTOP)
    place.stack.callback(_thaw, place.redis)


def _thaw(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _flush_again_and_again(place: InjectionPlace) -> None:
    while not place.over():
        place.sandbox.control({"flush": ["memory", "redis"]})
        time.sleep(1.0)


def _fail_for_a_while(place: InjectionPlace) -> None:
    place.sandbox.control({"fail": {GENERATION_LIST: 0.5}})
    time.sleep(4.0)
    place.sandbox.control({"fail": {GENERATION_LIST: 0.0}})


_NO_CACHE = {"memory_entries": 1, "shared_ttl": 0.01}

INJECTIONS = (
    Injection(
        name="pool",
        code="pool-exhausted",
        settings={"pool_size": 4, **_NO_CACHE},
        before=_order(slow={"query": {"delay": 0.014, "distribution": "constant"}}),
    ),
    Injection(name="cpu-service", code="cpu-bound-service", before=_order(slow={step: {"busy": 0.003} for step in STEPS})),
    Injection(name="cpu-runner", code="cpu-starved-runner", before=_disturbed(2 * (os.cpu_count() or 1), 1.0, 0.0)),
    Injection(name="memory", code="memory-growth", before=_order(leak={"bytes": 20_000})),
    Injection(
        name="cache",
        code="cache-misses",
        before=_order(slow={"query": {"delay": 0.03, "distribution": "constant"}}),
        act=_flush_again_and_again,
    ),
    Injection(
        name="tail",
        code="step-tail",
        before=_order(slow={MODEL: {"delay": 0.007, "distribution": "bimodal", "slow_delay": 0.15, "slow_share": 0.15}}),
    ),
    Injection(name="errors", code="errors", act=_fail_for_a_while),
    Injection(name="stall", code="service-stall", act=_order(stall=3.0)),
    Injection(
        name="saturation",
        code="saturation",
        settings={"workers": 8},
        before=_order(slow={step: {"delay": 0.03, "distribution": "constant"} for step in STEPS}),
    ),
    Injection(name="generator", code="generator-limit", act=_stop_generator),
    Injection(name="redis", code="dependency-down", act=_freeze_redis, needs_redis=True),
    Injection(name="neighbour", code="noisy-neighbour", before=_disturbed(1, 0.006, 0.007)),
)
"""The twelve causes, in the order in which they are tried."""

CLEAN = Injection(name="clean", code="")


@contextlib.contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """A Redis of our own on a free port: its URL and process id.

    Raises:
        UsageError: there is no redis-server on this machine, or it does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise UsageError("there is no redis-server on this machine", hint="Install it, or leave the cause out with --only.")
    with socket.socket() as free, tempfile.TemporaryDirectory(prefix="velro-redis-") as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0", process.pid
        finally:
            _thaw(process.pid)
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10.0
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise UsageError("redis-server does not start", why=str(error)) from error
            time.sleep(0.05)
        else:
            return
