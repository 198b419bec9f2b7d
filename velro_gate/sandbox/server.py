"""Serve one sandbox: one process, one event loop, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from velro_gate.errors import UsageError
from velro_gate.sandbox.extra import require_extra
from velro_gate.sandbox.settings import Settings

if TYPE_CHECKING:
    from velro_gate.sandbox.service.backend import Backend

BACKLOG = 8_192
"""Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn."""
KEEP_ALIVE = 120
"""Seconds that an idle connection is kept: longer than users pause, so that closed connections are not what is measured."""
GRACE = 2
"""Seconds that requests get when the server is asked to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a client has to know of a running sandbox."""

    url: str
    key: str
    pid: int

    def line(self) -> str:
        """One line of JSON, for programs."""
        return json.dumps({"url": self.url, "key": self.key, "pid": self.pid})

    def text(self) -> str:
        """For people: what to paste into a shell."""
        return f"The sandbox answers at {self.url}\nexport VELRO_API_URL={self.url}\nexport SUPABASE_SERVICE_KEY={self.key}"


def announce_key(secret: str, out: TextIO | None = None) -> None:
    """Print a service key for a signing secret to ``out`` (standard output), for whoever starts a sandbox with that secret.

    Raises:
        UsageError: the extra is not installed, or the secret is too short.
    """
    require_extra()
    from velro_gate.sandbox.service.tokens import issue_key

    Settings(secret=secret)
    print(issue_key(secret), file=out or sys.stdout, flush=True)


def serve(settings: Settings, *, for_programs: bool = False, out: TextIO | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Prints its URL and key to ``out`` (standard output) once it answers.

    Raises:
        UsageError: the extra is not installed, the port is taken, or a named Redis or database cannot be used.
    """
    require_extra()
    import uvloop

    shown = out or sys.stdout

    def announce(started: Started) -> None:
        """Say where it listens, at once: a program that started it waits for this line."""
        print(started.line() if for_programs else started.text(), file=shown, flush=True)

    raise_to_hard_limit()
    with (
        contextlib.closing(listen(settings.host, settings.port)) as listener,
        _signals_left_to_the_server(),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, listener, announce))


async def _serve(settings: Settings, listener: socket.socket, announce: Callable[[Started], None]) -> None:
    from velro_gate.sandbox.housekeeping import keep_house, settle
    from velro_gate.sandbox.service.backend import open_backend

    async with open_backend(settings) as backend:
        settle()
        house = asyncio.create_task(keep_house())
        try:
            await _run_server(backend, listener, announce)
        finally:
            house.cancel()


async def _run_server(backend: Backend, listener: socket.socket, announce: Callable[[Started], None]) -> None:
    import uvicorn

    class Announcing(uvicorn.Server):
        """A server that says when it accepts connections, which uvicorn only logs."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """See uvicorn.Server: the sockets listen when this returns."""
            await super().startup(sockets)
            announce(Started(url=url_of(listener), key=backend.key, pid=os.getpid()))

    config = uvicorn.Config(
        backend.application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    await Announcing(config).serve(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UsageError: the address is not ours or is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as fault:
        listener.close()
        raise UsageError(
            f"the sandbox cannot listen on {host} port {port}",
            why=str(fault),
            hint="Choose another port with --port; 0 takes a free one.",
        ) from fault
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_to_hard_limit() -> int:
    """Allow this process as many descriptors as the system does; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # An unlimited hard limit must not be asked for as such: some kernels refuse it.
    wanted = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@contextlib.contextmanager
def _signals_left_to_the_server() -> Iterator[None]:
    """Let a signal only ask the server to stop: it raises it once more when it is done, which must not kill us then."""
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
